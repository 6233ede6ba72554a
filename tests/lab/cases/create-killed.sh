# `xl create` killed at ten moments, by SIGKILL and by SIGINT: after SIGINT nothing is left; after SIGKILL nothing is
# left that `xl destroy` cannot remove. The next create works. (Stock xl leaves half a domain after SIGINT, too.)
#: timeout = 900
. /lab/lib.sh

linux killed pvh > killed.cfg
host_state > before

# How long a whole create takes, in milliseconds: the moments are tenths of it.
start=$(date +%s%3N)
xl create -q -p killed.cfg
whole=$(($(date +%s%3N) - start))
xl destroy killed
nothing_left before
echo "a create takes $whole ms"

# Destroys whatever create left under the name or, unnamed, among the domains.
clean_up() {
    for domid in $(stockxl list | awk 'NR > 1 && $2 != 0 { print $2 }'); do
        run xl destroy "$domid"
    done
}

for signal in KILL INT; do
    for tenth in 0 1 2 3 4 5 6 7 8 9; do
        delay=$((whole * tenth / 10))
        echo "== SIG$signal after $delay ms"
        # Without -m a background process would ignore SIGINT.
        set -m
        xl create -q -p killed.cfg > /dev/null 2>&1 &
        pid=$!
        set +m
        sleep "$(printf '%d.%03d' $((delay / 1000)) $((delay % 1000)))"
        kill -$signal $pid 2> /dev/null || true
        wait $pid 2> /dev/null || true
        if [ $signal = KILL ] || ! is_ours; then
            clean_up
        elif exists killed; then
            # The signal came after the end.
            xl destroy killed
        fi
        nothing_left before
    done
done
run xl create -q -p killed.cfg
run xl destroy killed
nothing_left before
