# Channels that QEMU serves in domain 0: QEMU is called as by stock xl, the nodes are the same but for their number, and
# what a guest writes to one comes out at the other end, at a terminal and at a socket. Nothing is left when it goes.
#: timeout = 400
. /lab/lib.sh

host_state > before
mkdir sockets
channels() {
    echo "channel = [\"name=first,connection=pty\", \"name=agent,connection=socket,path=$PWD/sockets/agent\", \"name=last,connection=pty\"]"
}
waits() {
    [ "$(xenstore-read "/local/domain/0/backend/console/$1/$2/state")" = 2 ]
}

{ tiny_pv layout; channels; } > layout.cfg
for program in stockxl xl; do
    run $program create -q -p layout.cfg
    domid=$(stockxl domid layout)
    pid=$(xenstore-read "/local/domain/$domid/image/device-model-pid")
    # Stock xl's first channel is lost, and the others have the numbers below theirs.
    if [ $program = xl ] && is_ours; then agent=2 last=3; else agent=1 last=2; fi
    for number in $agent $last; do wait_for 20 waits "$domid" $number; done
    xenstore_of "$domid" | sed -E 's#device-model-pid = "[0-9]*"#device-model-pid = "VARIES"#' > $program.xenstore
    for name in $agent:agent $last:last; do
        grep -E "/console(/DOMID)?/${name%:*}[ /]" $program.xenstore | sed -E "s#/${name%:*}([ /\"])#/${name#*:}\1#g"
    done > $program.channels
    grep -v -E '/console(/DOMID)?/[1-9]' $program.xenstore > $program.others
    userdata_of "$domid" > $program.userdata
    tr '\0' '\n' < "/proc/$pid/cmdline" | sed "s/-$domid\b/-DOMID/; s/^$domid$/DOMID/; s#/var/run/#/run/#" > $program.qemu
    tty=$(xenstore-read "/local/domain/$domid/device/console/$last/tty")
    [ -c "$tty" ] || fail "the channel has no terminal: $tty"
    [ -S sockets/agent ] || fail "the channel has no socket"
    if [ $program = xl ]; then
        stockxl channel-list layout > by-stock
        xl channel-list layout > by-ours
        same "channel-list" by-stock by-ours
        cat by-ours
        stockxl destroy layout
    else
        xl destroy layout
    fi
    [ ! -e sockets/agent ] || fail "the socket is left"
    nothing_left before
done
for what in channels others userdata qemu; do
    same $what stockxl.$what xl.$what
done

# talk END: what the guest says to a line at this end. Its terminal may echo the line at first.
talk() {
    python3 - "$1" << 'END'
import os, select, socket, sys, time, tty
path = sys.argv[1]
if path.startswith("/dev/"):
    end = os.open(path, os.O_RDWR | os.O_NOCTTY)
    tty.setraw(end)
else:
    connected = socket.socket(socket.AF_UNIX)
    connected.connect(path)
    end = connected.fileno()
os.write(end, b"are you there?\n")
said, limit = b"", time.time() + 20
while not (b"console" in said and said.endswith(b"\n")) and time.time() < limit:
    if select.select([end], [], [], 1)[0]:
        said += os.read(end, 100)
print(said.decode().strip().splitlines()[-1])
END
}

kinds="pv pvh"
is_ours || kinds=""
for kind in $kinds; do
    { linux talk $kind; channels; } > talk.cfg
    rm -f /var/log/xen/console/guest-talk.log
    run xl create -q talk.cfg
    wait_for 120 is_up talk
    domid=$(stockxl domid talk)
    for number in 1 2 3; do
        if [ $number = 2 ]; then end=$PWD/sockets/agent; else end=$(xenstore-read "/local/domain/$domid/device/console/$number/tty"); fi
        said=$(talk "$end")
        [ "$said" = "console-$number: are you there?" ] || fail "at $end the guest says: $said"
        echo "$said"
    done
    if [ $kind = pvh ]; then
        kill -KILL "$(xenstore-read "/local/domain/$domid/image/device-model-pid")"
    fi
    run xl destroy talk
    [ ! -e sockets/agent ] || fail "the socket is left"
    nothing_left before
done
is_ours || exit 0

rmdir sockets
! xl create -q talk.cfg 2> err || fail "a socket in no directory"
cat err
grep -q "channel agent: $PWD/sockets/agent is no path" err
nothing_left before
