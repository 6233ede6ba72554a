# What becomes of a guest that ends for each reason there is, by each action that a configuration can ask for: with a
# monitor of stock xl's and with one of ours the same domains are there afterwards, and the same is in its log. (Core files:
# see core-dump.)
#: timeout = 600
. /lab/lib.sh

cat > ends <<'C'
1 on_reboot     pv  preserve
4 on_watchdog   pvh restart
4 on_watchdog   pv  rename-restart
5 on_soft_reset pv  restart
5 on_soft_reset pvh preserve
9 on_crash      pv  destroy
C

log=/var/log/xen/xl-ended.log

# What a monitor has said, without domids, process numbers and times.
said() {
    sed -E -e 's/\[pid [0-9]+\]/[pid N]/' -e 's/(domid|[Dd]omain) [0-9]+/\1 N/g' -e 's/[0-9]{8}T[0-9]{4}Z/TIME/g' $log
}

# The monitor has nothing more to do with the domain that ended, or waits for the one after it.
settled() {
    said | tail -n 1 | grep -q -e "^Done. Exiting now" || [ "$(said | grep -c '^Waiting for domain')" = 2 ]
}

end_all() {
    local program=$1 reason key kind action
    while read -r reason key kind action; do
        echo "== $kind, $key = $action, reason $reason"
        rm -f $log*
        { "tiny_$kind" ended; echo "$key = '$action'"; } > ended.cfg
        "$program" create -q ended.cfg
        perl /lab/shut-down "$(stockxl domid ended)" "$reason"
        wait_for 60 settled
        stockxl list | awk 'NR > 1 && $2 != 0 { print $1, $5 }' | sed -E 's/[0-9]{8}T[0-9]{4}Z/TIME/; s/[r-][b-]----$/running/' | sort
        said
        for domid in $(stockxl list | awk 'NR > 1 && $2 != 0 { print $2 }'); do
            stockxl destroy "$domid"
        done
        nothing_left before
    done < ends
}

host_state > before
end_all stockxl | tee stock.told
end_all xl | tee ours.told
same "how guests end" stock.told ours.told

# Neither can reset a PVH guest in place: it is gone.
tiny_pvh ended > ended.cfg
for program in stockxl xl; do
    $program create -q ended.cfg
    perl /lab/shut-down "$(stockxl domid ended)" 5
    wait_for 60 gone ended
    nothing_left before
done
grep 'cannot be soft reset' $log
