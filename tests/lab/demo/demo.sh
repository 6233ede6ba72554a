# The main job of xl, shown in dom0: look at the host, create guests, watch them, save and restore one, end them.
set -eu
cd /lab/demo

say() {
    printf '\n# %s\n' "$*"
}

run() {
    printf '$ %s\n' "$*"
    "$@"
}

# Waits until the guest's console log says that it is up, then shows its console for some seconds.
watch_console() {
    printf '$ xl console %s\n' "$1"
    for _ in $(seq 60); do
        ! grep -q '^guest is up' "/var/log/xen/console/guest-$1.log" || break
        sleep 1
    done
    timeout 4 xl console "$1" < /dev/null || true
}

say "The host, as this xl sees it"
run xl info

say "A paravirtualised guest"
run cat pv.cfg
run xl create pv.cfg
watch_console demo-pv

say "The same guest as PVH"
run diff pv.cfg pvh.cfg || true
run xl create pvh.cfg
watch_console demo-pvh

say "Both run, side by side"
run xl list
run xl vcpu-list

say "Pause and go on"
run xl pause demo-pv
run xl list demo-pv
run xl unpause demo-pv

say "Save the PVH guest to a file, and restore it: it goes on counting where it was"
run tail -n 1 /var/log/xen/console/guest-demo-pvh.log
run xl save demo-pvh /tmp/demo-pvh.save
run ls -lh /tmp/demo-pvh.save
run xl list
run xl restore /tmp/demo-pvh.save
timeout 4 xl console demo-pvh < /dev/null || true

say "Ask one guest to shut down, and wait for it; pull the plug of the other"
run xl shutdown -w demo-pv
run xl destroy demo-pvh
sleep 1
run xl list
