# shellcheck shell=sh
# What Xen's init scripts for System V and OpenRC share.

PATH=$PATH:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
# shellcheck disable=SC2034 # they are for the scripts
run_dir=/run/xen log_dir=/var/log/xen

# settings NAME: reads the operator's settings.
settings() {
    for settings_file in "/etc/default/$1" "/etc/sysconfig/$1" "/etc/conf.d/$1"; do
        # shellcheck source=/dev/null
        [ ! -r "$settings_file" ] || . "$settings_file"
    done
}

# Makes /proc/xen what it is, and tells whether this kernel runs under Xen.
under_xen() {
    [ -d /proc/xen ] || return 1
    [ -e /proc/xen/capabilities ] || mount -t xenfs xenfs /proc/xen
    [ -e /proc/xen/capabilities ]
}

# Whether this is the domain of the toolstack.
is_control_domain() {
    under_xen && grep -q control_d /proc/xen/capabilities
}

# helper NAME: prints where one of Xen's own programs is.
helper() {
    for helper_file in /usr/local/lib/xen/bin/"$1" /usr/lib/xen/bin/"$1" /usr/libexec/xen/bin/"$1" /usr/lib/xen-*/bin/"$1"; do
        if [ -x "$helper_file" ]; then
            echo "$helper_file"
            return
        fi
    done
    command -v "$1"
}

# process_of PIDFILE PROGRAM: prints the process if it runs; a number that another program has by now is nobody's.
process_of() {
    process=$(cat "$1" 2> /dev/null) || return 1
    case $process in '' | *[!0-9]*) return 1 ;; esac
    case $(cat "/proc/$process/comm" 2> /dev/null) in
        "$2") echo "$process" ;;
        *) return 1 ;;
    esac
}

# settles COMMAND...: waits until the command succeeds, ten seconds at most. (Another's child cannot be waited for.)
settles() {
    give_up=$(($(date +%s) + 10))
    until "$@" > /dev/null; do
        [ "$(date +%s)" -lt $give_up ] || return 1
        sleep 0.1
    done
}

has_ended() {
    ! process_of "$1" "$2"
}

# end_process PIDFILE PROGRAM: tells it to end and waits until it has; in the end it is killed.
end_process() {
    ending=$(process_of "$1" "$2") || {
        rm -f "$1"
        return 0
    }
    kill "$ending"
    settles has_ended "$1" "$2" || kill -KILL "$ending" 2> /dev/null
    rm -f "$1"
}
