# Keyboards, trusted platform modules, displays, sound cards and PV calls that another domain serves: the nodes, the
# stored configuration and the lists are stock xl's, at creation and attached later; each xl detaches the other's.
#: timeout = 600
. /lab/lib.sh

host_state > before
small_server
server=$(stockxl domid server)

{
    tiny_pv small
    cat << 'END'
vkb = ["backend=server,backend-type=linux,unique-id=keys,feature-abs-pointer=1,width=800,height=600",
       "backend=server,backend-type=qemu,feature-multi-touch=1,multi-touch-width=10,multi-touch-height=20,multi-touch-num-contacts=2"]
vtpm = ["backend=server,uuid=c0ffee00-0000-4000-8000-000000000001"]
vdispl = ["backend=server,be-alloc=1,connectors=left:1920x1080;right:800x600"]
vsnd = [["card, backend=server, short-name=main, long-name=Main card, sample-rates=44100;48000, sample-formats=s16_le;s8",
         "pcm, name=speakers, channels-max=2", "stream, unique-id=out, type=p, buffer-size=4096",
         "stream, unique-id=in, type=c"]]
pvcalls = ["backend=server"]
END
} > small.cfg

# attach PROGRAM: one more of each.
attach() {
    run "$1" vkb-attach small backend=server backend-type=linux unique-id=more
    run "$1" vtpm-attach small backend=server uuid=c0ffee00-0000-4000-8000-000000000002
    run "$1" vdispl-attach small backend=server connectors=third:640x480
    run "$1" vsnd-attach small "card, backend=server, short-name=more" "pcm, name=p" "stream, unique-id=s, type=c"
}

# detach PROGRAM
detach() {
    run "$1" vkb-detach small 2
    run "$1" vtpm-detach small c0ffee00-0000-4000-8000-000000000002
    run "$1" vdispl-detach small 1
    run "$1" vsnd-detach small 1
}

lists() {
    local list
    for list in vkb-list vtpm-list vdispl-list vsnd-list channel-list; do
        echo "$list"
        "$1" $list small
    done
}

for program in stockxl xl; do
    run $program create -q -p small.cfg
    domid=$(stockxl domid small)
    varying="s/backend-id = \"$server\"/backend-id = \"SERVER\"/; s/\/domain\/$domid\b/\/domain\/DOMID/g; s/\/$domid\//\/DOMID\//g; s/handle: $domid\b/handle: DOMID/"
    xenstore_of "$domid" > $program.created
    userdata_of "$domid" > $program.stored
    attach $program
    xenstore_of "$domid" > $program.attached
    userdata_of "$domid" > $program.stored-later
    lists $program | sed "$varying" > $program.lists
    [ $program = xl ] && other=stockxl || other=xl
    lists $other | sed "$varying" > $program.lists-by-other
    detach $other
    xenstore_of "$domid" > $program.detached
    $other destroy small
done
for what in created stored attached stored-later lists lists-by-other detached; do
    same $what stockxl.$what xl.$what
done
if is_ours; then
    same "lists" xl.lists xl.lists-by-other
    same "after attach and detach" xl.created xl.detached

    # Stock xl overwrites the first channel of a guest.
    { tiny_pv small; echo 'channel = ["backend=server,name=a,connection=pty", "backend=server,name=b,connection=socket,path=/run/b"]'; } > channels.cfg
    xl create -q -p channels.cfg
    stockxl channel-list small > stockxl.channels
    xl channel-list small > xl.channels
    same "channels" stockxl.channels xl.channels
    [ "$(wc -l < xl.channels)" = 3 ] || fail "a channel is missing: $(cat xl.channels)"
    [ "$(xl channel-list -o json small | grep -c '"connection"')" = 2 ]
    xl destroy small
fi

end_small_server
nothing_left before
