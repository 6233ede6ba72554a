# A domain that our xl makes has the same xenstore nodes, values and permissions as one of stock xl, and the same
# stored configuration.
#: timeout = 400
. /lab/lib.sh

# compare KIND [LINE...]: the same configuration, made by each in turn; LINEs are added to it.
compare() {
    local kind=$1
    shift
    {
        $kind layout
        printf '%s\n' "$@"
    } > layout.cfg
    for program in stockxl xl; do
        $program create -q -p layout.cfg
        domid=$(stockxl domid layout)
        xenstore_of "$domid" > $program.xenstore
        userdata_of "$domid" > $program.userdata
        stockxl destroy layout
    done
    same "xenstore of $kind $*" stockxl.xenstore xl.xenstore
    same "stored configuration of $kind $*" stockxl.userdata xl.userdata
}

linux_pv() {
    linux "$1" pv
}

linux_pvh() {
    linux "$1" pvh
}

compare tiny_pv
compare tiny_pvh
compare linux_pv
compare linux_pvh
compare tiny_pv 'maxmem = 48' 'maxvcpus = 4' 'vcpus = 2' 'cpus = "0"'
compare tiny_pvh 'maxmem = 48' 'maxvcpus = 4' 'vcpus = 2'
compare tiny_pv 'on_crash = "preserve"' 'on_reboot = "destroy"' 'uuid = "b23d4800-e58f-11f1-8429-4e86f63d5e6b"'
compare tiny_pvh 'nomigrate = 1' 'max_grant_frames = 16' 'max_maptrack_frames = 256'
