/* SPDX-License-Identifier: MIT */
/*
 * dom0's kernel as a file: a good one is understood, a wrong one is refused with a reason, and whatever the bytes are,
 * nothing outside of them is read: each image lies in a block of its exact size, which the sanitizer guards.
 */
#include <unit.h>
#include <asm/kernel_image.h>
#include <asm/page_run.h>
#include <xen/elfnote.h>
#include <xen/features.h>

/* ---- What bzimage.c is linked with: no real decompression here ---- */

/* A machine of sixteen pages, of which every run is the first ones. */
#define NR_PAGES 16
static struct page_info frames[NR_PAGES];
static char ram[NR_PAGES * PAGE_SIZE];
struct page_info *host_frame_table = frames;
char *host_ram = ram;

struct page_info *page_run_alloc(unsigned long nr)
{
    return nr <= NR_PAGES ? frames : NULL;
}

void page_run_free(struct page_info *pg, unsigned long nr)
{
    (void)pg;
    (void)nr;
}

const char *compression_name(const void *in, size_t in_len)
{
    return in_len >= 4 && memcmp(in, "COMP", 4) == 0 ? "comp" : NULL;
}

const char *decompress(const void *in, size_t in_len, size_t trailer, void *out, size_t out_len)
{
    (void)in;
    (void)in_len;
    (void)trailer;
    (void)out;
    (void)out_len;
    return "it is not unpacked in this test";
}

/* ---- An ELF kernel, made by hand ---- */

struct header {
    unsigned char ident[16];
    uint16_t type, machine;
    uint32_t version;
    uint64_t entry, phoff, shoff;
    uint32_t flags;
    uint16_t ehsize, phentsize, phnum, shentsize, shnum, shstrndx;
};
struct phdr {
    uint32_t type, flags;
    uint64_t offset, vaddr, paddr, filesz, memsz, align;
};

#define BASE     0xffffffff80000000UL
#define LOAD     0x1000000UL
#define NOTES_AT 0x200u
#define CODE_AT  0x400u
#define SIZE     0x1400u

struct image {
    unsigned char bytes[SIZE];
    size_t notes;               /* bytes of notes so far */
};

static void add_note(struct image *im, uint32_t type, const void *desc, uint32_t size)
{
    unsigned char *p = im->bytes + NOTES_AT + im->notes;
    uint32_t header[3] = { 4, size, type };

    memcpy(p, header, sizeof(header));
    memcpy(p + 12, "Xen", 4);
    memcpy(p + 16, desc, size);
    im->notes += 16 + ((size + 3) & ~3u);
}

static void add_number(struct image *im, uint32_t type, uint64_t value)
{
    add_note(im, type, &value, sizeof(value));
}

static void write_headers(struct image *im)
{
    struct header h = {
        .ident = { 0x7f, 'E', 'L', 'F', 2, 1, 1 }, .type = 2, .machine = 62, .version = 1, .entry = BASE + LOAD,
        .phoff = sizeof(h), .ehsize = sizeof(h), .phentsize = sizeof(struct phdr), .phnum = 2,
    };
    struct phdr ph[2] = {
        { .type = 1, .offset = CODE_AT, .vaddr = BASE + LOAD, .paddr = LOAD, .filesz = 0x1000, .memsz = 0x3000 },
        { .type = 4, .offset = NOTES_AT, .filesz = im->notes },
    };

    memcpy(im->bytes, &h, sizeof(h));
    memcpy(im->bytes + sizeof(h), ph, sizeof(ph));
}

static struct image good_image(void)
{
    struct image im = { 0 };

    add_note(&im, XEN_ELFNOTE_GUEST_OS, "linux", 6);
    add_note(&im, XEN_ELFNOTE_XEN_VERSION, "xen-3.0", 8);
    add_note(&im, XEN_ELFNOTE_FEATURES, "!writable_page_tables|pae_pgdir_above_4gb", 42);
    add_number(&im, XEN_ELFNOTE_VIRT_BASE, BASE);
    add_number(&im, XEN_ELFNOTE_ENTRY, BASE + LOAD + 0x10);
    add_number(&im, XEN_ELFNOTE_HYPERCALL_PAGE, BASE + LOAD + 0x1000);
    add_number(&im, XEN_ELFNOTE_INIT_P2M, 0x8000000000);
    add_number(&im, XEN_ELFNOTE_MOD_START_PFN, 1);
    write_headers(&im);
    return im;
}

/* Parses a copy of exactly size bytes. */
static const char *parse(const struct image *im, size_t size, struct pv_kernel *k)
{
    void *copy = malloc(size ? size : 1);
    const char *error;

    memcpy(copy, im->bytes, size);
    error = pv_kernel_parse(copy, size, k);
    free(copy);
    return error;
}

static void good_kernel(void **state)
{
    struct image im = good_image();
    struct pv_kernel k;
    const void *data;
    uint64_t va, filesz, memsz;
    unsigned int i = 0;

    (void)state;
    assert_null(pv_kernel_parse(im.bytes, SIZE, &k));
    assert_string_equal(k.guest_os, "linux");
    assert_int_equal(k.entry, BASE + LOAD + 0x10);
    assert_int_equal(k.hypercall_page, BASE + LOAD + 0x1000);
    assert_int_equal(k.init_p2m, 0x8000000000);
    assert_true(k.unmapped_initrd);
    assert_false(k.names_supported_features);
    assert_int_equal(k.features_required, 1u << XENFEAT_writable_page_tables);
    assert_int_equal(k.start, BASE + LOAD);
    assert_int_equal(k.end, BASE + LOAD + 0x3000);
    assert_true(pv_kernel_segment(&k, &i, &va, &data, &filesz, &memsz));
    assert_int_equal(va, BASE + LOAD);
    assert_ptr_equal(data, im.bytes + CODE_AT);
    assert_int_equal(filesz, 0x1000);
    assert_int_equal(memsz, 0x3000);
    i++;
    assert_false(pv_kernel_segment(&k, &i, &va, &data, &filesz, &memsz));
}

static void refused(const struct image *im, const char *words)
{
    struct pv_kernel k;
    const char *error = parse(im, SIZE, &k);

    assert_non_null(error);
    assert_non_null(strstr(error, words));
}

static void wrong_kernels(void **state)
{
    struct image im = good_image();
    struct phdr ph;

    (void)state;
    im.bytes[4] = 1;
    refused(&im, "64-bit");
    im = good_image();
    im.notes = 0;
    write_headers(&im);
    refused(&im, "CONFIG_XEN_PV");
    im = good_image();
    add_note(&im, XEN_ELFNOTE_XEN_VERSION, "xen-9.9", 8);
    write_headers(&im);
    refused(&im, "xen-3.0");
    im = good_image();
    add_note(&im, XEN_ELFNOTE_FEATURES, "!flying", 8);
    write_headers(&im);
    refused(&im, "FEATURES");
    im = good_image();
    add_number(&im, XEN_ELFNOTE_ENTRY, BASE);
    write_headers(&im);
    refused(&im, "entry point");
    im = good_image();
    add_number(&im, XEN_ELFNOTE_HYPERCALL_PAGE, BASE + LOAD + 0x3000);
    write_headers(&im);
    refused(&im, "hypercall page");
    im = good_image();
    add_number(&im, XEN_ELFNOTE_VIRT_BASE, BASE + 1);
    write_headers(&im);
    refused(&im, "aligned");
    im = good_image();
    memcpy(&ph, im.bytes + sizeof(struct header), sizeof(ph));
    ph.paddr = ~0UL - 0x1000;
    memcpy(im.bytes + sizeof(struct header), &ph, sizeof(ph));
    refused(&im, "impossible address");
    ph.paddr = LOAD;
    ph.filesz = SIZE;
    ph.memsz = SIZE;
    memcpy(im.bytes + sizeof(struct header), &ph, sizeof(ph));
    refused(&im, "truncated");
}

static void every_truncation(void **state)
{
    struct image im = good_image();
    struct pv_kernel k;

    (void)state;
    for (size_t size = 0; size < SIZE; size++)
        assert_non_null(parse(&im, size, &k));
}

/* Random damage: accepted or refused, but what is accepted must hold what parsing promises. */
static void random_damage(void **state)
{
    uint64_t seed = 1;

    (void)state;
    for (unsigned int round = 0; round < 50000; round++) {
        struct image im = good_image();
        struct pv_kernel k;
        const void *data;
        uint64_t va, filesz, memsz;

        for (unsigned int n = random_below(&seed, 6); n; n--)
            im.bytes[random_below(&seed, CODE_AT)] = (unsigned char)random_next(&seed);
        if (pv_kernel_parse(im.bytes, SIZE, &k))
            continue;
        assert_in_range(k.entry, k.start, k.end - 1);
        for (unsigned int i = 0; pv_kernel_segment(&k, &i, &va, &data, &filesz, &memsz); i++) {
            assert_true(filesz <= memsz);
            assert_true((const unsigned char *)data >= im.bytes);
            assert_true((const unsigned char *)data + filesz <= im.bytes + SIZE);
            assert_in_range(va, k.start, k.end);
            assert_in_range(va + memsz, k.start, k.end);
        }
    }
}

/* ---- bzImage ---- */

static void put32(unsigned char *p, uint32_t v)
{
    memcpy(p, &v, sizeof(v));
}

static void bzimages(void **state)
{
    static unsigned char bz[0x1000];
    struct image im = good_image();
    struct kernel_file file;

    (void)state;
    assert_null(kernel_file_open(im.bytes, SIZE, &file));
    assert_ptr_equal(file.data, im.bytes);
    assert_non_null(kernel_file_open("text", 4, &file));

    memcpy(bz + 0x202, "HdrS", 4);
    bz[0x206] = 0x0f;
    bz[0x207] = 0x02;
    bz[0x1f1] = 1;
    put32(bz + 0x248, 0);
    put32(bz + 0x24c, 0x100);
    assert_non_null(strstr(kernel_file_open(bz, sizeof(bz), &file), "compression"));
    memcpy(bz + 0x400, "\177ELF", 4);
    assert_null(kernel_file_open(bz, sizeof(bz), &file));
    assert_ptr_equal(file.data, bz + 0x400);
    assert_int_equal(file.size, 0x100);
    memcpy(bz + 0x400, "COMP", 4);
    put32(bz + 0x4fc, 0x8000);
    assert_non_null(strstr(kernel_file_open(bz, sizeof(bz), &file), "not unpacked"));
    put32(bz + 0x4fc, 0xffffffff);
    assert_non_null(strstr(kernel_file_open(bz, sizeof(bz), &file), "impossible length"));
    put32(bz + 0x4fc, 1 << 20);
    assert_non_null(strstr(kernel_file_open(bz, sizeof(bz), &file), "too little memory"));
    put32(bz + 0x24c, 0x10000);
    assert_non_null(strstr(kernel_file_open(bz, sizeof(bz), &file), "truncated"));
    put32(bz + 0x248, 0xffffffff);
    assert_non_null(strstr(kernel_file_open(bz, sizeof(bz), &file), "truncated"));
    bz[0x206] = 0x05;
    assert_non_null(strstr(kernel_file_open(bz, sizeof(bz), &file), "2.08"));
    for (size_t size = 0; size < 0x250; size++)
        assert_non_null(kernel_file_open(bz, size, &file));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_kernel),   cmocka_unit_test(wrong_kernels), cmocka_unit_test(every_truncation),
        cmocka_unit_test(random_damage), cmocka_unit_test(bzimages),
    };

    return cmocka_run_group_tests_name("kernel image", tests, NULL, NULL);
}
