# What the listing commands print, on a host with a running, a paused and a PVH guest, is what stock xl prints.
. /lab/lib.sh

tiny_pv one > one.cfg
tiny_pv two > two.cfg
tiny_pvh three > three.cfg
for name in one two three; do
    stockxl create -q -p $name.cfg
done
stockxl unpause three
one=$(stockxl domid one)

# Times of CPUs, uptimes and free memory move between two calls: digits of those columns are replaced.
settle() {
    sed -E -e 's/[0-9]+\.[0-9]$/TIME/' -e 's/[0-9]+:[0-9]{2}:[0-9]{2}/UPTIME/g' -e 's/  ([r-])([b-])/  ??/' \
        -e 's/^(free_memory +: ).*/\1N/' -e 's/ +TIME/ TIME/' -e 's/ [r-][b-]- / ??- /'
}

compare() {
    local title="xl $*"
    stockxl "$@" 2> /dev/null | settle > stock.out
    xl "$@" 2> /dev/null | settle > ours.out
    same "$title" stock.out ours.out
}

compare list
compare list one
compare list "$one"
compare list -v
compare list -n
compare list -c
compare list -Z
compare list -v -n one
compare list -l
compare list -l one
compare vm-list
compare vcpu-list
compare vcpu-list one three
compare uptime
compare uptime one
compare uptime -s
compare info
compare info -n
compare info xen_version
compare domid one
compare domname "$one"
compare domname 0
compare dmesg
compare claims
compare help

for name in one two three; do
    stockxl destroy $name
done
