# shellcheck shell=bash
# Locks by name. What two scripts may not do at once is locked under the name of the thing it is done to, so that
# scripts of other devices do not wait. A lock ends with its script, however that ends.

lock_dir=/run/xen-hotplug
declare -A held_locks=()

# claim_lock NAME: waits for the lock.
claim_lock() {
    local file=$lock_dir/$1 fd
    [ -d "$lock_dir" ] || mkdir -p "$lock_dir"
    while true; do
        exec {fd}> "$file"
        flock -x "$fd" || return 1
        # Its last holder may have removed the file that was waited for.
        [ "/proc/self/fd/$fd" -ef "$file" ] && break
        exec {fd}>&-
    done
    held_locks[$1]=$fd
}

# release_lock NAME: nothing happens if it is not held.
release_lock() {
    local fd=${held_locks[$1]:-}
    [ -n "$fd" ] || return 0
    rm -f "$lock_dir/$1"
    exec {fd}>&-
    unset "held_locks[$1]"
}

release_all_locks() {
    local name
    for name in "${!held_locks[@]}"; do
        release_lock "$name"
    done
}
