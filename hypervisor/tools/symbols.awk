# SPDX-License-Identifier: MIT
# Turns the sorted output of nm into the table that stack traces look functions up in (x86/symbols.c): offsets of all
# functions from _stext, offsets of their names, the names.

$2 ~ /^[tTwW]$/ && $3 !~ /^(_stext|_etext|\.L.*)$/ {
    if ($1 == last)
        next;
    last = $1;
    address[count] = $1;
    name[count++] = $3;
}

END {
    print ".section .rodata.symbols, \"a\", @progbits";
    print ".balign 4\n.globl symbol_count, symbol_address, symbol_name, symbol_text";
    print ".hidden symbol_count, symbol_address, symbol_name, symbol_text";
    print "symbol_count: .long " count + 0;
    print "symbol_address:";
    for (i = 0; i < count; i++)
        print ".long 0x" address[i] " - 0xffff828000000000";
    print "symbol_name:";
    for (i = 0; i < count; i++) {
        print ".long " offset;
        offset += length(name[i]) + 1;
    }
    print "symbol_text:";
    for (i = 0; i < count; i++)
        print ".asciz \"" name[i] "\"";
}

BEGIN { count = 0; offset = 0; }
