# A driver domain: a Linux guest whose ramdisk holds this tree's xl. It serves /disk.img and the bridge xenbr0, of which
# it is 10.9.0.1, and runs what it is told on its console.

# driver_ramdisk FILE [PROGRAM]: makes its ramdisk, of the guests' own and of dom0's files. PROGRAM comes with its libraries.
driver_ramdisk() {
    local file=$PWD/$1 tree=$PWD/driver.tree
    mkdir "$tree"
    (
        cd "$tree"
        zcat /boot/guest.gz | busybox cpio -i --quiet
        mkdir -p etc/xen/scripts etc/init.d/openrc usr/sbin run var/log/xen
        cp /usr/local/sbin/xl usr/sbin/xl
        cp /etc/xen/scripts/block /etc/xen/scripts/vif-bridge /etc/xen/scripts/init-common.sh etc/xen/scripts
        cp /usr/local/lib/xen/init/xendriverdomain etc/init.d
        cp /usr/local/lib/xen/init/openrc/xendriverdomain etc/init.d/openrc
        install -m 755 /lab/openrc-run sbin/openrc-run
        for path in ${2:+"$2" $(ldd "$2" | grep -o '/[^ ]*')}; do
            mkdir -p ".${path%/*}"
            cp -L "$path" ".$path"
        done
        for module in xenfs xen-privcmd xen-evtchn xen-gntdev xen-blkback xen-netback bridge loop; do
            modprobe --show-depends $module | sed -n 's/^insmod \([^ ]*\).*/\1/p'
        done | awk '!seen[$0]++' | while read -r path; do
            cp "$path" lib
            echo "/lib/${path##*/}"
        done > modules
        cp /lab/driver-init init
        chmod 755 init
        find . | busybox cpio -o -H newc --quiet | gzip -1 > "$file"
    )
    rm -r "$tree"
}

# driver_domain NAME RAMDISK: its configuration.
driver_domain() {
    printf 'name = "%s"\ntype = "pv"\nkernel = "/boot/vmlinux"\nramdisk = "%s/%s"\nmemory = 160\nvcpus = 1\n' "$1" "$PWD" "$2"
    printf 'tsc_mode = "native"\nextra = "console=hvc0 rdinit=/init quiet %s"\ndriver_domain = 1\n' "$quickly"
}

# in_driver NAME COMMAND: runs a command there, and prints what it prints. Fails as it does.
commands=0
in_driver() {
    local log=/var/log/xen/console/guest-$1.log domid tty answer
    commands=$((commands + 1))
    domid=$(stockxl domid "$1")
    tty=$(xenstore-read "/local/domain/$domid/console/tty")
    echo "\$ $1: $2"
    printf 'answer %s %s\n' $commands "$2" > "$tty"
    wait_for 60 grep -a -q "^ended $commands:" "$log"
    answer=$(tr -d '\r' < "$log" | sed -n "/^begun $commands\$/,/^ended $commands:/p" | sed 1d)
    printf '%s\n' "$answer" | sed '$d'
    [ "${answer##*ended "$commands":}" = 0 ]
}
