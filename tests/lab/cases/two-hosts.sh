# `xl migrate` from one host to another and back, with a disk and an interface, by either xl: the guest goes on there, can be
# reached from both hosts, and leaves nothing where it was. When the wire is cut or the other host dies while the guest is
# copied, it stays where it is. A PV guest has its turn with `cargo lab test --long`.
#: profile = "two-hosts"
#: timeout = 900
. /lab/lib.sh
. /lab/two-hosts.sh

log=/var/log/xen/console/guest-web--incoming.log # xenconsoled names it after the domain as it first meets it

# last_tick_at here|there: the last one that a host has seen.
last_tick_at() {
    if [ "$1" = here ]; then cat $log; else there "cat $log" 2> /dev/null; fi |
        tr -d '\r' | sed -n 's/^tick \([0-9]*\)$/\1/p' | tail -n 1
}

# goes_on_at here|there TICK: it ticks there beyond that, and both hosts reach it.
goes_on_at() {
    local limit=$((SECONDS + 60)) now
    until now=$(last_tick_at "$1") && [ "${now:-0}" -gt "$2" ]; do
        [ $SECONDS -lt $limit ] || fail "it does not tick $1 beyond $2: ${now:-not at all}"
        sleep 0.5
    done
    echo "goes on $1: tick $2, then $now"
    ping -c 1 -W 20 10.9.0.2 > /dev/null || fail "this host does not reach it"
    there 'ping -c 1 -W 20 10.9.0.2 > /dev/null' || fail "the second host does not reach it"
}

# starts_here: the guest of web.cfg.
starts_here() {
    rm -f $log /var/log/xen/console/guest-web.log
    there "rm -f $log"
    ln -s guest-web.log $log
    run xl create -q web.cfg
    wait_for 150 is_up web
    wait_for 60 last_tick web
}

here_and_there() {
    host_state
    there '. /lab/lib.sh; trap - ERR EXIT; host_state'
}

# sends_there PROGRAM RECEIVER, sends_here PROGRAM RECEIVER
sends_there() {
    local tick
    echo "== $1 sends from here, $2 receives there"
    tick=$(last_tick_at here)
    run "$1" migrate -s "" web "python3 /lab/on-host $second $2 migrate-receive"
    goes_on_at there "$tick"
    [ "$(stockxl list | wc -l)" = 2 ] && [ -z "$(losetup -a)" ] || fail "something is left here"
}
sends_here() {
    local tick
    echo "== $1 sends from there, $2 receives here"
    tick=$(last_tick_at there)
    rm -f $log
    there "$1 migrate -s '' web 'python3 /lab/on-host $first $2 migrate-receive'"
    goes_on_at here "$tick"
    there '[ "$(stockxl list | wc -l)" = 2 ] && [ -z "$(losetup -a)" ]' || fail "something is left there"
}

sent() {
    cat "/sys/class/net/$wire/statistics/tx_bytes"
}
has_sent() {
    [ "$(sent)" -gt "$1" ]
}

# stays COMMAND: the guest goes on here when this happens while it is copied.
stays() {
    local tick status=0
    echo "== $1"
    tick=$(last_tick_at here)
    xl migrate --timeout 12 -s "" web "python3 /lab/on-host $second xl migrate-receive" 2> err &
    migration=$!
    wait_for 60 has_sent $(($(sent) + 8000000))
    eval "$1"
    wait $migration || status=$?
    cat err
    [ $status = 1 ] || fail "exit status $status"
    wait_for 60 ticked_beyond web $((tick + 1))
    [ "$(stockxl list | wc -l)" = 3 ] || fail "there is more: $(stockxl list)"
}

join $first
serve &
image /root/web.img
python3 /lab/on-host $second 'cat > /root/web.img' < /root/web.img
here_and_there > before

kinds=pvh
is_long && kinds="pvh pv"
for kind in $kinds; do
    echo "== $kind"
    linux web $kind | sed "s,^memory = .*,memory = 96," > web.cfg
    echo 'disk = ["/root/web.img,raw,xvda,r"]' >> web.cfg
    echo 'vif = ["mac=00:16:3e:10:09:02,bridge=xenbr0"]' >> web.cfg
    starts_here
    # Debian's Xen has no shadow paging, without which stock xl moves no PV guest.
    [ $kind = pv ] || { sends_there xl xl && sends_here stockxl xl; }
    sends_there xl stockxl
    sends_here xl xl
    run xl destroy web
    here_and_there > after
    same "both hosts" before after
done

linux web pvh | sed "s,^memory = .*,memory = 96," > web.cfg
starts_here
stays 'ip link set "$wire" down'
ip link set "$wire" up
wait_for 60 there '[ "$(stockxl list | wc -l)" = 2 ] && [ -z "$(xl gc -n)" ]'
stays 'echo "echo b > /proc/sysrq-trigger" | timeout 1 socat - TCP:$second:1000 || true'
pkill -f /lab/on-host || true # it may wait for a host that is no more
run xl destroy web
