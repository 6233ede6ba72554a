# Each xl handles the other's guests: lists them, shows their console, pauses, shuts down and destroys them.
#: timeout = 600
. /lab/lib.sh

# handover MAKER OTHER KIND: MAKER creates a Linux guest, OTHER does everything else with it.
handover() {
    local maker=$1 other=$2 kind=$3
    echo "== $maker makes a $kind guest, $other handles it"
    linux handed "$kind" > handed.cfg
    rm -f /var/log/xen/console/guest-handed.log
    run "$maker" create -q handed.cfg
    wait_for 90 is_up handed
    run "$other" list handed | grep -E '^handed '
    [ "$("$other" domid handed)" = "$("$maker" domid handed)" ] || fail "domids differ"
    "$other" list -l handed > other.list
    "$maker" list -l handed > maker.list
    same "list -l" other.list maker.list
    { timeout 5 "$other" console handed < /dev/null || true; } | grep -a -m 1 'tick' || fail "no tick on the console"
    run "$other" pause handed
    stockxl list handed | grep -qE ' [r-][b-]p--- ' || fail "not paused"
    run "$other" unpause handed
    run "$other" rename handed renamed
    [ "$("$maker" domid renamed)" = "$("$other" domid renamed)" ] || fail "not renamed"
    run "$other" shutdown -w renamed
    wait_for 20 gone renamed
}

host_state > before
handover xl stockxl pv
handover stockxl xl pv
handover xl stockxl pvh
handover stockxl xl pvh
for pair in "xl stockxl" "stockxl xl"; do
    read -r maker other <<< "$pair"
    tiny_pvh handed > handed.cfg
    run "$maker" create -q handed.cfg
    run "$other" destroy handed
    gone handed || fail "not destroyed"
done
nothing_left before
