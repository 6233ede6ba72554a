# Stock xl's Remus through this tree's save helper: what ours writes stock's takes in, and the other way about. When the guest
# is lost, its copy goes on from the last checkpoint.
#: timeout = 400
. /lab/lib.sh

stock=$(ls /usr/lib/xen-*/bin/libxl-save-helper)
ours=/usr/local/lib/xen/bin/libxl-save-helper
[ -x $ours ] || ours=$stock

# What was told after the last checkpoint is told again: no tick is missing, but some come twice.
goes_on_from_before() {
    local log=/var/log/xen/console/guest-kept.log
    wait_for 60 ticked_beyond kept "$1"
    [ "$(grep -a -c '^guest is up' $log)" = 1 ] || fail "it has booted again"
    grep -a -o '^tick [0-9]*' $log | awk '$2 > n + 1 { print "tick " n + 1 " is missing"; exit 1 } { n = $2 }' || fail "ticks are lost"
    echo "kept goes on: tick $1, then $(last_tick kept)"
}

some_checkpoints() {
    [ "$(grep -c 'Checkpointed save' remus.out)" -ge 3 ]
}

host_state > before
linux kept pvh > kept.cfg
start_ticking kept
for pair in "ours stock" "stock ours"; do
    read -r writer reader <<< "$pair"
    echo "== $writer writes, $reader reads"
    tick=$(last_tick kept)
    LIBXL_SAVE_HELPER=${!writer} stockxl remus -F -n -d -i 500 -s "" kept \
        "LIBXL_SAVE_HELPER=${!reader} stockxl migrate-receive -r -e" > remus.out 2>&1 &
    sender=$!
    wait_for 120 some_checkpoints
    wait_for 60 ticked_beyond kept "$tick"
    tick=$(last_tick kept)
    domid=$(stockxl domid kept)
    stockxl destroy kept
    wait $sender || true
    # Stock xl asks the guest that is gone to suspend itself once more.
    xenstore-rm "/local/domain/$domid" 2> /dev/null || true
    cat remus.out
    wait_for 30 exists kept
    goes_on_from_before "$tick"
done
stockxl destroy kept
nothing_left before
