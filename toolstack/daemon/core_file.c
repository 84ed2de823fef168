/* SPDX-License-Identifier: MIT */
/*
 * The form of a core file; see core_file.h. Order: ELF header, section headers, names, notes; registers of the virtual
 * CPUs; shared info page; pages, aligned; the table of the pages, last because only then it is known which could be read.
 */
#include "core_file.h"

#include <elf.h>
#include <string.h>

#include <xen/elfnote.h>

#define CORE_MAGIC_PV 0xF00FEBEDU
#define FORMAT_VERSION 1

enum { SECTION_NONE, SECTION_NAMES, SECTION_NOTES, SECTION_CONTEXTS, SECTION_SHARED_INFO, SECTION_PAGES, SECTION_P2M,
       SECTION_COUNT };

static const char *const section_names[SECTION_COUNT] = {
    [SECTION_NONE] = "", [SECTION_NAMES] = ".shstrtab", [SECTION_NOTES] = ".note.Xen",
    [SECTION_CONTEXTS] = ".xen_prstatus", [SECTION_SHARED_INFO] = ".xen_shared_info", [SECTION_PAGES] = ".xen_pages",
    [SECTION_P2M] = ".xen_p2m",
};

/* Where the next bytes of the head go. */
struct cursor {
    uint8_t *head;
    size_t at;
};

static uint64_t align(uint64_t offset, uint64_t to)
{
    return (offset + to - 1) / to * to;
}

void core_file_plan(struct core_file *file)
{
    file->contexts = CORE_HEAD_SIZE;
    file->shared_info = file->contexts + file->vcpus * sizeof(vcpu_guest_context_t);
    file->first_page = align(file->shared_info + CORE_PAGE_SIZE, CORE_PAGE_SIZE);
    file->p2m = file->first_page + file->pages * CORE_PAGE_SIZE;
    file->end = file->p2m + file->pages * sizeof(struct core_p2m);
}

static void put(struct cursor *cursor, const void *data, size_t size)
{
    memcpy(cursor->head + cursor->at, data, size);
    cursor->at += size;
}

static void put_note(struct cursor *cursor, uint32_t type, const void *descriptor, size_t size)
{
    Elf64_Nhdr note = { .n_namesz = sizeof("Xen"), .n_descsz = size, .n_type = type };

    put(cursor, &note, sizeof(note));
    put(cursor, "Xen", sizeof("Xen"));
    put(cursor, descriptor, size);
}

static void put_notes(struct cursor *cursor, const struct core_file *file, const struct core_version *version)
{
    const uint64_t header[] = { CORE_MAGIC_PV, file->vcpus, file->pages, CORE_PAGE_SIZE };
    const uint64_t format = FORMAT_VERSION;

    put_note(cursor, XEN_ELFNOTE_DUMPCORE_NONE, "", 0);
    put_note(cursor, XEN_ELFNOTE_DUMPCORE_HEADER, header, sizeof(header));
    put_note(cursor, XEN_ELFNOTE_DUMPCORE_XEN_VERSION, version, sizeof(*version));
    put_note(cursor, XEN_ELFNOTE_DUMPCORE_FORMAT_VERSION, &format, sizeof(format));
}

/* The names one after the other; each section learns where its own begins. */
static void put_names(struct cursor *cursor, Elf64_Shdr *sections)
{
    size_t start = cursor->at;

    for (int i = 0; i < SECTION_COUNT; i++) {
        sections[i].sh_name = cursor->at - start;
        put(cursor, section_names[i], strlen(section_names[i]) + 1);
    }
}

static Elf64_Shdr section(uint32_t type, uint64_t offset, uint64_t size, uint64_t entry, uint64_t alignment)
{
    return (Elf64_Shdr){ .sh_type = type, .sh_offset = offset, .sh_size = size, .sh_entsize = entry,
                         .sh_addralign = alignment };
}

void core_file_head(const struct core_file *file, const struct core_version *version, void *head)
{
    struct cursor cursor = { .head = head, .at = sizeof(Elf64_Ehdr) + SECTION_COUNT * sizeof(Elf64_Shdr) };
    Elf64_Ehdr elf = {
        .e_ident = { ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB, EV_CURRENT, ELFOSABI_SYSV },
        .e_type = ET_CORE, .e_machine = EM_X86_64, .e_version = EV_CURRENT, .e_ehsize = sizeof(elf),
        .e_shoff = sizeof(elf), .e_shentsize = sizeof(Elf64_Shdr), .e_shnum = SECTION_COUNT,
        .e_shstrndx = SECTION_NAMES,
    };
    Elf64_Shdr sections[SECTION_COUNT] = {
        [SECTION_CONTEXTS] = section(SHT_PROGBITS, file->contexts, file->vcpus * sizeof(vcpu_guest_context_t),
                                     sizeof(vcpu_guest_context_t), 8),
        [SECTION_SHARED_INFO] = section(SHT_PROGBITS, file->shared_info, CORE_PAGE_SIZE, CORE_PAGE_SIZE, 8),
        [SECTION_PAGES] = section(SHT_PROGBITS, file->first_page, file->pages * CORE_PAGE_SIZE, CORE_PAGE_SIZE,
                                  CORE_PAGE_SIZE),
        [SECTION_P2M] = section(SHT_PROGBITS, file->p2m, file->pages * sizeof(struct core_p2m),
                                sizeof(struct core_p2m), 8),
    };
    size_t start;

    memset(head, 0, CORE_HEAD_SIZE);
    start = cursor.at;
    sections[SECTION_NAMES] = section(SHT_STRTAB, start, 0, 0, 1);
    put_names(&cursor, sections);
    sections[SECTION_NAMES].sh_size = cursor.at - start;
    cursor.at = start = align(cursor.at, 8);
    put_notes(&cursor, file, version);
    sections[SECTION_NOTES].sh_type = SHT_NOTE;
    sections[SECTION_NOTES].sh_offset = start;
    sections[SECTION_NOTES].sh_size = cursor.at - start;
    sections[SECTION_NOTES].sh_addralign = 4;
    memcpy(head, &elf, sizeof(elf));
    memcpy((uint8_t *)head + sizeof(elf), sections, sizeof(sections));
}
