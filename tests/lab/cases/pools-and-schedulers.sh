# CPU pools, scheduler parameters and pinning: the same effect and output as stock xl's.
#: timeout = 300
. /lab/lib.sh

cat > calls <<'C'
cpupool-list
cpupool-list -c
cpupool-list nothing
sched-credit2
sched-credit2 -d guest
sched-credit2 -d guest -w 512
sched-credit2 -d guest -c 40
sched-credit2 -d guest -w 0
sched-credit2 -s -r 500
sched-credit2 -s -p Pool-0
sched-credit -d guest -w 128
sched-rtds
vcpu-pin guest 0 1
vcpu-pin guest 1 0 1
vcpu-pin guest 0 ^0
vcpu-pin guest 0 7
vcpu-pin guest all 0,1
vcpu-pin guest 0 nodes:0
vcpu-list guest
cpupool-cpu-remove Pool-0 1
cpupool-create name="fast" sched="nonsense"
cpupool-create name="fast" sched="credit" cpus=[1]
cpupool-list
cpupool-rename fast slow
cpupool-cpu-add slow 1
cpupool-list -c
cpupool-migrate guest slow
sched-credit -d guest -w 512 -c 30
sched-credit
sched-credit -s -p slow -t 10 -r 500
vcpu-list guest
cpupool-destroy slow
cpupool-migrate guest Pool-0
cpupool-cpu-remove slow 1
cpupool-destroy slow
cpupool-cpu-add Pool-0 1
cpupool-numa-split
cpupool-list -c
C

begin() {
    printf 'name = "guest"\ntype = "pv"\nkernel = "%s"\nmemory = 32\nvcpus = 2\n' $tiny_pv_kernel > guest.cfg
    stockxl create -q -p guest.cfg

}

# Back to one pool of all CPUs.
finish() {
    stockxl destroy guest
    stockxl cpupool-rename Pool-node0 Pool-0 2> /dev/null || true
    stockxl sched-credit2 -s -r 1000
}

# The pools' names and the guest's pool; what else changed is shown by the calls themselves.
state() {
    xenstore-ls -f /local/pool
}

by_both calls state
# The guests' numbers and the pools' UUIDs are different ones.
for told in stockxl.told xl.told; do
    sed -i -E -e 's/^(guest +)[0-9]+ /\1N /' -e 's/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/UUID/' $told
done
same "every call" stockxl.told xl.told
