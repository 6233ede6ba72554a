# Sixteen guests, each with a disk and an interface, are created at the same time and destroyed at the same time, ten times,
# or as often as there is time for: none fails, and nothing is left.
#: timeout = 400
. /lab/lib.sh

bridge xenbr0 10.9.0.1
guests=$(seq 16)
for n in $guests; do
    truncate -s 1M "$n.img"
    { tiny_pv "many$n"; printf 'disk = ["%s/%s.img,raw,xvda,w"]\nvif = [""]\n' "$PWD" "$n"; } > "$n.cfg"
done
host_state > before

# all COMMAND...: for every guest at once, @ being its number.
all() {
    local pids=() n status=0
    for n in $guests; do
        "${@//@/$n}" > "$n.out" 2>&1 &
        pids+=($!)
    done
    for n in $guests; do
        wait "${pids[n - 1]}" || { status=1; echo "guest $n:"; cat "$n.out"; }
    done
    [ $status = 0 ] || fail "$*"
}

round=0
while more_rounds $round 10; do
    round=$((round + 1))
    start=$(date +%s%3N)
    all xl create -q -p @.cfg
    created=$(date +%s%3N)
    [ "$(losetup -a | wc -l)" = 16 ] || fail "a loop device is missing"
    [ "$(ls /sys/class/net/xenbr0/brif | wc -l)" = 16 ] || fail "an interface is missing"
    all xl destroy many@
    echo "round $round: created in $((created - start)) ms, destroyed in $(($(date +%s%3N) - created)) ms"
    nothing_left before
done
echo "$round rounds of 10 in $SECONDS s"
