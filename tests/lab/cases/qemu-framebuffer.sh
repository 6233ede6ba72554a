# A framebuffer and its keyboard, which QEMU serves: QEMU is called as by stock xl, the nodes are the same, a guest's
# drivers connect, and its VNC server answers, with the password that was set; either xl calls a viewer alike.
#: timeout = 400
. /lab/lib.sh

host_state > before
waits() {
    [ "$(xenstore-read "/local/domain/0/backend/vfb/$1/0/state")" = 2 ] && [ "$(xenstore-read "/local/domain/0/backend/vkbd/$1/0/state")" = 2 ]
}

plain() {
    tiny_pv layout
    echo 'vfb = ["vnc=1,keymap=de"]'
}
other() {
    tiny_pv layout
    echo 'vfb = ["vnc=1,vnclisten=127.0.0.1,vncdisplay=7,vncunused=0"]'
}
dark() {
    tiny_pv layout
    echo 'vfb = ["vnc=0,sdl=0"]'
}
short() {
    tiny_pv layout
    printf 'vnc = 1\nvnclisten = "127.0.0.1:3"\n'
}
for what in plain other dark short; do
    $what > layout.cfg
    for program in stockxl xl; do
        run $program create -q -p layout.cfg
        domid=$(stockxl domid layout)
        pid=$(xenstore-read "/local/domain/$domid/image/device-model-pid")
        wait_for 20 waits "$domid"
        xenstore_of "$domid" | sed -E 's#device-model-pid = "[0-9]*"#device-model-pid = "VARIES"#' > $program.xenstore
        userdata_of "$domid" > $program.userdata
        tr '\0' '\n' < "/proc/$pid/cmdline" | sed "s/-$domid\b/-DOMID/; s/^$domid$/DOMID/; s#/var/run/#/run/#" > $program.qemu
        if [ $program = xl ]; then stockxl destroy layout; else xl destroy layout; fi
        nothing_left before
    done
    for part in xenstore userdata qemu; do
        same "$what: $part" stockxl.$part xl.$part
    done
done
grep vnc xl.xenstore

# vnc_says PORT: the version of a VNC server, its kinds of security and, where it asks for no password, its screen.
vnc_says() {
    python3 - "$1" << 'END'
import socket, struct, sys
server = socket.create_connection(("127.0.0.1", int(sys.argv[1])), 20).makefile("rwb", buffering=0)
version = server.read(12)
server.write(version)
kinds = list(server.read(server.read(1)[0]))
print(version.decode().strip(), "security", *kinds)
if 1 in kinds:
    server.write(b"\1")
    assert server.read(4) == bytes(4)
    server.write(b"\1")
    width, height = struct.unpack(">HH", server.read(4))
    server.read(16)
    print(width, height, server.read(struct.unpack(">I", server.read(4))[0]).decode())
END
}

connected() {
    [ "$(xenstore-read "/local/domain/0/backend/$1/$2/0/state")" = 4 ]
}
is_ours || exit 0

{ linux screen pv; echo 'vfb = ["vnc=1,vncunused=1"]'; } > screen.cfg
rm -f /var/log/xen/console/guest-screen.log
run xl create -q screen.cfg
domid=$(stockxl domid screen)
wait_for 120 is_up screen
wait_for 20 connected vfb "$domid"
wait_for 20 connected vkbd "$domid"
vnc_says "$(xenstore-read "/local/domain/$domid/console/vnc-port")" | tee said
printf 'RFB 003.008 security 1\n800 600 QEMU (screen)\n' | diff - said
run xl destroy screen

other | sed 's/layout/other/' > other.cfg
run xl create -q -p other.cfg
vnc_says 5907
sed 's/"other"/"taken"/' other.cfg > taken.cfg
! xl create -q -p taken.cfg 2> err || fail "the port is taken"
cat err
grep -q 'Address already in use' err
run xl destroy other
nothing_left before

# A viewer that writes down how it is called, and what it may read.
cat > viewer << 'END'
#!/bin/sh
echo "$@" > seen
case "$*" in *autopass) cat >> seen ;; esac
END
chmod +x viewer
export VNCVIEWER=$PWD/viewer
for program in stockxl xl; do
    other > layout.cfg
    rm -f seen
    run $program create -V -q -p layout.cfg
    wait_for 20 [ -s seen ]
    cat seen > $program.seen
    for node in "" "vnc-pass secret" "vnc-port 80"; do
        [ -z "$node" ] || xenstore-write "/local/domain/$(xl domid layout)/console/${node% *}" "${node#* }"
        for option in "" -a; do
            $program vncviewer $option layout
            cat seen >> $program.seen
        done
    done
    run xl destroy layout
done
sed -i 's/127.0.0.1:-5820/127.0.0.1::80/' stockxl.seen # a port of no display
same "calls of a viewer" stockxl.seen xl.seen
cat xl.seen
tiny_pv layout > layout.cfg
run xl create -q -e -p layout.cfg
for program in stockxl xl; do
    status_is 1 $program vncviewer layout
done
VNCVIEWER=/nonexistent status_is 1 xl vncviewer layout
run xl destroy layout
unset VNCVIEWER
nothing_left before

# This QEMU may have no cipher for passwords; stock xl does not say so.
sed 's/vncunused=0/&,vncpasswd=secret/; s/"other"/"secret"/' other.cfg > secret.cfg
if run xl create -q -p secret.cfg 2> err; then
    vnc_says 5907 | tee said
    echo 'RFB 003.008 security 2' | diff - said
    [ "$(xenstore-read "/local/domain/$(xl domid secret)/console/vnc-pass")" = secret ]
    run xl destroy secret
else
    cat err /var/log/xen/qemu-dm-secret.log
    grep -q 'password' err
fi
nothing_left before
