# The init scripts do what service managers ask: start, start again, status, stop, start after a crash and with a stale
# pidfile, by System V's and OpenRC's way; xenstored, which must not be started again, stays. systemd is told
# when xl devd is ready, and finds nothing wrong with the units.
#: profile = "services"
#: timeout = 400
. /lab/lib.sh
is_ours || skip "the init scripts are this tree's"
init=/usr/local/lib/xen/init
install -m 755 /lab/openrc-run /sbin/openrc-run

# script NAME VERB [sysv|openrc]
script() {
    if [ "${3:-sysv}" = openrc ]; then
        $init/openrc/"$1" "$2"
    else
        $init/"$1" "$2"
    fi
}

# lacks PID: waits until there is no such process.
lacks() {
    wait_for 10 sh -c "! kill -0 $1"
}

host_state > before
echo "== xencommons"
xenconsoled=$(readlink "/proc/$(cat /run/xenconsoled.pid)/exe")
# The lab has started both, with pidfiles of its own.
cp /run/xenstored.pid /run/xenconsoled.pid /run/xen
echo 'XENCONSOLED_TRACE=all' > /etc/default/xencommons
status_is 0 script xencommons status
run script xencommons start
cmp /run/xenconsoled.pid /run/xen/xenconsoled.pid || fail "xenconsoled was started twice"
kill -9 "$(cat /run/xen/xenconsoled.pid)"
lacks "$(cat /run/xen/xenconsoled.pid)"
status_is 3 script xencommons status
run script xencommons start
status_is 0 script xencommons status
for kind in openrc sysv; do
    console=$(cat /run/xen/xenconsoled.pid)
    run script xencommons stop $kind
    lacks "$console"
    status_is 3 script xencommons status $kind
    echo "$$ and more" > /run/xen/xenconsoled.pid # of before a crash: the number is another process's by now
    status_is 3 script xencommons status $kind
    run script xencommons start $kind
    status_is 0 script xencommons status $kind
done
run script xencommons restart
status_is 0 script xencommons status
cmp /run/xenstored.pid /run/xen/xenstored.pid || fail "xenstored was started again: it forgets its domains"
[ "$(xenstore-read /local/domain/0/name)" = Domain-0 ]
if script xencommons reload; then fail "a verb that does not exist"; fi
run script xencommons stop
rm /run/xenconsoled.pid /run/xen/xenstored.pid /etc/default/xencommons
"$xenconsoled" --pid-file=/run/xenconsoled.pid --log=all # as the lab has it
wait_for 10 [ -s /run/xenconsoled.pid ]
nothing_left before

echo "== xendriverdomain: nothing to do in domain 0"
run script xendriverdomain start
if run script xendriverdomain start openrc; then fail "OpenRC thinks that it runs"; fi
[ ! -e /run/xen/xldevd.pid ] || fail "devd runs"
# systemd starts it in the foreground, and is told when it is ready.
socat -u UNIX-RECVFROM:"$PWD/notify" CREATE:told &
wait_for 10 [ -S notify ]
NOTIFY_SOCKET=$PWD/notify xl devd -F --pidfile=/run/xen/xldevd.pid &
wait_for 10 grep -x READY=1 told
[ "$(cat /run/xen/xldevd.pid)" = $! ]
kill $!
wait $! || fail "SIGTERM: exit status $?"
[ ! -e /run/xen/xldevd.pid ] || fail "its pidfile is left"

echo "== systemd"
units=/usr/local/lib/systemd/system
ls $units
systemd-analyze verify --man=no $units/xen*.service $units/proc-xen.mount 2>&1 | tee said
[ ! -s said ] || fail "systemd complains"
