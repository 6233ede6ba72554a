# Some seventy right and wrong calls end with the exit status of stock xl.
#: timeout = 600
. /lab/lib.sh

tiny_pv guest > guest.cfg
echo 'name = "broken' > broken.cfg
printf 'name = "nokernel"\ntype = "pv"\nmemory = 32\n' > nokernel.cfg
printf 'name = "missing"\ntype = "pv"\nkernel = "/nonexistent"\nmemory = 32\n' > missing.cfg
printf 'name = "wrong"\ntype = "pv"\nkernel = "/etc/passwd"\nmemory = 32\n' > wrong.cfg

# Each line is one call. They are made in turn by stock xl and by ours, from the same start: one paused guest.
cat > calls <<'C'
list
list guest
list nobody
list 99
list guest extra
list -q
list --nonsense
list -h
domid guest
domid nobody
domid
domname 0
domname 99
domname abc
domname
vm-list
vcpu-list guest
vcpu-list nobody
uptime guest
uptime nobody
info xen_major
info -h
dmesg -h
help
help list
help nonsense
nonsense
create
create /nonexistent.cfg
create broken.cfg
create nokernel.cfg
create missing.cfg
create wrong.cfg
create guest.cfg
create -n guest.cfg
create -h
config-update
config-update nobody guest.cfg
config-update guest /nonexistent.cfg
pause guest
pause nobody
pause 99
pause
unpause guest
unpause nobody
pause guest
rename guest other
rename other guest
rename nobody other
rename guest
trigger guest nonsense
trigger nobody nmi
trigger guest
sysrq guest toolong
sysrq nobody h
sysrq guest
debug-keys
mem-set guest
mem-set guest nonsense
mem-set nobody 32
mem-max guest 40
mem-max guest nonsense
mem-max nobody 40
button-press guest nonsense
button-press nobody power
network-attach nobody
network-attach guest nonsense=1
vkb-attach nobody backend-type=linux
vkb-attach nobody nonsense=1
vkb-attach guest unique-id=keys
vdispl-attach nobody connectors=left:640x480
vdispl-attach guest
vsnd-attach nobody card,short-name=card
shutdown
shutdown nobody
shutdown guest
reboot nobody
console nobody
console -t nonsense guest
destroy 0
destroy nobody
destroy 99
destroy
destroy guest
C

statuses_of() {
    local program=$1 status
    stockxl create -q -p guest.cfg
    while read -r call; do
        status=0
        # shellcheck disable=SC2086 # a call is words
        timeout 30 "$program" $call > out 2> err < /dev/null || status=$?
        echo "$status $call"
    done < calls
    stockxl destroy guest 2> /dev/null || true
}

statuses_of stockxl > stock.statuses
statuses_of xl > ours.statuses
same "exit statuses" stock.statuses ours.statuses
