# shellcheck shell=bash
# What all hotplug scripts share. The toolstack runs a script with
#
#   XENBUS_PATH       the backend's directory in xenstore (backend/vbd/1/51712)
#   XENBUS_TYPE       its kind (vbd, vif)
#   XENBUS_BASE_PATH  backend
#   script            the script's own path
#
# and waits for its end. A script that has done its work writes `connected` to hotplug-status; one that could not
# writes why to hotplug-error, and exits with a status other than 0.

XEN_SCRIPT_DIR=${XEN_SCRIPT_DIR:-${0%/*}}
scripts=${BASH_SOURCE[0]%/*}
# shellcheck source=logging.sh
. "$scripts/logging.sh"
# shellcheck source=xen-script-common.sh
. "$scripts/xen-script-common.sh"
# shellcheck source=locking.sh
. "$scripts/locking.sh"

if [ -d /var/log/xen ]; then
    exec 2>> /var/log/xen/xen-hotplug.log
fi
PATH=$PATH:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export PATH LC_ALL=C

# Tells the toolstack when a script ends early without saying why itself.
end_of_script() {
    local status=$?
    release_all_locks
    if [ $status -ne 0 ] && [ -z "$(xenstore_read_default "${XENBUS_PATH:-}/hotplug-error" '')" ]; then
        report_error "$0 failed with exit status $status (see xen-hotplug.log)"
    fi
}
trap end_of_script EXIT

report_error() {
    if [ -n "${XENBUS_PATH:-}" ]; then
        xenstore-write "$XENBUS_PATH/hotplug-error" "$1" "$XENBUS_PATH/hotplug-status" "${2:-error}" || true
    fi
    log err "$1"
}

# fatal MESSAGE...: the script cannot do its work.
fatal() {
    report_error "$*"
    exit 1
}

# success: the device may be connected.
success() {
    xenstore_write "$XENBUS_PATH/hotplug-status" connected
}

# do_or_die COMMAND...: what must succeed.
do_or_die() {
    local said
    said=$("$@" 2>&1) || fatal "$*: ${said:-failed}"
    [ -z "$said" ] || printf '%s\n' "$said"
}

# do_without_error COMMAND...: what may have been undone already.
do_without_error() {
    "$@" 2> /dev/null || log debug "$* failed"
}

# xenstore_read PATH: a node that must be there and not be empty.
xenstore_read() {
    local value
    value=$(xenstore-read "$1") || true
    [ -n "$value" ] || fatal "$1 is missing in xenstore"
    printf '%s\n' "$value"
}

# xenstore_read_default PATH DEFAULT: a node that may be missing.
xenstore_read_default() {
    xenstore-read "$1" 2> /dev/null || printf '%s\n' "$2"
}

# xenstore_write PATH VALUE...: any number of pairs.
xenstore_write() {
    xenstore-write "$@" || fatal "cannot write to xenstore: $*"
}

# call_hooks KIND WHEN: runs the operator's additions, KIND-WHEN.d/*.hook, in this shell.
call_hooks() {
    local hook
    for hook in "$XEN_SCRIPT_DIR/$1-$2.d"/*.hook; do
        if [ -x "$hook" ]; then
            # shellcheck source=/dev/null
            . "$hook"
        fi
    done
}
