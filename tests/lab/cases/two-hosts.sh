# `xl migrate` from one host to another and back, with a disk and an interface, by either xl: the guest goes on there, can be
# reached from both hosts, and leaves nothing where it was. A wire that is cut and a host that dies while the guest is
# copied leave it where it is.
#: profile = "two-hosts"
#: timeout = 600
. /lab/lib.sh
. /lab/two-hosts.sh

join $first
serve &
log=/var/log/xen/console/guest-web--incoming.log # xenconsoled names it after the domain as it first meets it
image /root/web.img
python3 /lab/on-host $second 'cat > /root/web.img' < /root/web.img
wait_for 10 there 'cmp -n 1048576 /root/web.img /dev/null; [ "$(stat -c %s /root/web.img)" = 4194304 ]'
here_and_there() {
    host_state
    there '. /lab/lib.sh; trap - ERR EXIT; host_state'
}
here_and_there > before

# last COMMAND...: the last tick that a host has seen; the command prints its log.
last() {
    "$@" | tr -d '\r' | sed -n 's/^tick \([0-9]*\)$/\1/p' | tail -n 1
}
last_here() { last cat $log; }
last_there() { last there "cat $log" 2> /dev/null; }

# goes_on_at here|there TICK: it ticks there beyond that, without having booted again, and both hosts reach it.
goes_on_at() {
    local limit=$((SECONDS + 60)) now
    until now=$(last_"$1") && [ "${now:-0}" -gt "$2" ]; do
        [ $SECONDS -lt $limit ] || fail "it does not tick $1 beyond $2: ${now:-not at all}"
        sleep 0.5
    done
    echo "goes on $1: tick $2, then $now"
    ping -c 1 -W 20 10.9.0.2 > /dev/null || fail "this host does not reach it"
    there 'ping -c 1 -W 20 10.9.0.2 > /dev/null' || fail "the second host does not reach it"
}

nothing_left_here() {
    [ "$(stockxl list | wc -l)" = 2 ] || fail "a domain is left here"
    [ -z "$(losetup -a)" ] || fail "a loop device is left here"
}

for kind in pvh pv; do
    {
        linux web $kind
        echo 'disk = ["/root/web.img,raw,xvda,r"]'
        echo 'vif = ["mac=00:16:3e:10:09:02,bridge=xenbr0"]'
    } > web.cfg
    rm -f $log
    there "rm -f $log"
    ln -s guest-web.log $log
    rm -f /var/log/xen/console/guest-web.log
    run xl create -q web.cfg
    wait_for 90 is_up web
    wait_for 30 last_here
    for pair in "xl xl" "stockxl xl" "xl stockxl" "xl xl"; do
        read -r one other <<< "$pair"
        # Debian's Xen has no shadow paging, without which stock xl moves no PV guest.
        [ "$kind$one" != pvstockxl ] || one=xl
        if [ "$(stockxl list | wc -l)" = 3 ]; then
            echo "== $kind: $one sends from here, $other receives there"
            tick=$(last_here)
            run $one migrate -s "" web "python3 /lab/on-host $second $other migrate-receive"
            goes_on_at there "$tick"
            nothing_left_here
        else
            echo "== $kind: $one sends from there, $other receives here"
            tick=$(last_there)
            rm -f $log
            there "$one migrate -s '' web 'python3 /lab/on-host $first $other migrate-receive'"
            goes_on_at here "$tick"
            there '[ "$(stockxl list | wc -l)" = 2 ] && [ -z "$(losetup -a)" ]' || fail "something is left there"
        fi
    done
    run xl destroy web
    here_and_there > after
    same "both hosts" before after
done
