/* SPDX-License-Identifier: MIT */
/*
 * ELF kernels: a good one is understood, and whatever is accepted can be loaded without a further check.
 */
#include <elf.h>
#include <string.h>

#include <xen/elfnote.h>

#include "build/layout.h"
#include "images.h"

static int parse(const struct image *image, struct pv_kernel *kernel)
{
    return pv_kernel_parse(image->data, image->size, kernel, &test_failure);
}

static Elf64_Ehdr *elf_header(struct image *image) { return (Elf64_Ehdr *)image->data; }

static Elf64_Phdr *program_header(struct image *image, unsigned int index)
{
    return (Elf64_Phdr *)(image->data + sizeof(Elf64_Ehdr)) + index;
}

/* The value of a note of the image, to be changed. */
static uint8_t *note_value(struct image *image, uint32_t wanted)
{
    uint8_t *next = image->data + IMAGE_NOTES_OFFSET;

    for (;;) {
        Elf64_Nhdr note;

        memcpy(&note, next, sizeof(note));
        assert_int_equal(note.n_namesz, 4);
        if (note.n_type == wanted)
            return next + sizeof(note) + 4;
        next += sizeof(note) + 4 + (note.n_descsz + 3) / 4 * 4;
    }
}

static void set_note(struct image *image, uint32_t type, uint64_t value)
{
    memcpy(note_value(image, type), &value, sizeof(value));
}

static void rename_note(struct image *image, uint32_t type) { note_value(image, type)[-4] = 'Y'; }

static void good_kernel_is_understood(void **state)
{
    struct image image = elf_image();
    struct pv_kernel kernel;

    (void)state;
    assert_int_equal(parse(&image, &kernel), 0);
    assert_int_equal(kernel.segment_count, 1);
    assert_int_equal(kernel.segments[0].address, IMAGE_START);
    assert_int_equal(kernel.segments[0].file_offset, IMAGE_TEXT_OFFSET);
    assert_int_equal(kernel.start, IMAGE_START);
    assert_int_equal(kernel.end, IMAGE_START + IMAGE_TEXT_SIZE + IMAGE_BSS_SIZE);
    assert_int_equal(kernel.virt_base, IMAGE_VIRT_BASE);
    assert_int_equal(kernel.p2m_base, IMAGE_P2M_BASE);
    assert_true(kernel.has_hypercall_page && kernel.has_p2m_base && kernel.ramdisk_unmapped);
    image_free(&image);
}

static void optional_notes_may_lack(void **state)
{
    struct image image = elf_image();
    struct pv_kernel kernel;

    (void)state;
    rename_note(&image, XEN_ELFNOTE_HYPERCALL_PAGE);
    rename_note(&image, XEN_ELFNOTE_INIT_P2M);
    rename_note(&image, XEN_ELFNOTE_MOD_START_PFN);
    assert_int_equal(parse(&image, &kernel), 0);
    assert_false(kernel.has_hypercall_page || kernel.has_p2m_base || kernel.ramdisk_unmapped);
    image_free(&image);
}

static void assert_refused(struct image *image, const char *reason)
{
    struct pv_kernel kernel;

    assert_int_equal(parse(image, &kernel), -1);
    if (!strstr(test_failure.why, reason))
        fail_msg("expected `%s', got `%s'", reason, test_failure.why);
    assert_explained();
    image_free(image);
    *image = elf_image();
}

static void kernel_without_pv_is_refused(void **state)
{
    struct image image = elf_image();

    (void)state;
    rename_note(&image, XEN_ELFNOTE_ENTRY);
    assert_refused(&image, "no Xen notes");
    program_header(&image, 1)->p_type = PT_NULL;
    assert_refused(&image, "no Xen notes");
    memcpy(note_value(&image, XEN_ELFNOTE_XEN_VERSION), "xen-9.0", 8);
    assert_refused(&image, "another version");
    image_free(&image);
}

static void wrong_machine_is_refused(void **state)
{
    struct image image = elf_image();

    (void)state;
    elf_header(&image)->e_machine = EM_AARCH64;
    assert_refused(&image, "64-bit x86");
    elf_header(&image)->e_ident[EI_CLASS] = ELFCLASS32;
    assert_refused(&image, "32-bit kernel");
    image.data[0] = 0;
    assert_refused(&image, "not an ELF");
    image_free(&image);
}

static void hostile_headers_are_refused(void **state)
{
    struct image image = elf_image();

    (void)state;
    elf_header(&image)->e_phoff = UINT64_MAX - 8;
    assert_refused(&image, "program headers");
    elf_header(&image)->e_phnum = 0xffff;
    assert_refused(&image, "program headers");
    elf_header(&image)->e_phentsize = 8;
    assert_refused(&image, "program headers");
    program_header(&image, 0)->p_offset = UINT64_MAX - 0x100;
    assert_refused(&image, "outside of the file");
    program_header(&image, 0)->p_filesz = image.size;
    assert_refused(&image, "outside of the file");
    program_header(&image, 0)->p_memsz = 0x100;
    assert_refused(&image, "impossible");
    program_header(&image, 0)->p_memsz = 1UL << 40;
    assert_refused(&image, "impossible");
    program_header(&image, 0)->p_paddr = UINT64_MAX - 0x1000;
    assert_refused(&image, "impossible");
    program_header(&image, 0)->p_paddr = 1UL << 62;
    assert_refused(&image, "scattered");
    program_header(&image, 0)->p_type = PT_NULL;
    assert_refused(&image, "nothing to load");
    image_free(&image);
}

static void hostile_notes_are_refused(void **state)
{
    struct image image = elf_image();

    (void)state;
    set_note(&image, XEN_ELFNOTE_ENTRY, IMAGE_VIRT_BASE + IMAGE_START - 1);
    assert_refused(&image, "entry point");
    set_note(&image, XEN_ELFNOTE_ENTRY, 0);
    assert_refused(&image, "entry point");
    set_note(&image, XEN_ELFNOTE_HYPERCALL_PAGE, IMAGE_VIRT_BASE + IMAGE_START + 0x4000);
    assert_refused(&image, "hypercall page");
    set_note(&image, XEN_ELFNOTE_HYPERCALL_PAGE, IMAGE_VIRT_BASE + IMAGE_START + 8);
    assert_refused(&image, "hypercall page");
    set_note(&image, XEN_ELFNOTE_INIT_P2M, IMAGE_P2M_BASE + 1);
    assert_refused(&image, "not that of a page");
    set_note(&image, XEN_ELFNOTE_VIRT_BASE, UINT64_MAX - 0xfff);
    assert_refused(&image, "impossible addresses");
    image_free(&image);
}

/* Whatever parse accepts: file ranges within the file, memory ranges within start and end. */
static void assert_loadable(const struct image *image, const struct pv_kernel *kernel)
{
    for (unsigned int i = 0; i < kernel->segment_count; i++) {
        const struct pv_segment *segment = &kernel->segments[i];

        assert_true(segment->file_offset <= image->size && segment->file_size <= image->size - segment->file_offset);
        assert_true(segment->file_size <= segment->memory_size);
        assert_true(segment->address >= kernel->start && segment->address + segment->memory_size <= kernel->end);
    }
    assert_in_range(kernel->entry - kernel->virt_base, kernel->start, kernel->end - 1);
    if (kernel->has_hypercall_page)
        assert_in_range(kernel->hypercall_page - kernel->virt_base, kernel->start, kernel->end - PAGE_SIZE);
}

static void truncated_never_harms(void **state)
{
    struct image image = elf_image();
    struct pv_kernel kernel;

    (void)state;
    for (size_t size = 0; size < image.size; size++) {
        struct image cut = {.data = test_malloc(size + 1), .size = size};

        memcpy(cut.data, image.data, size);
        assert_int_equal(parse(&cut, &kernel), -1);
        assert_explained();
        test_free(cut.data);
    }
    image_free(&image);
}

/* Interesting numbers thrown at headers and notes; what still passes must be loadable and be laid out or refused. */
static void random_damage_never_harms(void **state)
{
    static const uint64_t values[] = {
        0,          1,          0xff,      0xfff,     0x1000,     0x7fffffff,
        0x80000000, 0xffffffff, 1UL << 47, 1UL << 63, UINT64_MAX, UINT64_MAX - 0xfff,
    };
    struct image image = elf_image();
    unsigned int accepted = 0;

    (void)state;
    for (int round = 0; round < 200000; round++) {
        struct pv_kernel kernel;
        struct layout layout;

        for (unsigned int changes = 1 + next_random() % 3; changes > 0; changes--) {
            uint64_t value = next_random() % 4 ? values[next_random() % (sizeof(values) / sizeof(values[0]))]
                                               : next_random() << next_random() % 56;
            size_t at = next_random() % 2 ? next_random() % 0xb0 : IMAGE_NOTES_OFFSET + next_random() % 0xf0;

            memcpy(image.data + at, &value, 1UL << next_random() % 4);
        }
        if (parse(&image, &kernel) == 0) {
            accepted++;
            assert_loadable(&image, &kernel);
            layout_plan(&kernel, next_random() % (1 << 20), 65536, &layout, &test_failure);
        }
        if (round % 4 == 3) {
            image_free(&image);
            image = elf_image();
        }
    }
    assert_true(accepted > 1000);
    image_free(&image);
}

int run_elf_tests(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_kernel_is_understood),    cmocka_unit_test(optional_notes_may_lack),
        cmocka_unit_test(kernel_without_pv_is_refused), cmocka_unit_test(wrong_machine_is_refused),
        cmocka_unit_test(hostile_headers_are_refused),  cmocka_unit_test(hostile_notes_are_refused),
        cmocka_unit_test(truncated_never_harms),        cmocka_unit_test(random_damage_never_harms),
    };

    return cmocka_run_group_tests_name("ELF kernels", tests, NULL, NULL);
}
