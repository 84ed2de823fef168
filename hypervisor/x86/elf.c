/* SPDX-License-Identifier: MIT */
/*
 * The ELF file of a PV kernel: its segments, and the notes by which it says how it wants to be started.
 * System V ABI, AMD64 supplement; <xen/elfnote.h>; <xen/features.h>.
 */
#include <domus/lib.h>
#include <domus/string.h>
#include <asm/kernel_image.h>
#include <asm/page.h>
#include <xen/elfnote.h>
#include <xen/features.h>

struct elf64_header {
    u8 ident[16];
    u16 type, machine;
    u32 version;
    u64 entry, phoff, shoff;
    u32 flags;
    u16 ehsize, phentsize, phnum, shentsize, shnum, shstrndx;
};
struct elf64_phdr {
    u32 type, flags;
    u64 offset, vaddr, paddr, filesz, memsz, align;
};
struct elf64_shdr {
    u32 name, type;
    u64 flags, addr, offset, size;
    u32 link, info;
    u64 addralign, entsize;
};
struct elf_note {
    u32 namesz, descsz, type;
};
#define ELFCLASS64  2
#define ELFDATA2LSB 1
#define ET_EXEC     2
#define ET_DYN      3
#define EM_X86_64   62
#define PT_LOAD     1
#define PT_NOTE     4
#define SHT_NOTE    7

/* Whether [offset, offset + length) lies within the file. */
static bool in_file(size_t size, u64 offset, u64 length)
{
    return offset <= size && length <= size - offset;
}

static struct elf64_header read_header(const struct pv_kernel *k)
{
    struct elf64_header h;

    memcpy(&h, k->image, sizeof(h));
    return h;
}

static struct elf64_phdr read_phdr(const struct pv_kernel *k, const struct elf64_header *h, unsigned int i)
{
    struct elf64_phdr ph;

    memcpy(&ph, k->image + h->phoff + (u64)i * h->phentsize, sizeof(ph));
    return ph;
}

static const char *check_header(const struct pv_kernel *k)
{
    struct elf64_header h;

    if (k->size < sizeof(h))
        return "its ELF file is truncated";
    h = read_header(k);
    if (memcmp(h.ident, "\177ELF", 4) != 0)
        return "it is no ELF file";
    if (h.ident[4] != ELFCLASS64 || h.ident[5] != ELFDATA2LSB || h.machine != EM_X86_64)
        return "it is not a 64-bit x86 kernel";
    if (h.type != ET_EXEC && h.type != ET_DYN)
        return "its ELF file is not executable";
    if (h.phentsize < sizeof(struct elf64_phdr) || !in_file(k->size, h.phoff, (u64)h.phnum * h.phentsize))
        return "its ELF program headers are damaged or truncated";
    return NULL;
}

/* ---- Notes ---- */

struct note {
    u32 type;
    const u8 *desc;
    u32 descsz;
};

static u64 note_number(const struct note *n)
{
    u64 v = 0;

    memcpy(&v, n->desc, min_t(u32, n->descsz, sizeof(v)));
    return v;
}

/* The text of a note, which need not be terminated. */
static void note_text(const struct note *n, char *buf, size_t size)
{
    size_t length = min_t(size_t, n->descsz, size - 1);

    memcpy(buf, n->desc, length);
    buf[length] = '\0';
}

static const struct {
    const char *name;
    unsigned int bit;
} feature_names[] = {
    { "writable_page_tables",        XENFEAT_writable_page_tables },
    { "writable_descriptor_tables",  XENFEAT_writable_descriptor_tables },
    { "auto_translated_physmap",     XENFEAT_auto_translated_physmap },
    { "supervisor_mode_kernel",      XENFEAT_supervisor_mode_kernel },
    { "pae_pgdir_above_4gb",         XENFEAT_pae_pgdir_above_4gb },
    { "dom0",                        XENFEAT_dom0 },
};

/* "a|!b": can use a, needs b. Names that this list lacks are passed over unless they are needed. */
static const char *parse_features(struct pv_kernel *k, const char *s)
{
    while (*s) {
        size_t length = strcspn(s, "|");
        bool required = *s == '!';
        const char *name = s + required;
        size_t name_length = length - required;
        unsigned int i;

        for (i = 0; i < ARRAY_SIZE(feature_names); i++)
            if (strlen(feature_names[i].name) == name_length &&
                strncmp(feature_names[i].name, name, name_length) == 0)
                break;
        if (i < ARRAY_SIZE(feature_names)) {
            k->features_supported |= 1u << feature_names[i].bit;
            if (required)
                k->features_required |= 1u << feature_names[i].bit;
        } else if (required) {
            return "it needs a feature that no PV domain has (note FEATURES)";
        }
        s += length;
        s += *s == '|';
    }
    return NULL;
}

static const char *take_note(struct pv_kernel *k, const struct note *n)
{
    char text[256];

    switch (n->type) {
    case XEN_ELFNOTE_ENTRY:
        k->entry = note_number(n);
        break;
    case XEN_ELFNOTE_HYPERCALL_PAGE:
        k->hypercall_page = note_number(n);
        break;
    case XEN_ELFNOTE_VIRT_BASE:
        k->virt_base = note_number(n);
        break;
    case XEN_ELFNOTE_PADDR_OFFSET:
        k->paddr_offset = note_number(n);
        break;
    case XEN_ELFNOTE_INIT_P2M:
        k->init_p2m = note_number(n);
        break;
    case XEN_ELFNOTE_MOD_START_PFN:
        k->unmapped_initrd = note_number(n) != 0;
        break;
    case XEN_ELFNOTE_GUEST_OS:
        note_text(n, k->guest_os, sizeof(k->guest_os));
        break;
    case XEN_ELFNOTE_GUEST_VERSION:
        note_text(n, k->guest_version, sizeof(k->guest_version));
        break;
    case XEN_ELFNOTE_XEN_VERSION:
        note_text(n, text, sizeof(text));
        if (strcmp(text, "xen-3.0") != 0)
            return "it is made for another hypervisor interface than xen-3.0 (note XEN_VERSION)";
        break;
    case XEN_ELFNOTE_FEATURES:
        note_text(n, text, sizeof(text));
        return parse_features(k, text);
    case XEN_ELFNOTE_SUPPORTED_FEATURES:
        k->features_supported |= (u32)note_number(n);
        k->names_supported_features = true;
        break;
    }
    return NULL;
}

/* All notes named "Xen" in a part of the file that lies within it. Returns their number, or -1 with *error set. */
static int parse_notes(struct pv_kernel *k, u64 offset, u64 length, const char **error)
{
    const u8 *p = k->image + offset, *end = p + length;
    int found = 0;

    while ((size_t)(end - p) >= sizeof(struct elf_note)) {
        struct elf_note h;
        struct note n;
        u64 name_len, desc_len;

        memcpy(&h, p, sizeof(h));
        name_len = ROUNDUP((u64)h.namesz, 4);
        desc_len = ROUNDUP((u64)h.descsz, 4);
        p += sizeof(h);
        if (name_len > (size_t)(end - p) || h.descsz > (size_t)(end - p) - name_len)
            break;
        n = (struct note){ .type = h.type, .desc = p + name_len, .descsz = h.descsz };
        if (h.namesz == 4 && memcmp(p, "Xen", 4) == 0) {
            *error = take_note(k, &n);
            if (*error)
                return -1;
            found++;
        }
        p += min_t(u64, name_len + desc_len, (u64)(end - p));
    }
    return found;
}

/* Notes lie in segments; old tools left them in sections alone. */
static const char *find_notes(struct pv_kernel *k)
{
    struct elf64_header h = read_header(k);
    const char *error = NULL;
    int found = 0;

    for (unsigned int i = 0; i < h.phnum && found >= 0; i++) {
        struct elf64_phdr ph = read_phdr(k, &h, i);

        if (ph.type == PT_NOTE && in_file(k->size, ph.offset, ph.filesz)) {
            int n = parse_notes(k, ph.offset, ph.filesz, &error);

            found = n < 0 ? n : found + n;
        }
    }
    if (found == 0 && h.shentsize >= sizeof(struct elf64_shdr) &&
        in_file(k->size, h.shoff, (u64)h.shnum * h.shentsize)) {
        for (unsigned int i = 0; i < h.shnum && found >= 0; i++) {
            struct elf64_shdr sh;

            memcpy(&sh, k->image + h.shoff + (u64)i * h.shentsize, sizeof(sh));
            if (sh.type == SHT_NOTE && in_file(k->size, sh.offset, sh.size)) {
                int n = parse_notes(k, sh.offset, sh.size, &error);

                found = n < 0 ? n : found + n;
            }
        }
    }
    if (found == 0)
        return "it has no Xen notes: it is built without support for paravirtualization (CONFIG_XEN_PV)";
    return error;
}

/* ---- Segments ---- */

static u64 paddr_to_va(const struct pv_kernel *k, u64 paddr)
{
    return paddr - k->paddr_offset + k->virt_base;
}

bool pv_kernel_segment(const struct pv_kernel *k, unsigned int *i, u64 *va, const void **data, u64 *filesz, u64 *memsz)
{
    struct elf64_header h = read_header(k);

    for (; *i < h.phnum; (*i)++) {
        struct elf64_phdr ph = read_phdr(k, &h, *i);

        if (ph.type == PT_LOAD && ph.memsz) {
            *va = paddr_to_va(k, ph.paddr);
            *data = k->image + ph.offset;
            *filesz = ph.filesz;
            *memsz = ph.memsz;
            return true;
        }
    }
    return false;
}

static const char *check_segments(struct pv_kernel *k)
{
    struct elf64_header h = read_header(k);

    k->start = ~0ULL;
    k->end = 0;
    for (unsigned int i = 0; i < h.phnum; i++) {
        struct elf64_phdr ph = read_phdr(k, &h, i);
        u64 va, end;

        if (ph.type != PT_LOAD || !ph.memsz)
            continue;
        va = paddr_to_va(k, ph.paddr);
        if (!in_file(k->size, ph.offset, ph.filesz) || ph.filesz > ph.memsz)
            return "a segment of its ELF file is truncated";
        if (va < k->virt_base || ph.memsz > GB(512) || __builtin_add_overflow(va, ph.memsz, &end))
            return "a segment of its ELF file has an impossible address";
        k->start = min(k->start, va);
        k->end = max(k->end, end);
    }
    return k->end ? NULL : "its ELF file has no segment to load";
}

static bool in_image(const struct pv_kernel *k, u64 va, u64 length)
{
    return va >= k->start && va <= k->end && length <= k->end - va;
}

const char *pv_kernel_parse(const void *image, size_t size, struct pv_kernel *k)
{
    const char *error;

    memset(k, 0, sizeof(*k));
    k->image = image;
    k->size = size;
    error = check_header(k);
    if (error)
        return error;
    k->entry = read_header(k).entry;
    error = find_notes(k);
    if (error)
        return error;
    error = check_segments(k);
    if (error)
        return error;
    if (!IS_ALIGNED(k->virt_base, PAGE_SIZE) || !IS_ALIGNED(k->init_p2m, PAGE_SIZE))
        return "its virtual base or frame list is not page aligned (notes VIRT_BASE, INIT_P2M)";
    if (!in_image(k, k->entry, 1))
        return "its entry point lies outside of its image (note ENTRY)";
    if (k->hypercall_page &&
        (!IS_ALIGNED(k->hypercall_page, PAGE_SIZE) || !in_image(k, k->hypercall_page, PAGE_SIZE)))
        return "its hypercall page lies outside of its image (note HYPERCALL_PAGE)";
    return NULL;
}
