# The monitor does what the configuration says when a guest powers off, reboots or crashes.
#: timeout = 600
. /lab/lib.sh

start() {
    rm -f /var/log/xen/console/guest-life.log
    {
        linux life "$1"
        shift
        printf '%s\n' "$@"
    } > life.cfg
    xl create -q life.cfg
    wait_for 150 is_up life
    domid=$(stockxl domid life)
}

host_state > before
for kind in pv pvh; do
    echo "== $kind: reboot restarts it under a new domid"
    start $kind
    run xl reboot life
    wait_for 60 sh -c "now=\$(stockxl domid life) && [ \"\$now\" != $domid ]"
    run xl destroy life
    nothing_left before

    echo "== $kind: power-off destroys it"
    start $kind
    run xl shutdown life
    wait_for 60 gone life
    nothing_left before
done

echo "== on_poweroff = preserve keeps it"
start pvh 'on_poweroff = "preserve"'
run xl shutdown life
wait_for 60 sh -c 'stockxl list life | grep -q -- "---s--"'
run xl destroy life
nothing_left before

echo "== on_crash = preserve keeps it"
start pv 'on_crash = "preserve"'
run xl sysrq life c
wait_for 60 sh -c 'stockxl list life | grep -q -- "c-"'
run xl destroy life
nothing_left before

echo "== on_reboot = rename-restart keeps the old one under another name"
start pvh 'on_reboot = "rename-restart"'
run xl reboot life
wait_for 60 sh -c "now=\$(stockxl domid life) && [ \"\$now\" != $domid ]"
kept=$(stockxl domname "$domid")
[[ $kept =~ ^life-[0-9]{8}T[0-9]{4}Z$ ]] || fail "it is kept as $kept"
run xl destroy life
run xl destroy "$kept"
nothing_left before
