# What Xen's host decides of a configuration: `xl check` finds a name that is taken, and a guest that asks for what this
# Xen or its host does not have is refused, with nothing left of it.
#: timeout = 120
. /lab/lib.sh

# fails WORDS COMMAND...: the command has status 1, and these words are in its messages.
fails() {
    local words=$1 status=0
    shift
    run "$@" 2> messages > /dev/null || status=$?
    [ $status = 1 ] && grep -qF "$words" messages || fail "$*: status $status: $(cat messages)"
}

host_state > before
tiny_pv guest > guest.cfg
run stockxl create -q -p guest.cfg
if is_ours; then
    fails "there is already a domain" xl check guest.cfg
    run xl check guest.cfg name='"other"'

    while read -r setting words; do
        run xl create -n -q guest.cfg name='"other"' "$setting" 2> messages > /dev/null
        grep -qF "$words" messages || fail "$setting: $(cat messages)"
        fails "$words" xl create -q guest.cfg name='"other"' "$setting"
    done << 'SETTINGS'
tee="optee" is for Arm hosts
p9=["type=xen_9pfsd,security_model=none"] needs a later version of Xen
bootloader="x";bootloader_restrict=1 needs a later version of Xen
SETTINGS
fi
run stockxl destroy guest
nothing_left before
