# Consoles as a person at a terminal meets them, with stock xl and with ours: `xl create -c` shows the guest from its
# first line, `xl console` joins it, ^] leaves it and the guest stays; `xl dmesg -c` empties Xen's ring.
#: timeout = 180
. /lab/lib.sh

prompt_is_shown() {
    grep -q -a 'grub>' screen
}

# at_terminal KEYS WORDS...: runs a command on a terminal of its own, types KEYS, types ^] when the guest shows its
# prompt, and tells the exit status. What was on the screen is in the file "screen".
at_terminal() {
    local status=0 typed=$1
    shift
    rm -f screen keys
    mkfifo keys
    script -q -e -f -c "$*" screen < keys > /dev/null &
    exec 9> keys
    printf '%s' "$typed" >&9
    wait_for 60 prompt_is_shown
    printf '\035' >&9
    wait $! || status=$?
    exec 9>&-
    echo "status $status"
}

# What GRUB shows, in lines of text: escape sequences, the lines of `script` itself and the speed of reading removed.
text_on_screen() {
    sed -E -e '/^Script (started|done)/d' -e 's/\x1b\[[0-9;?]*[a-zA-Z]//g' -e 's#[0-9.]+[KM]?i?B/s#SPEED#' screen | tr -d '\r\017' | sed -e 's/ *$//' -e '/^$/d'
}

consoles() {
    echo "== create -c"
    at_terminal '' "$1" create -q -c console.cfg
    text_on_screen
    exists console || fail "the guest went with its console"
    echo "== console"
    at_terminal $'\n' "$1" console console
    exists console || fail "the guest went with its console"
    "$1" destroy console
}

dmesg() {
    "$1" dmesg -c > /dev/null
    "$1" dmesg
    "$1" debug-keys h
    "$1" dmesg -c | tail -n 3
    "$1" dmesg
    echo "end"
}

tiny_pv console > console.cfg
host_state > before
consoles stockxl > stock.told
consoles xl > ours.told
same "consoles" stock.told ours.told
dmesg stockxl > stock.dmesg
dmesg xl > ours.dmesg
same "dmesg -c" stock.dmesg ours.dmesg
nothing_left before
