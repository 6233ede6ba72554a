# The commands that change a guest change the same in xenstore, in Xen and in its stored configuration as stock xl's, and
# print the same.
#: timeout = 300
. /lab/lib.sh

cat > calls <<'C'
list -l guest
sysrq guest h
rename guest other
rename other Domain-0
rename other guest
mem-set guest 24
mem-set guest 65536k
mem-set guest 4096
mem-max guest 40
mem-max guest 16
vcpu-set guest 1
vcpu-set guest 3
vcpu-set -i guest 4
vcpu-set guest 0
trigger guest nmi
trigger guest NMI 1
trigger guest unknown
button-press guest power
unpause guest
pause guest
config-update guest guest.cfg
config-update -d guest
setenforce 1
debug-keys h
sharing guest
list -v guest
list -Z guest
C

begin() {
    {
        printf 'name = "guest"\ntype = "pv"\nkernel = "%s"\nmemory = 32\nmaxmem = 64\nvcpus = 2\nmaxvcpus = 4\n' $tiny_pv_kernel
        echo 'uuid = "e0f7a3f2-55a0-4a35-bd0a-3c0a4dd26a01"'
    } > guest.cfg
    stockxl create -q -p guest.cfg
    domid=$(stockxl domid guest)
}

finish() {
    stockxl destroy guest
}

state() {
    xenstore-ls -fp "/local/domain/$domid"
    cat /var/lib/xen/userdata-d."$domid".*.xl 2> /dev/null || true
}

by_both calls state
# What moves between two calls: domids, times, states of a guest that runs.
sed -i -E -e 's/^(guest +)[0-9]+ /\1N /' -e 's/ +[0-9]+\.[0-9]( |$)/ TIME\1/' -e 's/ [r-][b-](-|p)/ ??\1/' \
    -e 's/"domid": [0-9]+,/"domid": N,/' -e 's#/local/domain/[0-9]+/#/local/domain/N/#' -e 's/([nr])[1-9][0-9]*([,)])/\1N\2/g' \
    stockxl.told xl.told
same "every call" stockxl.told xl.told
