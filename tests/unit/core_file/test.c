/* SPDX-License-Identifier: MIT */
/*
 * The form of core files: sections where Xen's docs/misc/dump-core-format.txt wants them, nothing overlapping, and a guest's
 * tables of its memory read without believing what they claim.
 */
#include <elf.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core_file.h"
#include "guest_frames.h"
#include "writer_test.h"

/* --- the file ---------------------------------------------------------------------------------------------------- */

static const Elf64_Shdr *section(const uint8_t *head, const char *name)
{
    const Elf64_Ehdr *elf = (const Elf64_Ehdr *)head;
    const Elf64_Shdr *list = (const Elf64_Shdr *)(head + elf->e_shoff);

    for (int i = 0; i < elf->e_shnum; i++)
        if (!strcmp((const char *)head + list[elf->e_shstrndx].sh_offset + list[i].sh_name, name))
            return &list[i];
    fail_msg("there is no section %s", name);
    return NULL;
}

static void sections_are_where_the_plan_says(void **state)
{
    static const char *const names[] = { ".xen_prstatus", ".xen_shared_info", ".xen_pages", ".xen_p2m" };
    struct core_file file = { .vcpus = 64, .pages = 12345 };
    struct core_version version = { .major = 4, .minor = 17 };
    uint8_t head[CORE_HEAD_SIZE] __attribute__((aligned(8)));
    uint64_t end = CORE_HEAD_SIZE;

    (void)state;
    core_file_plan(&file);
    core_file_head(&file, &version, head);
    assert_memory_equal(head, ELFMAG, SELFMAG);
    for (size_t i = 0; i < 4; i++) {
        const Elf64_Shdr *at = section(head, names[i]);

        assert_true(at->sh_offset >= end);
        end = at->sh_offset + at->sh_size;
    }
    assert_int_equal(end, file.end);
    assert_int_equal(section(head, ".xen_prstatus")->sh_size, 64 * sizeof(vcpu_guest_context_t));
    assert_int_equal(section(head, ".xen_pages")->sh_offset % CORE_PAGE_SIZE, 0);
    assert_int_equal(section(head, ".xen_p2m")->sh_size, 12345 * 16);
    assert_true(section(head, ".note.Xen")->sh_offset + section(head, ".note.Xen")->sh_size <= CORE_HEAD_SIZE);
}

/* --- a guest's tables -------------------------------------------------------------------------------------------- */

#define FRAMES 64
static uint64_t memory[FRAMES][512];

/* Stands in for the hypervisor's map: frame N of a guest is memory[N], others cannot be mapped. */
void *foreign_map(uint32_t domid, int prot, const xen_pfn_t *frames, size_t count, int *errors)
{
    (void)domid;
    (void)prot;
    (void)errors;
    assert_int_equal(count, 1);
    errno = EINVAL;
    return frames[0] < FRAMES ? memory[frames[0]] : NULL;
}

void foreign_unmap(void *address, size_t count)
{
    (void)address;
    (void)count;
}

/* A list of two frames at the virtual address that is given, under page tables in frames 1 to 4. */
static void make_list(shared_info_t *shared, uint64_t address)
{
    memset(memory, 0, sizeof(memory));
    memory[1][address >> 39 & 511] = 2UL << 12 | 1;
    memory[2][address >> 30 & 511] = 3UL << 12 | 1;
    memory[3][address >> 21 & 511] = 4UL << 12 | 1;
    memory[4][address >> 12 & 511] = 5UL << 12 | 1;
    memory[4][(address >> 12 & 511) + 1] = 6UL << 12 | 1;
    for (int i = 0; i < 512; i++) {
        memory[5][i] = 1000 + i;
        memory[6][i] = i % 2 ? ~0UL : 2000UL + i;
    }
    memset(shared, 0, sizeof(*shared));
    shared->arch.p2m_cr3 = 1 << 12;
    shared->arch.p2m_vaddr = address;
    shared->arch.max_pfn = 1024;
}

void make_guest(void)
{
    static shared_info_t shared;

    make_list(&shared, 0xffffc90000000000);
    memory[5][0] = 7;
    memcpy(memory[SHARED_FRAME], &shared, sizeof(shared) < sizeof(memory[0]) ? sizeof(shared) : sizeof(memory[0]));
}

static void a_list_is_read(void **state)
{
    static shared_info_t shared;
    struct guest_frames frames;

    (void)state;
    make_list(&shared, 0xffffc90000000000);
    assert_int_equal(guest_frames_read(1, &shared, 2000, &frames), 0);
    assert_int_equal(frames.count, 512 + 256);
    assert_int_equal(frames.list[511].pfn, 511);
    assert_int_equal(frames.list[511].gmfn, 1511);
    assert_int_equal(frames.list[513].pfn, 514);
    assert_int_equal(frames.list[513].gmfn, 2002);
    free(frames.list);
}

static void a_list_with_holes_keeps_its_numbers(void **state)
{
    static shared_info_t shared;
    struct guest_frames frames;

    (void)state;
    make_list(&shared, 0xffffc90000000000);
    memory[4][0] = 0;
    assert_int_equal(guest_frames_read(1, &shared, 2000, &frames), 0);
    assert_int_equal(frames.count, 256);
    assert_int_equal(frames.list[0].pfn, 512);
    free(frames.list);
}

static void claims_are_not_believed(void **state)
{
    static shared_info_t shared;
    struct guest_frames frames;

    (void)state;
    make_list(&shared, 0xffffc90000000000);
    shared.arch.max_pfn = ~0UL;
    assert_int_equal(guest_frames_read(1, &shared, 100, &frames), 0);
    assert_int_equal(frames.count, 100);
    free(frames.list);
    /* Tables that lead nowhere, or to themselves. */
    memory[2][0xffffc90000000000 >> 30 & 511] = 0x123456789000 | 1;
    assert_int_equal(guest_frames_read(1, &shared, 100, &frames), -ENODATA);
    memory[1][0xffffc90000000000 >> 39 & 511] = 1UL << 12 | 1;
    guest_frames_read(1, &shared, 100, &frames);
    free(frames.list);
    memset(&shared, 0, sizeof(shared));
    assert_int_equal(guest_frames_read(1, &shared, 100, &frames), -ENODATA);
    shared.arch.max_pfn = 100;
    shared.arch.pfn_to_mfn_frame_list_list = ~0UL;
    assert_int_equal(guest_frames_read(1, &shared, 100, &frames), -ENODATA);
}

static void a_tree_is_read(void **state)
{
    static shared_info_t shared;
    struct guest_frames frames;

    (void)state;
    memset(memory, 0xff, sizeof(memory));
    memory[1][0] = 2;
    memory[2][0] = 3;
    memory[2][1] = 99; /* cannot be mapped */
    memory[2][2] = 4;
    memory[3][7] = 70;
    memory[4][1] = 80;
    memset(&shared, 0, sizeof(shared));
    shared.arch.pfn_to_mfn_frame_list_list = 1;
    shared.arch.max_pfn = 3 * 512;
    assert_int_equal(guest_frames_read(1, &shared, 4000, &frames), 0);
    assert_int_equal(frames.count, 2);
    assert_int_equal(frames.list[0].pfn, 7);
    assert_int_equal(frames.list[1].pfn, 2 * 512 + 1);
    assert_int_equal(frames.list[1].gmfn, 80);
    free(frames.list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sections_are_where_the_plan_says),
        cmocka_unit_test(a_list_is_read),
        cmocka_unit_test(a_list_with_holes_keeps_its_numbers),
        cmocka_unit_test(claims_are_not_believed),
        cmocka_unit_test(a_tree_is_read),
    };

    return cmocka_run_group_tests_name("core files", tests, NULL, NULL) + run_writer_tests();
}
