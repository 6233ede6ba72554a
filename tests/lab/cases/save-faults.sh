# What can go wrong with `xl save`: a full disk, no such place, a guest that cannot answer, ^C at any time, a save helper
# that is killed. Each is one clear error; the guest runs on, an older file stays, nothing is left.
#: timeout = 400
. /lab/lib.sh

linux saved pvh > saved.cfg
host_state > before
start_ticking saved

# survives WORD COMMAND...: it fails with exit status 1 and says WORD; the guest ticks on.
survives() {
    local tick status=0 word=$1
    shift
    tick=$(last_tick saved)
    echo "== $*"
    timeout 60 "$@" > out 2> err || status=$?
    cat err
    [ $status -eq 1 ] || fail "exit status $status"
    ! is_ours || grep -q "$word" err || fail "stderr does not say \"$word\""
    goes_on saved "$tick"
}

no_helper() {
    ! pgrep -f libxl-save-helper
}

no_guard() {
    ! pgrep -f 'xl --guard'
}

mkdir small
mount -t tmpfs -o size=20m tmpfs small
echo "an older save" > small/saved.save
survives "No space left" xl save saved small/saved.save
if is_ours; then
    [ "$(cat small/saved.save)" = "an older save" ] || fail "the older save is lost"
    [ "$(ls -A small)" = saved.save ] || fail "left: $(ls -A small)"
    survives "No space left" xl save saved /dev/full
    survives "cannot write" xl save saved /nonexistent/saved.save

    echo "== a paused guest"
    xl pause saved
    status=0
    timeout 20 xl save saved paused.save 2> err || status=$?
    cat err
    [ $status -eq 1 ] || fail "exit status $status"
    grep -q "paused" err || fail "the cause is not told"
    [ ! -e paused.save ] || fail "a file is left"
    xl unpause saved

    echo "== ^C during a save"
    tick=$(last_tick saved)
    mkfifo slow
    { exec < slow && sleep 5; } &
    timeout -s INT 3 xl save saved slow 2> err || true
    cat err
    grep -q "interrupted" err || fail "not interrupted"
    goes_on saved "$tick"
    wait

    echo "== a signal once the guest has taken notice: it is let go on as soon as it has suspended"
    tiny_pvh slow > slow.cfg
    run stockxl create -q slow.cfg
    request="/local/domain/$(stockxl domid slow)/control/shutdown"
    asked() {
        [ "$(xenstore-read "$request")" = suspend ]
    }
    xl save slow slow.save 2> err &
    saver=$!
    wait_for 20 asked
    xenstore-write "$request" ""
    sleep 1
    kill $saver
    sleep 1
    kill -0 $saver
    suspends_itself slow
    ! wait $saver || fail "it was saved"
    cat err
    grep -q "interrupted" err || fail "not interrupted"
    stockxl list slow | grep -q ' [r-][b-]---- ' || fail "it does not run"
    [ ! -e slow.save ] || fail "a file is left"
    run stockxl destroy slow

    echo "== a guest that was suspended before stays so"
    run xl suspend saved
    ! xl save saved /dev/full 2> err || fail "it was saved"
    cat err
    stockxl list saved | grep -q ' [r-][b-][p-]ss- ' || fail "it is not suspended any more"
    tick=$(last_tick saved)
    run xl resume saved
    goes_on saved "$tick"

    echo "== xl itself is killed while the guest is suspended: its guard lets that go on"
    tick=$(last_tick saved)
    { exec < slow && sleep 8; } &
    timeout -s KILL 3 xl save -c saved slow 2> err || true
    wait_for 20 no_helper
    goes_on saved "$tick"
    wait
    wait_for 20 no_guard
fi
killed_midway
[ -p slow ] || mkfifo slow
for signal in KILL TERM; do
    echo "== the save helper gets SIG$signal"
    sh midway save $signal < slow > /dev/null &
    [ $signal = KILL ] && word="SIGKILL" || word="stopped by SIGTERM"
    survives "$word" xl save saved slow
    wait
done
umount small
stockxl destroy saved
nothing_left before
