# shellcheck shell=bash
# Steps that scripts of network interfaces share.

# Packets to the backend's end of an interface are never for itself. The highest address that is no broadcast keeps a
# bridge from taking it for its own.
VIRTUAL_PORT_ADDRESS=fe:ff:ff:ff:ff:ff

setup_virtual_bridge_port() {
    ip link set dev "$1" down
    ip link set dev "$1" address $VIRTUAL_PORT_ADDRESS || true
    ip address flush dev "$1"
}

setup_physical_bridge_port() {
    ip link set dev "$1" down
    ip address flush dev "$1"
}

# create_bridge BRIDGE: unless there is one.
create_bridge() {
    [ -e "/sys/class/net/$1/bridge" ] || ip link add name "$1" type bridge stp_state 0 forward_delay 0
}

# add_to_bridge BRIDGE INTERFACE
add_to_bridge() {
    if [ ! -e "/sys/class/net/$1/brif/$2" ]; then
        do_or_die ip link set dev "$2" master "$1"
    fi
    do_or_die ip link set dev "$2" up
}

# remove_from_bridge BRIDGE INTERFACE: the interface may be gone already.
remove_from_bridge() {
    [ -e "/sys/class/net/$2" ] || return 0
    do_without_error ip link set dev "$2" down
    if [ -e "/sys/class/net/$1/brif/$2" ]; then
        do_without_error ip link set dev "$2" nomaster
    fi
}

# set_mtu BRIDGE INTERFACE TYPE: the size that the configuration says, or else the bridge's; the guest is told.
set_mtu() {
    local bridge=$1 interface=$2 type=$3 mtu frontend
    mtu=$(xenstore_read_default "$XENBUS_PATH/mtu" '')
    if [ -z "$mtu" ] && [ -e "/sys/class/net/$bridge/mtu" ]; then
        mtu=$(< "/sys/class/net/$bridge/mtu")
    fi
    [[ $mtu =~ ^[1-9][0-9]*$ ]] || return 0
    ip link set dev "$interface" mtu "$mtu" || log err "$interface cannot have an MTU of $mtu"
    if [ "$type" = vif ]; then
        frontend=$(xenstore_read "$XENBUS_PATH/frontend")
        xenstore_write "$frontend/mtu" "$mtu"
    fi
}
