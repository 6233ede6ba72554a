# The lab itself: Xen 4.17 runs, its daemons answer, stock xl sees dom0 and can run a tiny guest of each kind.
. /lab/lib.sh

run stockxl info | grep -E '^xen_version +: 4\.17'
run stockxl list | grep -E '^Domain-0 +0 '
run xenstore-read /local/domain/0/name
host_state > before
for kind in tiny_pv tiny_pvh; do
    $kind smoke > smoke.cfg
    run stockxl create -q smoke.cfg
    exists smoke || fail "$kind was not created"
    run stockxl destroy smoke
    nothing_left before
done
