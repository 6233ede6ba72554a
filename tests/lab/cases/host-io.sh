# What `ioports=`, `irqs=` and `iomem=` let a guest use of the host is what it is with stock xl, and so is the exit status
# where Xen refuses: what it uses itself, and what there is not. Of a guest that is refused nothing is left.
#: timeout = 300
. /lab/lib.sh

# Settings of one guest each; what is behind # is the key that Xen refuses.
cat > guests <<'C'
ioports=["2f8-2ff","378"]
irqs=[7]
iomem=["a0,2@f0000"]
ioports=["2f8"];irqs=[5,7];iomem=["a0,1@f0000","b0,8@f1000"]
ioports=["3f8-3ff"] # ioports
ioports=["378","fff0-10010"] # ioports
irqs=[4000] # irqs
iomem=["fee00,1"] # iomem
C

is_told() {
    stockxl dmesg | grep "VCPU information and callbacks for domain $1:"
}

# What Xen says that a domain may use, and what was mapped for it since the ring was emptied.
rights() {
    stockxl debug-keys q
    wait_for 20 is_told "$1"
    stockxl dmesg | sed -nE 's/.*(memory_map:.*) d[0-9]+ /\1 DOMAIN /p'
    stockxl dmesg | sed -nE "/Rangesets belonging to domain $1:/,/VCPU information/s/.*(Interrupts|I\/O Ports|I\/O Memory) /\1 /p"
}

# tell PROGRAM: what becomes of each guest.
tell() {
    local kind settings refused status
    for kind in pv pvh; do
        while IFS='#' read -r settings refused; do
            echo "== $kind: $settings"
            { "tiny_$kind" guest; echo "$settings"; } > guest.cfg
            stockxl dmesg -c > /dev/null
            status=0
            "$1" create -q -p guest.cfg 2> messages || status=$?
            echo "status $status"
            if exists guest; then
                rights "$(stockxl domid guest)"
                stockxl destroy guest
            elif [ "$1" = xl ] && is_ours; then
                grep -qF "(${refused# }=)" messages || fail "it does not say what was refused: $(cat messages)"
            fi
        done < guests
    done
}

host_state > before
tell stockxl | tee stock.told
tell xl | tee ours.told
same "what guests may use" stock.told ours.told
[ "$(grep -c '2f8-2ff' ours.told)" -ge 4 ] || fail "Xen tells of no right"
nothing_left before
