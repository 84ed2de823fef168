# SPDX-License-Identifier: MIT
#
# Completion of domus commands for bash: source this file, or install it as /usr/share/bash-completion/completions/domus.
# Commands and options are taken from `domus help` itself, domain names from `domus list`.

_domus_words()
{
    domus help ${1:+"$1"} 2>/dev/null
}

_domus_domains()
{
    domus list 2>/dev/null | awk 'NR > 1 { print $1 }'
}

_domus()
{
    local current=${COMP_WORDS[COMP_CWORD]} command=${COMP_WORDS[1]}

    COMPREPLY=()
    if [ "$COMP_CWORD" -eq 1 ]; then
        COMPREPLY=($(compgen -W "$(_domus_words | awk '/^  [a-z]/ { print $1 }')" -- "$current"))
        return
    fi
    if [[ $current == -* ]]; then
        COMPREPLY=($(compgen -W "$(_domus_words "$command" | grep -o -- '--[a-z-]*')" -- "$current"))
        return
    fi
    case $command in
    create)
        compopt -o filenames
        COMPREPLY=($(compgen -f -- "$current"))
        ;;
    help)
        COMPREPLY=($(compgen -W "$(_domus_words | awk '/^  [a-z]/ { print $1 }')" -- "$current"))
        ;;
    list | console | pause | unpause | shutdown | reboot | destroy | rename | domid | mem-set | mem-max | vcpu-set | vcpu-list | \
        vcpu-pin | cpupool-migrate)
        COMPREPLY=($(compgen -W "$(_domus_domains)" -- "$current"))
        ;;
    esac
}

complete -F _domus domus
