# shellcheck shell=bash
# What the scripts of network interfaces share. They are called with
#
#   online|offline type_if=vif  for the PV interface; its name is in $vif
#   add|remove type_if=tap      for the emulated one; its name is in $INTERFACE
#
# and find in `command`, `type_if`, `dev` and `ip` what to do with which interface; `netdev` is gatewaydev=.

# shellcheck source=xen-hotplug-common.sh
. "${BASH_SOURCE[0]%/*}/xen-hotplug-common.sh"
# shellcheck source=xen-network-common.sh
. "${BASH_SOURCE[0]%/*}/xen-network-common.sh"

command='' type_if=vif
findCommand "$@"
evalVariables "$@"

case $type_if:$command in
    vif:online | vif:offline) dev=${vif:?} ;;
    tap:add | tap:remove) dev=${INTERFACE:?} ;;
    # A udev rule's call for the other kind.
    vif:add | vif:remove | tap:online | tap:offline) exit 0 ;;
    *) fatal "$0: cannot do \"$command\" with an interface of type \"$type_if\"" ;;
esac

# The emulated interface is called vifDOMID.DEVID-emu.
if [ "$type_if" = tap ] && [ -z "${XENBUS_PATH:-}" ]; then
    number=${dev#vif}
    number=${number%-emu}
    XENBUS_PATH=/local/domain/0/backend/vif/${number%.*}/${number#*.}
fi
XENBUS_PATH=${XENBUS_PATH:?}

# rename_interface NAME: gives the interface the name of vifname=, if that is free.
rename_interface() {
    if [ -e "/sys/class/net/$1" ]; then
        fatal "$dev cannot be called $1 (vifname=): there is an interface of that name"
    fi
    do_or_die ip link set dev "$dev" name "$1"
}

# was_renamed: whether it has the name of vifname=, or had it if it is gone already. Where that name could not be given
# it is another guest's. The emulated interface is no device, but has its name after the PV one.
was_renamed() {
    local number=${XENBUS_PATH##*/vif/} found=/sys/class/net/$vifname
    [ ! -e "/sys/class/net/$dev" ] || return 1
    [ ! -e "$found" ] || [[ $(readlink "$found/device") == */vif-${number/\//-} ]]
}

vifname=$(xenstore_read_default "$XENBUS_PATH/vifname" '')
if [ -n "$vifname" ]; then
    new_name=$vifname
    [ "$type_if" = vif ] || new_name=$vifname-emu
    case $command in
        online | add)
            rename_interface "$new_name"
            dev=$new_name
            ;;
        offline | remove) ! was_renamed || dev=$new_name ;;
    esac
fi

ip=$(xenstore_read_default "$XENBUS_PATH/ip" "${ip:-}")

# rule ARGUMENT...: inserts or deletes a rule that lets bridged packets through.
rule() {
    local change=-D
    case $command in
        online | add) change=-I ;;
    esac
    iptables -w "$change" FORWARD -m physdev --physdev-is-bridged "$@" -j ACCEPT 2> /dev/null || [ $change = -D ] ||
        log err "iptables refuses a rule for $dev; packets of the guest may be dropped"
}

# Lets the guest's packets through the host's packet filter, where there is one: those from the addresses of ip=, if it
# has any, and its requests for an address.
handle_iptable() {
    local address
    iptables -w -L FORWARD -n > /dev/null 2>&1 || return 0
    if [ -n "$ip" ]; then
        for address in $ip; do
            [[ $address == *:* ]] || rule --physdev-in "$dev" -s "$address"
        done
        rule --physdev-in "$dev" -p udp --sport 68 --dport 67
    else
        rule --physdev-in "$dev"
    fi
    rule --physdev-out "$dev"
}

# ip_of INTERFACE: its first IPv4 address.
ip_of() {
    ip -4 -o addr show primary dev "$1" | awk '$3 == "inet" { sub("/.*", "", $4); print $4; exit }'
}

# dom0_ip: the address of gatewaydev=, or else of eth0.
dom0_ip() {
    local address gateway=${netdev:-eth0}
    address=$(ip_of "$gateway" 2> /dev/null) || true
    [ -n "$address" ] || fatal "$gateway has no address; bring it up or name another interface (gatewaydev=)"
    echo "$address"
}

# done_with_interface: what each script ends with.
done_with_interface() {
    call_hooks vif post
    if [ "$command" = online ]; then
        success
    fi
}
