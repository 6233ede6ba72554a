# What the listing commands print, on a host with PV and PVH guests, is what stock xl prints.
#: timeout = 300
. /lab/lib.sh

tiny_pv one > one.cfg
tiny_pv two > two.cfg
tiny_pvh three > three.cfg
for name in one two three; do
    stockxl create -q -p $name.cfg
done
one=$(stockxl domid one)

# What moves between two calls is replaced: CPU times, uptimes, free memory, whether a guest runs or is blocked. Stock xl
# takes 1 KiB from dom0's target, by mistake.
settle() {
    sed -E -e 's/ +[0-9]+\.[0-9]( |$)/ TIME\1/' -e 's/[0-9]+:[0-9]{2}:[0-9]{2}/UPTIME/g' -e 's/ up +[0-9]+:[0-9]{2},/ up UPTIME,/' -e 's/ [r-][b-](-|p)/ ??\1/' \
        -e 's/^(free_memory +: ).*/\1N/' -e 's/("target_memkb": [0-9]+)[12],/\1N,/'
}

compare() {
    local title="xl $*"
    stockxl "$@" 2> /dev/null | settle > stock.out
    xl "$@" 2> /dev/null | settle > ours.out || true # the difference says more than the status
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

# `xl help` has stock xl's subcommands in its order, and others.
subcommands() {
    sed -n -E 's/^ ([a-z][a-z0-9-]*) .*/\1/p'
}
stockxl help | subcommands > stock.out
xl help | subcommands | grep -Fx -f stock.out > ours.out
same "subcommands of xl help" stock.out ours.out

for name in one two three; do
    stockxl destroy $name
done
