# Two hundred tiny guests come and go, and the host is as before: memory, xenstore, files, processes. With
# `cargo lab test --long` so do fifty more, with each kind of device that comes with a guest only.
#: timeout = 600
. /lab/lib.sh

tiny_pv cycle > cycle.cfg
free_memory() {
    stockxl info free_memory
}

# The first create makes what stays (an empty /vm, a log file).
xl create -q -p cycle.cfg
xl destroy cycle
host_state > before
# Xen scrubs and frees a dead domain's pages a little later.
sleep 2
memory=$(free_memory)
descriptors=$(find /proc/"$(cat /run/xenstored.pid)"/fd /proc/"$(cat /run/xenconsoled.pid)"/fd | wc -l)
for cycle in $(seq 200); do
    xl create -q -p cycle.cfg
    xl destroy cycle
    [ $((cycle % 50)) -ne 0 ] || echo "$cycle cycles after $SECONDS s"
done
nothing_left before
wait_for 20 sh -c "[ \"\$(stockxl info free_memory)\" -ge $((memory - 1)) ]"
now=$(find /proc/"$(cat /run/xenstored.pid)"/fd /proc/"$(cat /run/xenconsoled.pid)"/fd | wc -l)
[ "$now" -le "$descriptors" ] || fail "the daemons hold $now descriptors, before: $descriptors"
is_long || exit 0

small_server
{
    tiny_pv cycle
    cat << END
vfb = ["vnc=1,vnclisten=127.0.0.1"]
channel = ["name=first,connection=pty", "name=agent,connection=socket,path=$PWD/agent"]
p9 = ["tag=share,path=$PWD,security_model=none"]
pvcalls = ["backend=server"]
END
} > full.cfg

# served DOMID: whether QEMU waits for the frontends of all that it serves.
served() {
    local device
    for device in vfb/"$1"/0 console/"$1"/1 console/"$1"/2 9pfs/"$1"/0; do
        [ "$(xenstore-read "/local/domain/0/backend/$device/state")" = 2 ] || return 1
    done
}

host_state > before
for cycle in $(seq 50); do
    xl create -q -p full.cfg
    wait_for 20 served "$(stockxl domid cycle)"
    xl destroy cycle
done
echo "50 with devices after $SECONDS s"
nothing_left before
end_small_server
