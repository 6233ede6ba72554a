# Two hosts with a bridge each, xenbr0, and a wire between those. A case runs on the first, 10.9.0.1, and tells the second,
# 10.9.0.3, what to do; a guest is 10.9.0.2 (guest-init) on either.
first=10.9.0.1 second=10.9.0.3

# join ADDRESS: the bridge of this host, with the wire; `wire` is this end's interface.
join() {
    modprobe virtio_net
    wait_for 10 ls -d /sys/bus/virtio/drivers/virtio_net/virtio*/net
    wire=$(ls /sys/bus/virtio/drivers/virtio_net/virtio*/net)
    bridge xenbr0 "$1"
    ip link set "$wire" master xenbr0 up
    # Each packet is an interrupt through an emulated machine and Xen.
    ip link set "$wire" mtu 65000
    ip link set xenbr0 mtu 65000
}

# serve: does what the other host says, for ever. A command may go on when it has read all that it gets.
serve() {
    exec socat -b 262144 -t 600 TCP-LISTEN:1000,fork,reuseaddr "EXEC:bash /lab/told"
}

# there COMMAND: prints what it prints on the second host; fails as it does.
there() {
    local answer
    echo "\$ second host: $*" >&2
    answer=$(python3 /lab/on-host $second "( $* ) 2>&1; echo \"ended \$?\"" < /dev/null)
    printf '%s\n' "$answer" | sed '$d'
    [ "${answer##*ended }" = 0 ]
}
