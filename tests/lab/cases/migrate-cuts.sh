# A migration whose connection is cut, or whose receiver is killed, at each message of the handshake and at each boundary
# of the streams' records, in both directions. Afterwards one guest ticks on and the other side has nothing left, or, where
# the receiver's guard was killed too, what docs/migration.md says: a line for each place tells. With stock xl at one side no
# two copies run either. Most boundaries within the streams, and stock xl, have their turn with `cargo lab test --long`.
#: timeout = 800
. /lab/lib.sh

is_ours || skip "where it is cut stock xl leaves copies, and has no gc"

host_state > before
linux cut pvh > cut.cfg
sed -i 's/^memory = .*/memory = 96/' cut.cfg
start_ticking cut xl

# migrate PLACE HOW [SENDER RECEIVER]: a migration ends there; how it ended is in `status` and `err`.
migrate() {
    old=$(stockxl domid cut) status=0
    timeout 100 "${3:-xl}" migrate -s "" cut "exec python3 /lab/cut.py '$1' '$2' ${4:-xl} migrate-receive 2> receiver" \
        > /dev/null 2> err || status=$?
    wait_for 60 all_ended
}

all_ended() {
    ! pgrep -f 'cut.py|libxl-save-helper|xl --guard'
}

# What there is of the guest: it has the number it had, a copy another one.
who() {
    stockxl list | awk -v old="$old" '/^cut/ {
        state = $5 ~ /p/ ? "is paused" : $5 ~ /s/ ? "is suspended" : "runs"
        printf "%s%s %s%s", comma, $2 == old ? "guest" : "copy", state, $1 == "cut" ? "" : " as " substr($1, 4)
        comma = ", "
    }'
}

# tell WORDS: one line about a migration.
tell() {
    printf '%-26s %-8s %-68s | %s\n' "$1" "$2" "status $status: $3" "$(awk '!/note:|transport|^Saving/ { last = $0 } END { print last }' err)"
}

# The documented way on from what was `found`, without what `xl gc` has removed; the guest, wherever it is now, ticks.
go_on() {
    local tick
    case $found in
        *--migratedaway*"copy runs"*) xl destroy cut--migratedaway ;;
        *--migratedaway*)
            xl rename cut--migratedaway cut
            xl resume cut
            ;;
    esac
    tick=$(last_tick cut)
    wait_for 60 ticked_beyond cut "$tick"
    [ "$(stockxl list | grep -c '^cut')" = 1 ] || fail "not one guest: $(stockxl list)"
}

# ends PLACE HOW STATUS WHO [LEFT]: so a migration ends there. LEFT is what `xl gc` finds then.
ends() {
    local left
    migrate "$1" "$2"
    found=$(who)
    tell "$1" "$2" "$found"
    [ "$status" = "$3" ] || fail "status $status, not $3: $(cat err)"
    [ "$found" = "$4" ] || fail "not \"$4\": $(cat receiver)"
    left=$(xl gc)
    [[ "$left" =~ ^(${5-})$ ]] || fail "left: $left"
    [ -z "$(xl gc -n)" ] || fail "there is still something: $(xl gc -n)"
    go_on
}

guest="guest runs" away="guest is suspended as --migratedaway" copy="copy runs" incoming="copy is paused as --incoming"
half='domain [0-9]+: half built.*' unreceived='domain [0-9]+: cut--incoming never ran.*'

echo "== before the point of no return"
migrate nowhere cut
tell - - "$(who)"
[ "$(who)" = "$copy" ] || fail "not migrated: $(cat err receiver)"
mapfile -t items < <(grep -vE '^PAGE_DATA ([2-9]|1[0-9]|2[1-9]|[3-9].)$' items)
printf '%s\n' "${items[@]}" | sed '1,/libxc END/d' > last
printf '%s\n' "libxl END" READY GO REPORT status | diff - last || fail "another protocol"
for item in "${items[@]}"; do
    [ "$item" != GO ] || break
    is_long || case $item in
        "libxc image header" | "libxc domain header" | X86_* | STATIC_DATA_END | "PAGE_DATA 1" | HVM_*) continue ;;
        "xl header" | LIBXC_CONTEXT | "libxc END") continue ;;
    esac
    ends "after $item" cut 1 "$guest"
    ends "after $item" kill 1 "$guest"
done
ends "before banner" cut 1 "$guest"
ends "before banner" kill 1 "$guest"
ends "before READY" cut 1 "$guest"
ends "before READY" kill 1 "$guest"
ends "after READY" die 1 "$guest"

echo "== after it"
ends "before GO" cut 1 "$away"
ends "before GO" kill 1 "$away"
ends "before GO" die 1 "$guest"
ends "after GO" cut 1 "$away, $copy"
ends "after GO" kill 1 "$away"
ends "after GO" die 1 "$guest"
ends "after GO" named 1 "$guest"
for how in cut kill; do
    ends "before REPORT" $how 1 "$away, $copy"
    ends "after REPORT" $how 1 "$away, $copy"
    ends "after status" $how 0 "$copy"
done

echo "== a copy that cannot start, because it has another name than its receiver knows"
export AT_READY="stockxl rename cut--incoming cut--other"
for place in "before REPORT" "after REPORT" "after status"; do
    ends "$place" cut 1 "$away"
done
ends "after GO back" cut 1 "$guest"
ends "after GO back" kill 1 "$guest"
unset AT_READY

echo "== the receiver's guard is killed too"
ends "after LIBXC_CONTEXT" all 1 "$guest, $incoming" "$half"
ends "before READY" all 1 "$guest, $incoming" "$unreceived"
ends "before GO" all 1 "$away, $incoming" "$unreceived"

if is_long; then
    echo "== stock xl at one side"
    for pair in "xl stockxl" "stockxl xl"; do
        read -r sender receiver <<< "$pair"
        for place in "after libxl END" "after READY" "before GO" "before REPORT"; do
            migrate "$place" cut "$sender" "$receiver"
            found=$(who)
            tell "$place" "by $sender" "$found"
            [ "$status" = 1 ] || fail "status $status"
            [ "$(grep -o runs <<< "$found" | wc -l)" -le 1 ] || fail "two copies run"
            xl gc
            go_on
        done
    done
fi

goes_on cut "$(last_tick cut)"
run xl destroy cut
nothing_left before
