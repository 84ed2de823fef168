#!/bin/bash
# SPDX-License-Identifier: MIT
# Every command called with arguments that make no sense: it must say so and end with status 1 or 2 (or 0), and no
# sanitizer may complain. There is no daemon here, and nothing that the arguments name exists.
#
#   arguments_test.sh DOMUS
binary=$1
failures=0
said=$(mktemp)
trap 'rm -f "$said"' EXIT
long=$(head -c 70000 /dev/zero | tr '\0' 'a')
bytes=$'\xff\xfe\x80'

try()
{
    timeout 20 "$binary" "$@" </dev/null >"$said" 2>&1
    status=$?
    if [ $status -gt 2 ] || grep -q -a -e 'Sanitizer' -e 'runtime error' "$said"; then
        echo "domus ${*:0:100}: status $status"
        head -c 2000 "$said"
        failures=$((failures + 1))
    fi
}

commands=$("$binary" help | sed -n 's/^  \([a-z][a-z-]*\)  .*/\1/p')
[ "$(wc -w <<<"$commands")" -gt 25 ] || { echo "help lists few commands"; exit 1; }
for command in $commands; do
    options=$("$binary" help "$command" | sed -n 's/^  \(-.\), .*/\1/p')
    try "$command"
    try "$command" ''
    try "$command" "$long" "$long" "$long"
    try "$command" "$bytes" "$bytes=$bytes" "$bytes"
    try "$command" -1 -- -1 99999999999999999999 0x10
    try "$command" /nowhere/at/all '=' '==' 'a=['
    try "$command" --json "$bytes" "$long"
    for option in $options; do
        [ "$option" = -h ] && continue
        try "$command" "$option"
        try "$command" "$option" "$bytes" /nowhere
        try "$command" "$option" 99999999999999999999 /nowhere name
    done
done
try "$long"
try "$bytes"
try --nonsense
[ $failures = 0 ] && echo "hostile arguments: ok"
exit $failures
