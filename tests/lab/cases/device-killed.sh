# `xl block-attach` and `xl block-detach`, killed at ten moments: what is left the next detach or xl gc takes away, and
# the next attach works. After SIGINT the disk is there or all of it is gone. A disk that is not there is not in the guest's
# configuration, as either xl reads it.
#: timeout = 300
. /lab/lib.sh

image extra.img
host_state > nobody
tiny_pv target > target.cfg
run xl create -q -p target.cfg
host_state > before

attach() {
    xl block-attach target "$PWD/extra.img,raw,xvdb,w"
}

detach() {
    xl block-detach -f target xvdb
}

has_disk() {
    [ "$(xl block-list target | wc -l)" = 2 ]
}

# configured PROGRAM: how often the disk is in the configuration.
configured() {
    "$1" list -l target | grep -c extra.img || true
}

# took COMMAND: prints how long it takes, in milliseconds.
took() {
    local start
    start=$(date +%s%3N)
    "$1"
    echo $(($(date +%s%3N) - start))
}

# killed SIGNAL MILLISECONDS COMMAND
killed() {
    local pid
    # A process group of its own; without -m it would ignore SIGINT, too.
    set -m
    "$3" > /dev/null 2>&1 &
    pid=$!
    set +m
    sleep "$(printf '%d.%03d' $(($2 / 1000)) $(($2 % 1000)))"
    kill -"$1" -- -$pid 2> /dev/null || true
    wait $pid 2> /dev/null || true
}

attaching=$(took attach)
detaching=$(took detach)
nothing_left before
echo "an attach takes $attaching ms, a detach $detaching ms"
for moment in KILL:{0,1,2,3,4,5,6,7,8,9} INT:{2,5,8}; do
    killed "${moment%:*}" $((attaching * ${moment#*:} / 10)) attach
    has_disk && found=yes || found=no
    times=$(configured xl)
    echo "attach, SIG${moment%:*} after ${moment#*:} tenths: a disk: $found; in the configuration: $times"
    if [ $found = yes ]; then detach; elif [ "$times" != 0 ]; then fail "a disk that is not there is configured"; fi
    ! is_ours || xl gc # the lock of the stored configuration, if it died with it
    nothing_left before
done
for tenth in 0 1 3 5 7 9; do
    attach
    killed KILL $((detaching * tenth / 10)) detach
    has_disk && found=yes || found=no
    echo "detach, SIGKILL after $tenth tenths: a disk: $found"
    [ $found = no ] || detach
    nothing_left before
done
[ "$(configured stockxl)" = 0 ] || fail "stock xl finds a disk that is not there in the configuration"
run attach
[ "$(configured stockxl) $(configured xl)" = "1 1" ] || fail "the disk is not once in the configuration"
run detach
! is_ours || [ -z "$(xl gc)" ] || fail "something is left: $(xl gc -n)"
run xl destroy target
nothing_left nobody
