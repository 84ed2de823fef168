/* SPDX-License-Identifier: MIT */
/*
 * Reads ELF headers and Xen's notes; see pv_elf.h. Every structure is copied out of the file, so that its alignment
 * there does not matter.
 */
#include <elf.h>
#include <stdint.h>
#include <string.h>

#include <xen/elfnote.h>
#include <xen/xen.h>

#include "build/payload.h"
#include "build/pv_elf.h"
#include "build/refuse.h"

#define NOTES_MAX 32

static const char remedy_damaged[] = "the file is incomplete or damaged: copy or install it again";
static const char remedy_no_pv[] =
    "use a kernel built with CONFIG_XEN_PV (Debian's kernels are), or another type of guest";

struct file {
    const uint8_t *data;
    size_t size;
    struct failure *failure;
};

/* The notes that matter here, as found: numbers, and whether each was there at all. */
struct notes {
    uint64_t value[NOTES_MAX];
    bool present[NOTES_MAX];
    bool version_ok;
};

static bool range_in_file(const struct file *file, uint64_t offset, uint64_t length)
{
    return offset <= file->size && length <= file->size - offset;
}

static int read_header(const struct file *file, Elf64_Ehdr *header)
{
    if (file->size < sizeof(*header))
        return refuse(file->failure, remedy_damaged, "it is only %zu bytes long", file->size);
    memcpy(header, file->data, sizeof(*header));
    if (memcmp(header->e_ident, ELFMAG, SELFMAG) != 0) {
        return refuse(file->failure, "give a Linux bzImage (vmlinuz), or an ELF kernel with Xen notes",
                      "what it contains is not an ELF kernel");
    }
    if (header->e_ident[EI_CLASS] == ELFCLASS32) {
        return refuse(file->failure, "use an x86-64 kernel",
                      "it is a 32-bit kernel, and paravirtualized guests are of 64 bits");
    }
    if (header->e_ident[EI_CLASS] != ELFCLASS64 || header->e_ident[EI_DATA] != ELFDATA2LSB ||
        header->e_machine != EM_X86_64)
        return refuse(file->failure, "use an x86-64 kernel", "it is not for 64-bit x86 processors");
    if (header->e_phentsize != sizeof(Elf64_Phdr) ||
        !range_in_file(file, header->e_phoff, (uint64_t)header->e_phnum * sizeof(Elf64_Phdr)))
        return refuse(file->failure, remedy_damaged, "its ELF program headers lie outside of the file");
    return 0;
}

static int add_segment(const struct file *file, const Elf64_Phdr *header, struct pv_kernel *kernel)
{
    struct pv_segment *segment = &kernel->segments[kernel->segment_count];

    if (header->p_memsz == 0)
        return 0;
    if (kernel->segment_count == PV_SEGMENTS_MAX) {
        return refuse(file->failure, "use an ordinary kernel image", "it has more than %u parts to load",
                      PV_SEGMENTS_MAX);
    }
    if (!range_in_file(file, header->p_offset, header->p_filesz))
        return refuse(file->failure, remedy_damaged, "part %u of it lies outside of the file", kernel->segment_count);
    if (header->p_filesz > header->p_memsz || header->p_memsz > KERNEL_SIZE_MAX ||
        header->p_paddr > UINT64_MAX - KERNEL_SIZE_MAX) {
        return refuse(file->failure, remedy_damaged, "part %u of it has an impossible size or address",
                      kernel->segment_count);
    }
    segment->address = header->p_paddr;
    segment->memory_size = header->p_memsz;
    segment->file_offset = header->p_offset;
    segment->file_size = header->p_filesz;
    kernel->segment_count++;
    return 0;
}

static void take_note(struct notes *notes, uint32_t type, const uint8_t *value, uint32_t length)
{
    static const char version[] = "xen-3.0";

    if (type >= NOTES_MAX || notes->present[type])
        return;
    if (type == XEN_ELFNOTE_XEN_VERSION) {
        notes->present[type] = true;
        notes->version_ok = length >= sizeof(version) - 1 && memcmp(value, version, sizeof(version) - 1) == 0;
    } else if (length == sizeof(uint32_t) || length == sizeof(uint64_t)) {
        notes->present[type] = true;
        memcpy(&notes->value[type], value, length);
    }
}

/* Walk the notes between `offset` and `end`, which lie within the file. A broken note ends the walk. */
static void scan_notes(const struct file *file, uint64_t offset, uint64_t end, struct notes *notes)
{
    Elf64_Nhdr note;

    while (end - offset >= sizeof(note)) {
        uint64_t name, value, next;

        memcpy(&note, file->data + offset, sizeof(note));
        name = offset + sizeof(note);
        value = name + ((uint64_t)note.n_namesz + 3) / 4 * 4;
        next = value + ((uint64_t)note.n_descsz + 3) / 4 * 4;
        if (value + note.n_descsz > end)
            return;
        if (note.n_namesz == sizeof("Xen") && memcmp(file->data + name, "Xen", sizeof("Xen")) == 0)
            take_note(notes, note.n_type, file->data + value, note.n_descsz);
        if (next > end)
            return;
        offset = next;
    }
}

static int scan_program_headers(const struct file *file, const Elf64_Ehdr *header, struct pv_kernel *kernel,
                                struct notes *notes)
{
    for (unsigned int i = 0; i < header->e_phnum; i++) {
        Elf64_Phdr program;

        memcpy(&program, file->data + header->e_phoff + i * sizeof(program), sizeof(program));
        if (program.p_type == PT_LOAD && add_segment(file, &program, kernel) < 0)
            return -1;
        if (program.p_type == PT_NOTE && range_in_file(file, program.p_offset, program.p_filesz))
            scan_notes(file, program.p_offset, program.p_offset + program.p_filesz, notes);
    }
    if (kernel->segment_count == 0)
        return refuse(file->failure, remedy_damaged, "there is nothing to load in it");
    return 0;
}

/* Copy what the notes say, and refuse a kernel that is not made to run paravirtualized. */
static int apply_notes(const struct file *file, const struct notes *notes, struct pv_kernel *kernel)
{
    if (!notes->present[XEN_ELFNOTE_ENTRY] || !notes->present[XEN_ELFNOTE_VIRT_BASE]) {
        return refuse(file->failure, remedy_no_pv, "it cannot run as a paravirtualized guest: it has %s",
                      notes->present[XEN_ELFNOTE_PHYS32_ENTRY] ? "Xen's notes for PVH guests only" : "no Xen notes");
    }
    if (notes->present[XEN_ELFNOTE_XEN_VERSION] && !notes->version_ok)
        return refuse(file->failure, remedy_no_pv, "it is made for another version of the interface than xen-3.0");
    if (notes->present[XEN_ELFNOTE_HV_START_LOW] && notes->value[XEN_ELFNOTE_HV_START_LOW] > HYPERVISOR_VIRT_START)
        return refuse(file->failure, remedy_no_pv, "it wants the hypervisor at a higher address than it can be");
    kernel->entry = notes->value[XEN_ELFNOTE_ENTRY];
    kernel->virt_base = notes->value[XEN_ELFNOTE_VIRT_BASE];
    kernel->has_hypercall_page = notes->present[XEN_ELFNOTE_HYPERCALL_PAGE];
    kernel->hypercall_page = notes->value[XEN_ELFNOTE_HYPERCALL_PAGE];
    kernel->has_p2m_base = notes->present[XEN_ELFNOTE_INIT_P2M];
    kernel->p2m_base = notes->value[XEN_ELFNOTE_INIT_P2M];
    kernel->ramdisk_unmapped = notes->value[XEN_ELFNOTE_MOD_START_PFN] == 1;
    return 0;
}

/* Move the segments to pseudo-physical addresses and check that all that the notes name lies within them. */
static int place(const struct file *file, uint64_t paddr_offset, struct pv_kernel *kernel)
{
    uint64_t size;

    kernel->start = UINT64_MAX;
    kernel->end = 0;
    for (unsigned int i = 0; i < kernel->segment_count; i++) {
        struct pv_segment *segment = &kernel->segments[i];

        if (segment->address < paddr_offset)
            return refuse(file->failure, remedy_damaged, "part %u of it is to be loaded below address 0", i);
        segment->address -= paddr_offset;
        if (segment->address < kernel->start)
            kernel->start = segment->address;
        if (segment->address + segment->memory_size > kernel->end)
            kernel->end = segment->address + segment->memory_size;
    }
    size = kernel->end - kernel->start;
    if (size > KERNEL_SIZE_MAX || kernel->end > UINT64_MAX - kernel->virt_base)
        return refuse(file->failure, remedy_damaged, "its parts are scattered over impossible addresses");
    if (kernel->entry - kernel->virt_base - kernel->start >= size)
        return refuse(file->failure, remedy_damaged, "its entry point lies outside of it");
    if (kernel->has_hypercall_page &&
        (kernel->hypercall_page % PAGE_SIZE != 0 ||
         kernel->hypercall_page - kernel->virt_base - kernel->start > size - PAGE_SIZE || size < PAGE_SIZE))
        return refuse(file->failure, remedy_damaged, "its hypercall page lies outside of it");
    if (kernel->virt_base % PAGE_SIZE != 0 || kernel->p2m_base % PAGE_SIZE != 0)
        return refuse(file->failure, remedy_damaged, "an address in its Xen notes is not that of a page");
    return 0;
}

int pv_kernel_parse(const uint8_t *data, size_t size, struct pv_kernel *kernel, struct failure *failure)
{
    struct file file = {.data = data, .size = size, .failure = failure};
    struct notes notes = {0};
    Elf64_Ehdr header;

    memset(kernel, 0, sizeof(*kernel));
    if (read_header(&file, &header) < 0 || scan_program_headers(&file, &header, kernel, &notes) < 0 ||
        apply_notes(&file, &notes, kernel) < 0)
        return -1;
    return place(&file, notes.value[XEN_ELFNOTE_PADDR_OFFSET], kernel);
}
