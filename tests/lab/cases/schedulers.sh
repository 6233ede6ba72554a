# Scheduler parameters, pinning and the names of CPU pools: the same effect and output as stock xl's.
#
# No CPU moves from one pool to another here: Xen sometimes hangs at that under QEMU's emulation, whichever xl asks.
#: profile = "two-cpus"
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
cpupool-create name="fast" sched="nonsense"
cpupool-create name="fast" sched="credit" cpus=[1]
cpupool-rename Pool-0 slow
cpupool-list
cpupool-migrate guest slow
cpupool-migrate guest nothing
cpupool-destroy slow
cpupool-rename slow Pool-0
vcpu-list guest
C

begin() {
    printf 'name = "guest"\ntype = "pv"\nkernel = "%s"\nmemory = 32\nvcpus = 2\n' $tiny_pv_kernel > guest.cfg
    stockxl create -q -p guest.cfg
}

finish() {
    stockxl destroy guest
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
