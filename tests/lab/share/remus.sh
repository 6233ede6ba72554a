# For cases of Remus.

# replicated PROGRAM ARGUMENT...: the program's `remus` works in the background, as process $sending, and has written some
# checkpoints.
replicated() {
    "$1" -vvv remus "${@:2}" > remus.out 2>&1 &
    sending=$!
    wait_for 120 some_checkpoints
}

# What it said, without every step.
told() {
    grep -v -e ': detail: ' -e ' debug: ' -e ': progress: ' remus.out
}

some_checkpoints() {
    [ "$(grep -c 'Checkpointed save' remus.out)" -ge 3 ]
}

# lose_guest NAME: the guest is gone, as if its host had crashed; it was domain $lost.
lose_guest() {
    lost=$(stockxl domid "$1")
    stockxl destroy "$1"
}

# goes_on_from_before NAME TICK: what the guest told after the last checkpoint is told again: no tick is missing, but some come
# twice.
goes_on_from_before() {
    local log=/var/log/xen/console/guest-$1.log
    wait_for 60 ticked_beyond "$1" "$2"
    [ "$(grep -a -c '^guest is up' "$log")" = 1 ] || fail "it has booted again"
    grep -a -o '^tick [0-9]*' "$log" | awk '$2 > n + 1 { print "tick " n + 1 " is missing"; exit 1 } { n = $2 }' || fail "ticks are lost"
    echo "$1 goes on: tick $2, then $(last_tick "$1")"
}
