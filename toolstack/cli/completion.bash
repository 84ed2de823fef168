# SPDX-License-Identifier: MIT
#
# Completion of domus commands for bash: source this file, or install it as /usr/share/bash-completion/completions/domus.
# All that it offers it takes from domus itself: commands, options and kinds of arguments from `domus help`, domains from
# `domus list`, definitions from their folder.

_domus_commands()
{
    domus help 2>/dev/null | awk '/^  [a-z]/ { print $1 }'
}

_domus_domains()
{
    domus list 2>/dev/null | awk 'NR > 1 { print $1 }'
}

_domus_guests()
{
    local path

    for path in /etc/domus/guests/*.cfg; do
        path=${path##*/}
        echo "${path%.cfg}"
    done
}

# The words that the command may have next, by its line "usage: domus COMMAND ARGUMENTS".
_domus_arguments()
{
    case $1 in *DOMAIN*) _domus_domains ;; esac
    case $1 in *GUEST*) _domus_guests ;; esac
    case $1 in *COMMAND*) _domus_commands ;; esac
}

_domus()
{
    local current=${COMP_WORDS[COMP_CWORD]} help usage

    COMPREPLY=()
    if [ "$COMP_CWORD" -eq 1 ]; then
        COMPREPLY=($(compgen -W "$(_domus_commands)" -- "$current"))
        return
    fi
    help=$(domus help "${COMP_WORDS[1]}" 2>/dev/null) || return
    if [[ $current == -* ]]; then
        COMPREPLY=($(compgen -W "$(grep -o -- '^  -., --[a-z-]*' <<<"$help" | grep -o -- '--.*')" -- "$current"))
        return
    fi
    usage=${help%%$'\n'*}
    usage=${usage#usage: domus * }
    COMPREPLY=($(compgen -W "$(_domus_arguments "$usage")" -- "$current"))
    if [[ $usage == *FILE* ]]; then
        compopt -o filenames 2>/dev/null
        COMPREPLY+=($(compgen -f -- "$current"))
    fi
}

complete -F _domus domus
