# For cases of Remus.

# replicated PROGRAM ARGUMENT...: the program's `remus` works in the background, as process $sending, and has written some
# checkpoints.
replicated() {
    "$1" -vvv remus "${@:2}" > remus.out 2>&1 &
    sending=$!
    wait_for 200 some_checkpoints
}

# What it said, without every step.
told() {
    grep -v -e ': detail: ' -e ' debug: ' -e ':debug: ' -e ': progress: ' remus.out || true
}

# Whether it has written some checkpoints.
some_checkpoints() {
    [ "$(grep -c 'Checkpointed save' remus.out)" -ge 3 ]
}

# lose_guest NAME: the guest is gone, as if its host had crashed; it was domain $lost.
lose_guest() {
    lost=$(stockxl domid "$1")
    stockxl destroy "$1"
}
