/* SPDX-License-Identifier: MIT */
/*
 * Layout of the image. Linked at HV_VIRT_START + HV_LOAD_PHYS, loaded at HV_LOAD_PHYS. Sections follow each other in the
 * file as in memory, without gaps, so that a multiboot1 loader can take the image for a flat one.
 */
#include <asm/config.h>

/* Libraries that unpack dom0's kernel: needed while booting alone. */
#define BOOT_LIBRARIES *liblzma.a:* *libzstd.a:* *libz.a:* *liblz4.a:*
#define SEGMENT_AT(name) AT(ADDR(name) - HV_VIRT_START)

OUTPUT_FORMAT("elf64-x86-64")
ENTRY(start_multiboot)

PHDRS
{
    text PT_LOAD FLAGS(5);
    init_text PT_LOAD FLAGS(5);
    rodata PT_LOAD FLAGS(4);
    note PT_NOTE FLAGS(4);
    data PT_LOAD FLAGS(6);
    bss PT_LOAD FLAGS(6);       /* apart, lest its alignment make a gap in the file */
}

SECTIONS
{
    . = HV_VIRT_START + HV_LOAD_PHYS;
    _start = .;
    .text : SEGMENT_AT(.text) {
        _stext = .;
        KEEP(*(.text.head))
        KEEP(*(.text.entry))
        *(EXCLUDE_FILE(BOOT_LIBRARIES) .text EXCLUDE_FILE(BOOT_LIBRARIES) .text.*)
        _etext = .;
    } :text

    . = ALIGN(PAGE_SIZE);
    /* Given back to the heap after boot, as .init.data below: mm_seal(). */
    __start_init_text = ABSOLUTE(.);
    .init.text : SEGMENT_AT(.init.text) {
        *(.init.text .text .text.*)
    } :init_text
    . = ALIGN(PAGE_SIZE);
    __end_init_text = .;
    .rodata : SEGMENT_AT(.rodata) {
        __start_rodata = .;
        *(.rodata .rodata.*)
        . = ALIGN(8);
        __start_params = .;
        KEEP(*(params))
        __stop_params = .;
        . = ALIGN(8);
        __start_ex_table = .;
        KEEP(*(.ex_table))
        __stop_ex_table = .;
        __start_smap_stac = .;
        KEEP(*(.smap_stac))
        __stop_smap_stac = .;
        __start_smap_clac = .;
        KEEP(*(.smap_clac))
        __stop_smap_clac = .;
        __init_array_start = .;     /* constructors of the decompression libraries */
        KEEP(*(.init_array .init_array.*))
        __init_array_end = .;
    } :rodata
    .note.Xen : SEGMENT_AT(.note.Xen) {
        KEEP(*(.note.Xen))
    } :rodata :note
    . = ALIGN(PAGE_SIZE);
    __end_rodata = .;

    __start_init_data = ABSOLUTE(.);
    .init.data : SEGMENT_AT(.init.data) {
        *(.init.data .init.rodata)
    } :data
    . = ALIGN(PAGE_SIZE);
    __end_init_data = .;

    .data : SEGMENT_AT(.data) {
        __start_ro_after_init = .;
        *(.data.ro_after_init)
        . = ALIGN(PAGE_SIZE);
        __end_ro_after_init = .;
        *(.data.page_aligned)
        *(.data .data.rel .data.rel.* .data.read_mostly)
        . = ALIGN(64);
        __percpu_start = .;
        *(.data.percpu)
        . = ALIGN(64);
        __percpu_end = .;
        *(.data.*)
        *(.got .got.plt .igot.plt)
    } :data
    __load_end = .;

    .bss (NOLOAD) : SEGMENT_AT(.bss) {
        . = ALIGN(STACK_SIZE);
        *(.bss.stack_aligned)
        . = ALIGN(PAGE_SIZE);
        *(.bss.page_aligned)
        *(.bss .bss.* COMMON)
        . = ALIGN(64);
        __percpu_template = .;
        . += __percpu_end - __percpu_start;
    } :bss
    . = ALIGN(PAGE_SIZE);
    _end = .;

    /* The linker opens these always; code linked at a fixed address has nothing to put there. */
    .plt : SEGMENT_AT(.plt) { *(.plt .plt.* .iplt) }
    .rela.dyn : SEGMENT_AT(.rela.dyn) { *(.rela.*) }

    /DISCARD/ : {
        *(.comment .note.GNU-stack .note.gnu.property .eh_frame .eh_frame_hdr .discard .discard.*)
    }
    .stab 0 : { *(.stab) }
    .debug_abbrev 0 : { *(.debug_abbrev) }
    .debug_info 0 : { *(.debug_info) }
    .debug_line 0 : { *(.debug_line) }
    .debug_line_str 0 : { *(.debug_line_str) }
    .debug_str 0 : { *(.debug_str) }
    .debug_str_offsets 0 : { *(.debug_str_offsets) }
    .debug_addr 0 : { *(.debug_addr) }
    .debug_ranges 0 : { *(.debug_ranges) }
    .debug_rnglists 0 : { *(.debug_rnglists) }
    .debug_loc 0 : { *(.debug_loc) }
    .debug_loclists 0 : { *(.debug_loclists) }
    .debug_aranges 0 : { *(.debug_aranges) }
    .debug_frame 0 : { *(.debug_frame) }
    .symtab 0 : { *(.symtab) }
    .strtab 0 : { *(.strtab) }
    .shstrtab 0 : { *(.shstrtab) }
}

NOCROSSREFS_TO(.init.text .text)
NOCROSSREFS_TO(.init.data .text)
ASSERT(_stext == _start, "the headers must come first")
ASSERT(_end - _start < 0x3e00000, "the image does not fit the boot page tables")
ASSERT(SIZEOF(.plt) == 0, "calls through a procedure linkage table")
ASSERT(SIZEOF(.rela.dyn) == 0, "relocations that nobody would apply")
