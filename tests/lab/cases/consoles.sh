# Consoles as a person at a terminal meets them, with stock xl and with ours: `xl create -c` shows the guest from its
# first line, `xl console` joins it, ^] leaves it and the guest stays, and so does the key that -e names; the terminal is
# as it was before. One terminal at a time, whichever xl it is. `xl dmesg -c` empties Xen's ring.
#: timeout = 180
. /lab/lib.sh

prompt_is_shown() {
    grep -q -a 'grub>' screen
}

# Two ways to leave a console.
types() {
    printf '%s' "$1" >&9
}

signals() {
    kill -s "$1" "$(pgrep -x xenconsole)"
}

# at_terminal KEYS LEAVE WORDS...: runs a command on a terminal of its own, types KEYS, does what LEAVE says when the guest
# shows its prompt, and tells the exit status.
# What was on the screen is in the file "screen".
at_terminal() {
    local status=0 typed=$1 leave=$2
    shift 2
    rm -f screen keys
    mkfifo keys
    script -q -e -f -c "stty -g > mode.before; $*; status=\$?; stty -g > mode.after; exit \$status" screen < keys > /dev/null &
    exec 9> keys
    printf '%s' "$typed" >&9
    wait_for 60 prompt_is_shown
    $leave
    wait $! || status=$?
    exec 9>&-
    echo "status $status"
    cmp mode.before mode.after
}

# What GRUB shows, in lines of text: escape sequences, the lines of `script` itself and the speed of reading removed.
text_on_screen() {
    sed -E -e '/^Script (started|done)/d' -e 's/\x1b\[[0-9;?]*[a-zA-Z]//g' -e 's#[0-9.]+[KM]?i?B/s#SPEED#' screen | tr -d '\r\017' | sed -e 's/ *$//' -e '/^$/d'
}

# What stock xl does not do: a signal leaves the terminal as it was, and no lock.
interrupted() {
    at_terminal $'\n' 'signals HUP' xl console console
    [ ! -e "/var/lock/xenconsole.$(xl domid console)" ] || fail "its lock is left"
}

# consoles XL OTHER PASSED LEAVE OPTION...: with these options of `xl console`, the key PASSED is the guest's.
consoles() {
    local status=0 xl=$1 other=$2 passed=$3 leave=$4
    shift 4
    echo "== create -c"
    at_terminal '' $'types \035' "$xl" create -q -c console.cfg
    text_on_screen
    exists console || fail "the guest went with its console"
    echo "== console"
    at_terminal $'\n' $'types \035' "$xl" console console
    echo "== the same by its number, until SIGTERM"
    at_terminal $'\n' 'signals TERM' "$xl" console -t pv -n 0 console
    echo "== one control key leaves, the other is the guest's"
    at_terminal "$passed"$'\n' "types $leave" "$xl" console "$@" console
    exists console || fail "the guest went with its console"
    if [ "$xl" = xl ] && is_ours; then
        interrupted > /dev/null
    fi
    "$xl" destroy console

    echo "== into a file, to the guest's end"
    "$xl" create -q console.cfg
    rm -f screen
    "$xl" console console < /dev/null > screen &
    wait_for 60 prompt_is_shown
    "$other" console console < /dev/null 2> refused || echo "the other xl: status $?"
    "$xl" destroy console
    wait $! || status=$?
    echo "status $status"
    text_on_screen
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
consoles stockxl xl $'\001' $'\035' > stock.told
if is_ours; then
    consoles xl stockxl $'\035' $'\001' -e ^a > ours.told
else
    consoles xl stockxl $'\001' $'\035' > ours.told
fi
same "consoles" stock.told ours.told

if is_ours; then
    echo "== create -c where no console can be connected"
    program=/usr/local/lib/xen/bin/xenconsole status=0
    chmod -x $program
    xl create -q -c console.cfg < /dev/null 2> messages || status=$?
    chmod +x $program
    [ $status = 0 ] || fail "status $status: $(cat messages)"
    grep -q "goes on, but without this terminal" messages || fail "it does not say so: $(cat messages)"
    [[ $(stockxl list console | awk 'NR == 2 { print $5 }') != *p* ]] || fail "the guest is left paused"
    pgrep -f "^xl .*$(stockxl domid console) console$" > /dev/null || fail "nobody watches it"
    xl destroy console
fi
dmesg stockxl > stock.dmesg
dmesg xl > ours.dmesg
same "dmesg -c" stock.dmesg ours.dmesg
nothing_left before
