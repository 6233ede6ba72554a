# Two hundred tiny guests come and go, and the host is as before: memory, xenstore, files, processes.
#: timeout = 1200
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
