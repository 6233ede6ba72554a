# What xl config-update leaves for a domain is what stock xl leaves, from either form of the configuration, and the
# domain has it after its next reboot.
#: timeout = 300
. /lab/lib.sh

left_for() {
    tr -d '\000' < /var/lib/xen/userdata-d."$1".*.xl
}

host_state > before
rm -f /var/log/xen/console/guest-update.log /var/log/xen/xl-update.log
linux update pvh > update.cfg
run xl create -q update.cfg
domid=$(stockxl domid update)

run stockxl config-update update update.cfg memory=160
left_for "$domid" > stock.text
run xl config-update update update.cfg memory=160
left_for "$domid" > ours.text
same "text for the next reboot" stock.text ours.text

for program in stockxl xl; do
    status=0
    $program config-update nobody update.cfg > /dev/null 2>&1 || status=$?
    echo "no such domain: $status" > "$program.statuses"
    status=0
    $program config-update update missing.cfg > /dev/null 2>&1 || status=$?
    echo "no such file: $status" >> "$program.statuses"
done
same "exit statuses" stockxl.statuses xl.statuses

if is_ours; then
    ! xl config-update update update.cfg type='"hvm"' 2> messages || fail "the guest would be lost at its next reboot"
    grep -q 'type="hvm" is not supported yet' messages || fail "it does not say why: $(cat messages)"
    left_for "$domid" > after.text
    same "what was left before" ours.text after.text
    run xl convert update.cfg update.toml
    run xl config-update update update.toml memory=160
    left_for "$domid" > from-toml.cfg
    stockxl -N create from-toml.cfg uuid='"01234567-89ab-cdef-0123-456789abcdef"' > toml.json
    stockxl -N create stock.text uuid='"01234567-89ab-cdef-0123-456789abcdef"' > stock.json
    same "configuration from TOML" stock.json toml.json
fi

wait_for 90 is_up update
run xl reboot update
wait_for 60 sh -c "now=\$(stockxl domid update) && [ \"\$now\" != $domid ]"
# While it is built it has less.
wait_for 60 sh -c "[ \$(stockxl list update | awk 'NR == 2 { print \$3 }') = 160 ]"

if is_ours; then
    echo "== a guest whose place cannot be taken stays"
    run stockxl config-update update update.cfg bootloader='"pygrub"'
    perl /lab/shut-down "$(stockxl domid update)" 1
    wait_for 60 grep -q "stays as it is, shut down.*bootloader= is not supported yet" /var/log/xen/xl-update.log
    [[ $(stockxl list update | awk 'NR == 2 { print $5 }') = *s* ]] || fail "it is not there, shut down: $(stockxl list)"
fi
run xl destroy update
nothing_left before
