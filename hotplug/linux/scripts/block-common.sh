# shellcheck shell=bash
# What the scripts of disks share. They are called with `add` or `remove`.

# shellcheck source=xen-hotplug-common.sh
. "${BASH_SOURCE[0]%/*}/xen-hotplug-common.sh"

command=
findCommand "$@"
case $command in
    add | remove) ;;
    *) fatal "$0: \"$command\" is neither add nor remove" ;;
esac
XENBUS_PATH=${XENBUS_PATH:?}

# ebusy MESSAGE...: the disk is in use.
ebusy() {
    report_error "$*" busy
    exit 1
}

# device_major_minor DEVICE: its numbers in hexadecimal, as blkback reads them.
device_major_minor() {
    stat -L -c %t:%T "$1"
}

# write_dev DEVICE [PATH VALUE]...: what blkback shall open; other nodes are written before.
write_dev() {
    local device=$1 numbers
    shift
    numbers=$(device_major_minor "$device") || fatal "$device does not exist"
    xenstore-write "$@" "$XENBUS_PATH/physical-device" "$numbers" "$XENBUS_PATH/physical-device-path" "$device" \
        "$XENBUS_PATH/hotplug-status" connected
}

# canonicalise_mode MODE: `r`, `w`, or `!` for a disk that guests may write to together.
canonicalise_mode() {
    case $1 in
        *w*!* | *!*w*) echo '!' ;;
        *w*) echo w ;;
        *) echo r ;;
    esac
}

# vm_of DOMID: what stays the same over a domain's migration, of the domain itself or of the one that it serves.
vm_of() {
    local target
    target=$(xenstore_read_default "/local/domain/$1/target" "$1")
    xenstore_read_default "/local/domain/$target/vm" ''
}

# same_vm DOMID: whether this domain is our guest under another number, as while it migrates within this host, or its
# stub domain. One whose nodes are gone already is in nobody's way.
same_vm() {
    local theirs
    theirs=$(vm_of "$1")
    [ -z "$theirs" ] || [ "$theirs" = "$(vm_of "$(xenstore_read "$XENBUS_PATH/frontend-id")")" ]
}

# mounted_here NUMBERS MODE: succeeds if the device with these numbers is mounted in this domain in a way that MODE
# cannot share: a writer shares with nobody, a reader with readers.
mounted_here() {
    local numbers major minor options source rest
    printf -v numbers '%d:%d' "0x${1%:*}" "0x${1#*:}"
    while read -r _ _ minor _ _ options rest; do
        source=${rest#*- * }
        source=${source%% *}
        if [ "$minor" != "$numbers" ] && [ -b "$source" ]; then
            # A file system over several devices has numbers of its own.
            major=$(device_major_minor "$source")
            [ "$major" = "$1" ] || continue
        elif [ "$minor" != "$numbers" ]; then
            continue
        fi
        if [ "$2" = w ] || [[ ,$options, != *,ro,* ]]; then
            return 0
        fi
    done < /proc/self/mountinfo
    return 1
}

# guest_with NUMBERS MODE: prints a guest that has the device in a way that MODE cannot share.
guest_with() {
    local line path domid base=${XENBUS_BASE_PATH:-backend}/${XENBUS_TYPE:-vbd}
    while read -r line; do
        [[ $line =~ ^(.*/([0-9]+)/[0-9]+)/physical-device\ =\ \"(.*)\"$ ]] || continue
        path=${BASH_REMATCH[1]} domid=${BASH_REMATCH[2]}
        [ "${BASH_REMATCH[3]}" = "$1" ] || continue
        if [ "$2" = r ] && [ "$(canonicalise_mode "$(xenstore_read_default "$path/mode" '')")" = r ]; then
            continue
        fi
        if ! same_vm "$domid"; then
            echo "$domid"
            return
        fi
    done < <(xenstore-ls -f "$base" 2> /dev/null)
}

# check_sharing WHAT MODE NUMBERS...: ends the script if one of these devices, which are WHAT, is in use.
check_sharing() {
    local what=$1 mode=$2 numbers guest
    shift 2
    [ "$mode" != '!' ] || return 0
    for numbers in "$@"; do
        if mounted_here "$numbers" "$mode"; then
            ebusy "$what is mounted in this domain, so a guest cannot have it too"
        fi
        guest=$(guest_with "$numbers" "$mode")
        if [ -n "$guest" ]; then
            ebusy "$what is in use by domain $guest; only readers can share a disk (mode r)"
        fi
    done
}
