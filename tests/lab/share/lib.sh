# Functions for cases. `xl` is the program under test, `stockxl` the reference.

trap 'echo "FAILED at ${BASH_SOURCE[0]##*/}:$LINENO: $BASH_COMMAND (exit status $?)"' ERR

tiny_pv_kernel=/usr/lib/grub-xen/grub-x86_64-xen.bin
tiny_pvh_kernel=/usr/lib/grub-xen/grub-i386-xen_pvh.bin

fail() {
    echo "FAILED: $*"
    exit 1
}

skip() {
    echo "$*"
    exit 77
}

# Prints a command, then runs it.
run() {
    echo "\$ $*"
    "$@"
}

# status_is NUMBER COMMAND...: that the command ends with this exit status.
status_is() {
    local wanted=$1 status=0
    shift
    "$@" || status=$?
    [ $status -eq "$wanted" ] || fail "$*: the status is $status and not $wanted"
}

# wait_for SECONDS COMMAND...: until the command succeeds.
wait_for() {
    local limit=$((SECONDS + $1))
    shift
    until "$@" > /dev/null 2>&1; do
        [ $SECONDS -lt $limit ] || fail "not within its time: $*"
        sleep 0.2
    done
}

# Whether cases may take ten times as long (`cargo lab test --long`).
is_long() {
    [ "$patience" -gt 1 ]
}

# more_rounds DONE WANTED: whether one more is to be done: none is yet, or not all are and a sixth of the case's time is
# not over; where there is much of it, half.
more_rounds() {
    local part=6
    ! is_long || part=2
    [ "$1" = 0 ] || { [ "$1" -lt "$2" ] && [ $SECONDS -lt $((limit / part)) ]; }
}

# same WHAT FILE FILE: shows the difference, stock's side first. The case goes on, to show all differences, and fails at
# its end.
differences=0
same() {
    local lines
    if diff -u --label "stock: $1" --label "ours: $1" "$2" "$3"; then
        mapfile -t lines < "$2"
        echo "same: $1 (${#lines[@]} lines)"
    else
        differences=$((differences + 1))
    fi
}

end_of_case() {
    local status=$?
    if [ $status -eq 0 ] && [ $differences -gt 0 ]; then
        echo "FAILED: $differences differences"
        exit 1
    fi
    exit $status
}
trap end_of_case EXIT

# Whether this tree's xl is under test, not stock xl in its place.
is_ours() {
    [ -x /usr/local/sbin/xl ]
}

# Configurations, on standard output. The tiny guests are GRUB images of under 2 MB that boot at once and wait for ever;
# the Linux ones are Debian's kernel with a ramdisk that ticks on its console and obeys `xl shutdown`.
tiny_pv() {
    printf 'name = "%s"\ntype = "pv"\nkernel = "%s"\nmemory = 32\nvcpus = 1\n' "$1" $tiny_pv_kernel
}

tiny_pvh() {
    printf 'name = "%s"\ntype = "pvh"\nkernel = "%s"\nmemory = 32\nvcpus = 1\n' "$1" $tiny_pvh_kernel
}

# Debian's kernel boots in half its time without tests of its ciphers and of its own mappings, and keys of modules; a PVH
# guest in a third of that, if it does not look for AGP bridges on 256 buses and Xen does not emulate its time stamp counter:
# each of those reads is an exit.
quickly="cryptomgr.notests rodata=off initcall_blacklist=load_system_certificate_list pci=noearly"

# linux NAME pv|pvh|hvm
linux() {
    local kernel=/boot/vmlinux quickly=$quickly time='tsc_mode = "native"\n'
    if [ "$2" = hvm ]; then
        kernel=/boot/vmlinuz # QEMU starts no other
        quickly=${quickly% pci=noearly} time= # with these its machine was seen to stand still
    fi
    printf 'name = "%s"\ntype = "%s"\nkernel = "%s"\nramdisk = "/boot/guest.gz"\nmemory = 128\nvcpus = 1\n' "$1" "$2" $kernel
    printf "$time"'extra = "console=hvc0 rdinit=/init quiet %s"\n' "$quickly"
}

# holder NAME pv|pvh: a Linux guest that holds a pattern in its memory and has two CPUs, and says so. Its time stamp counter is
# what Xen gives a guest that does not ask for one. Under software emulation a machine with a PVH guest of two CPUs now and
# then hangs as a whole: it has one but for `cargo lab test --long`.
holder() {
    local vcpus=2
    held_cpus=0-1
    if [ "$2" = pvh ] && ! is_long; then vcpus=1 held_cpus=0; fi
    linux "$1" "$2" | sed -e "s/^vcpus = 1/vcpus = $vcpus/" -e "s/ quiet/ quiet pattern=$pattern/" -e /^tsc_mode/d
}
pattern=1000000 # 7 MB

# still_holds NAME TICK: after TICK it says again what it has said before.
still_holds() {
    wait_for 60 said_after "$2" "/var/log/xen/console/guest-$1.log" "holds $(seq $pattern | md5sum | cut -c 1-32), CPUs $held_cpus"
    echo "$1 holds its pattern, and has its CPUs"
}

# said_after TICK LOG LINE
said_after() {
    awk -v after="$1" -v line="$3" '{ sub("\r$", "") } $1 == "tick" { tick = $2 } tick > after && $0 == line { found = 1 }
        END { exit !found }' "$2"
}

# suspends_itself NAME: what a guest does that has been asked to.
suspends_itself() {
    PYTHONPATH=/usr/lib/xen-4.17/lib/python python3 -c 'import sys; from xen.lowlevel import xc
xc.xc().domain_shutdown(int(sys.argv[1]), 2)' "$(stockxl domid "$1")"
}

# killed_midway: makes `midway`, which passes a stream on and kills the save helper once 20 MB have gone by:
# sh midway save|restore KILL|TERM
killed_midway() {
    cat > midway << 'END'
head -c 20000000
kill -"$2" $(pgrep -f "libxl-save-helper --$1-domain")
cat
END
}

# hog MIB: a guest that leaves so much of the host's memory free.
hog() {
    local free
    free=$(stockxl info | awk '$1 == "free_memory" { print $3 }')
    tiny_pvh hog | sed "s/^memory = .*/memory = $((free - $1))/" > hog.cfg
    stockxl create -q -p hog.cfg
}

# image FILE: a disk image of 4 MiB whose first MiB is random.
image() {
    truncate -s 4M "$1"
    dd if=/dev/urandom of="$1" bs=1M count=1 conv=notrunc status=none
}

# Whether a Linux guest has copied the first MiB of an image behind itself.
is_copied() {
    cmp -s -n 1048576 "$1" "$1" 0 1048576
}

# bridge NAME ADDRESS: there is such a bridge; cases share it.
bridge() {
    [ ! -e "/sys/class/net/$1" ] || return 0
    ip link add name "$1" type bridge
    ip addr add "$2/24" dev "$1"
    ip link set "$1" up
}

# small_server: a domain `server` that serves keyboards, trusted platform modules, displays, sound cards, PV calls and virtio
# disks. Its drivers and its devd are played: they get ready and let go.
small_server() {
    tiny_pv server > server.cfg
    stockxl create -q -p server.cfg
    serve_small "$(stockxl domid server)" vkbd vinput vtpm vdispl vsnd pvcalls virtio_disk
}

end_small_server() {
    stockxl destroy server
    kill -- -$serving
}

# serve_small DOMID KIND...: the backends of these kinds in a domain are played, until `kill -- -$serving`.
serve_small() {
    set -m # a process group of its own
    python3 /lab/serve-small.py "$@" &
    serving=$!
    set +m
}

# ifconfig_for_stock: stock's vif-route calls ifconfig, which is not here; a program in its place, for this case alone.
ifconfig_for_stock() {
    mkdir -p bin
    cat > bin/ifconfig << 'END'
#!/bin/sh
[ "$2" = down ] && exec ip link set "$1" down
ip addr add "$2/32" dev "$1" && ip link set "$1" up # ifconfig vif1.0 ADDRESS netmask 255.255.255.255 up
END
    chmod +x bin/ifconfig
    PATH=$PWD/bin:$PATH
}

# says NAME LINE: whether the console log of a Linux guest ends a line of this kind with LINE: `says web disks: xvda`.
says() {
    local log=/var/log/xen/console/guest-$1.log
    shift
    [ "$(grep -a "^${1}" "$log" | tail -n 1 | tr -d '\r')" = "$*" ]
}

# Whether a domain of this name is there, by stock xl.
exists() {
    stockxl domid "$1" > /dev/null 2>&1
}

gone() {
    ! exists "$1"
}

# Whether the console log of a Linux guest shows that it is up.
is_up() {
    grep -q '^guest is up' "/var/log/xen/console/guest-$1.log"
}

# start_ticking NAME [PROGRAM]: NAME.cfg's Linux guest, made by stock xl or that program, is up and ticks. A guest that
# migrates keeps its log: xenconsoled names it after the domain as it first meets it, and that is NAME--incoming.
start_ticking() {
    rm -f "/var/log/xen/console/guest-$1.log"
    ln -sf "guest-$1.log" "/var/log/xen/console/guest-$1--incoming.log"
    "${2:-stockxl}" create -q "$1.cfg"
    wait_for 240 is_up "$1"
    wait_for 60 last_tick "$1"
}

# The last tick on the console log of a Linux guest; fails if there is none yet.
last_tick() {
    awk '/^tick [0-9]/ { tick = $2 } END { if (!tick) exit 1; print tick + 0 }' "/var/log/xen/console/guest-$1.log"
}

ticked_beyond() {
    [ "$(last_tick "$1")" -gt "$2" ]
}

# goes_on NAME TICK: a guest that was moved ticks beyond TICK, has left no tick out and has not booted again.
goes_on() {
    local log=/var/log/xen/console/guest-$1.log
    wait_for 90 ticked_beyond "$1" $(($2 + 1))
    [ "$(grep -a -c '^guest is up' "$log")" = 1 ] || fail "$1 has booted again"
    grep -a -o '^tick [0-9]*' "$log" | awk '$2 != ++n { print "tick " n " is missing"; exit 1 }' || fail "$1 lost ticks"
    echo "$1 goes on: tick $2, then $(last_tick "$1")"
}

# goes_on_from_before NAME TICK: a guest that was lost ticks beyond TICK again and has not booted again. What it told after its
# last checkpoint it tells again: no tick is missing, but some come twice.
goes_on_from_before() {
    local log=/var/log/xen/console/guest-$1.log
    wait_for 60 ticked_beyond "$1" "$2"
    [ "$(grep -a -c '^guest is up' "$log")" = 1 ] || fail "$1 has booted again"
    grep -a -o '^tick [0-9]*' "$log" | awk '$2 > n + 1 { print "tick " n + 1 " is missing"; exit 1 } { n = $2 }' || fail "$1 lost ticks"
    echo "$1 goes on: tick $2, then $(last_tick "$1")"
}

# xenstore_of DOMID: every node of a domain with its permissions, sorted; what differs from one domain to the next
# (domids, UUIDs, times, event channels, grant references, ttys) replaced by its name.
xenstore_of() {
    local domid=$1 uuid
    uuid=$(xenstore-read "/local/domain/$domid/vm")
    xenstore-ls -fp | grep -E "^(/local/domain/$domid|/libxl/$domid|$uuid|/local/domain/[0-9]+/backend/[a-z0-9_]+/$domid)(/| )" |
        sed -E -e "s#/(local/domain|libxl|backend/[a-z0-9_]+)/$domid([/\" ])#/\1/DOMID\2#g" \
            -e "s#(domid|frontend-id) = \"$domid\"#\1 = \"DOMID\"#" \
            -e "s#([nrwb])$domid([,)])#\1DOMID\2#g" \
            -e 's#[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}#UUID#g' \
            -e 's#(start_time|ring-ref|port|tty|event-channel) = "[^"]+"#\1 = "VARIES"#' | sort
}

# moved_xenstore_of DOMID: the same without what a restored or migrated guest has no more: how it was booted (PV), and
# what its kernel once said that it can do.
moved_xenstore_of() {
    xenstore_of "$1" | grep -v -E -e '^/vm/UUID/image/(cmdline|kernel|ramdisk) ' -e '/control/feature-(poweroff|reboot|suspend) '
}

# userdata_of DOMID: the stored configuration with one key a line, sorted, UUIDs replaced.
userdata_of() {
    python3 -S -c 'import json, re, sys
config = json.loads(open(sys.argv[1]).read().replace("\0", ""))
uuid = "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
print(re.sub(uuid, "UUID", json.dumps(config, indent=1, sort_keys=True)))' /var/lib/xen/userdata-d."$1".*.libxl-json
}

# host_state: all that a failed or finished command may leave on the host: domains, xenstore nodes, files, processes,
# loop devices, interfaces, a line each. Equal before and after means that nothing was left. In few processes: under
# software emulation each takes long to start.
host_state() {
    local file words
    {
        stockxl list
        xenstore-ls -f
        # xenconsole leaves its lock when it is ended by a signal.
        find /var/lib/xen /run/xen /run/lock /var/lock -mindepth 1 ! -name 'domid-history*' ! -name 'xenconsole.*' -printf 'file %p\n'
        for file in /proc/[0-9]*/cmdline; do
            { mapfile -d '' -t words < "$file"; } 2> /dev/null || continue # it has just ended
            case ${words[0]-} in *xl | *qemu-system* | *libxl-save-helper) echo "process ${words[*]}" ;; esac
        done
        for file in /sys/block/loop*/loop/backing_file; do
            { read -r words < "$file"; } 2> /dev/null || continue
            echo "loop device ${file//[^0-9]/}: $words"
        done
        printf 'interface %s\n' /sys/class/net/*
    } | awk '
        /^(file|process|loop device|interface) / { print; next }
        $1 ~ /^\/(libxl|vm|local\/domain\/0\/device-model)$/ { next } # these stay once made
        /^\// { print "node " $1; next }
        $2 != "ID" { print "domain " $2 " " $1 }' | sort -u
}

# nothing_left BEFORE: fails unless the host is soon as it was. Processes may take a moment to end.
nothing_left() {
    local limit=$((SECONDS + 10))
    until host_state > after && diff -q "$1" after > /dev/null; do
        if [ $SECONDS -ge $limit ]; then
            diff -u "$1" after
            fail "something was left behind"
        fi
        sleep 0.2
    done
}

# by_both FILE STATE: makes the calls of FILE (a line each, without "xl") with stock xl and then with ours, each from
# the state that the case's `begin` makes and `finish` removes. What is told goes to stockxl.told and xl.told: stdout,
# the exit status, and what changed in what the command STATE prints.
by_both() {
    local program call status
    for program in stockxl xl; do
        begin
        "$2" > state.before
        while read -r call; do
            status=0
            echo "$program $call" >&2
            # Words are split here on purpose; quotes in a call are the shell's.
            eval "$program $call" > stdout 2> /dev/null < /dev/null || status=$?
            "$2" > state.after
            echo "\$ xl $call"
            cat stdout
            echo "status $status"
            diff state.before state.after | grep '^[<>]' || true
            mv state.after state.before
        done < "$1" > $program.told
        finish
    done
}
