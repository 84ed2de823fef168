#!/bin/bash
# SPDX-License-Identifier: MIT
# Completion offers every command, every option of each, and domains, definitions or files where the usage names them.
#
#   completion_test.sh DOMUS COMPLETION
set -u
binary=$1
failures=0

domus()
{
    case $1 in
    list) printf 'Name ID\nDomain-0 0\ndemo 1\n' ;;
    *) "$binary" "$@" ;;
    esac
}

# complete WORD...: what is offered for the last word, in $offered.
complete_words()
{
    COMP_WORDS=(domus "$@")
    COMP_CWORD=$#
    _domus
    offered=" ${COMPREPLY[*]} "
}

expect()
{
    case $offered in
    *" $1 "*) ;;
    *)
        echo "completion of '${COMP_WORDS[*]}' does not offer $1, but:$offered"
        failures=$((failures + 1))
        ;;
    esac
}

. "$2"
commands=$(domus help | sed -n 's/^  \([a-z][a-z-]*\)  .*/\1/p')
[ "$(wc -w <<<"$commands")" -gt 25 ] || { echo "help lists few commands"; exit 1; }
complete_words ''
for command in $commands; do
    expect "$command"
done
for command in $commands; do
    complete_words "$command" --
    for option in $(domus help "$command" | sed -n 's/^  -., \(--[a-z-]*\).*/\1/p'); do
        expect "$option"
    done
    complete_words "$command" ''
    case $(domus help "$command" | head -n 1) in
    *DOMAIN*) expect demo ;;
    *FILE*) expect "$(ls | head -n 1)" ;;
    esac
done
complete_words help shut
expect shutdown
[ $failures = 0 ] && echo "completion: ok"
exit $failures
