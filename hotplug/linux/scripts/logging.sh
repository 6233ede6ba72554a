# shellcheck shell=bash
# Where a script's messages go: syslog, or standard error, which is xen-hotplug.log.

# log LEVEL MESSAGE...: LEVEL is one of syslog's: debug, info, err.
log() {
    local level=$1
    shift
    logger -p "daemon.$level" -- "$0: $*" 2> /dev/null || echo "$0: $level: $*" >&2
}
