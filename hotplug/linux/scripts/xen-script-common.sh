# shellcheck shell=bash
# A script's arguments: one command, and NAME=VALUE pairs.

set -e

# findCommand ARGUMENT...: sets `command` to the first argument that is no pair.
findCommand() {
    local argument
    for argument in "$@"; do
        if [[ $argument != *=* ]]; then
            # shellcheck disable=SC2034 # it is for the script
            command=$argument
            return
        fi
    done
}

# evalVariables ARGUMENT...: sets each pair's variable. A value is never run as shell.
evalVariables() {
    local argument
    for argument in "$@"; do
        if [[ $argument =~ ^([A-Za-z_][A-Za-z0-9_]*)=(.*)$ ]]; then
            declare -g "${BASH_REMATCH[1]}=${BASH_REMATCH[2]}"
        fi
    done
}
