# `xendomains` starts guests with the host, and saves and restores or shuts them down with it, called by System V's and
# OpenRC's script; guests that do not start with the host it leaves alone.
#: timeout = 300
. /lab/lib.sh
is_ours || skip "the init scripts are this tree's"
init=/usr/local/lib/xen/init
install -m 755 /lab/openrc-run /sbin/openrc-run

host_state > before
mkdir -p auto saved
linux auto pv > auto/auto
tiny_pv other > other.cfg
{
    echo "XENDOMAINS_AUTO=$PWD/auto"
    echo "XENDOMAINS_SAVE=$PWD/saved"
    echo "XENDOMAINS_SHUTDOWN_ALL="
} > /etc/default/xendomains
status_is 3 $init/xendomains status
xl create -q other.cfg
run $init/openrc/xendomains start
wait_for 120 is_up auto
wait_for 20 last_tick auto
status_is 0 $init/openrc/xendomains status
stockxl domid auto > domid
run $init/xendomains start
cmp domid <(stockxl domid auto) || fail "started twice"
tick=$(last_tick auto)
run $init/openrc/xendomains stop
gone auto || fail "the guest still runs"
exists other || fail "a guest that does not start with the host was stopped"
[ -s saved/auto ] || fail "the guest was not saved"
status_is 3 $init/openrc/xendomains status
run $init/xendomains start
goes_on auto "$tick"
[ ! -e saved/auto ] || fail "a guest that was restored is still saved"
stockxl destroy other
echo 'XENDOMAINS_SAVE=' >> /etc/default/xendomains
run $init/xendomains stop
gone auto || fail "the guest did not shut down"
rm /etc/default/xendomains
nothing_left before
