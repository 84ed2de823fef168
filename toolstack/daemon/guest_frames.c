/* SPDX-License-Identifier: MIT */
/*
 * Reads a guest's physical-to-machine table: as a linear list in the guest's address space, or as the older tree of
 * three levels. All of it is the guest's to write while it is read: every number is used as a frame to map at most, which
 * the hypervisor checks, and what cannot be mapped is left out.
 */
#include "guest_frames.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "lib/foreign.h"

#define ENTRIES 512U
#define LEVELS 4
#define PTE_PRESENT 1U
#define PTE_FRAME(pte) ((pte) >> HV_PAGE_SHIFT & ((1UL << 40) - 1))
/* Linux marks what is not memory of its own in the two highest bits; all bits set is no frame at all. */
#define NOT_OWN (3UL << 62)

struct reader {
    uint32_t domid;
    struct guest_frames *frames;
    size_t max_frames;
    uint64_t pfn; /* of the next entry */
    uint64_t max_pfn;
    /* Page tables on the way to the last address, from level 1: none yet is NULL. */
    const uint64_t *table[LEVELS];
    uint64_t table_frame[LEVELS];
};

static const uint64_t *map_table(const struct reader *reader, uint64_t frame)
{
    xen_pfn_t mfn = frame;

    return foreign_map(reader->domid, PROT_READ, &mfn, 1, NULL);
}

static void unmap_table(const uint64_t *table)
{
    foreign_unmap((void *)table, 1);
}

/* Take the entries of one frame of the table, or as many that are not there if `entries` is NULL. */
static void take_entries(struct reader *reader, const uint64_t *entries)
{
    for (unsigned int i = 0; i < ENTRIES && reader->pfn < reader->max_pfn; i++, reader->pfn++) {
        uint64_t mfn = entries ? __atomic_load_n(&entries[i], __ATOMIC_RELAXED) : NOT_OWN;

        if (!(mfn & NOT_OWN) && reader->frames->count < reader->max_frames)
            reader->frames->list[reader->frames->count++] = (struct core_p2m){ .pfn = reader->pfn, .gmfn = mfn };
    }
}

static void take_frame(struct reader *reader, uint64_t frame)
{
    const uint64_t *entries = map_table(reader, frame);

    take_entries(reader, entries);
    unmap_table(entries);
}

static bool at_end(const struct reader *reader)
{
    return reader->pfn >= reader->max_pfn || reader->frames->count >= reader->max_frames;
}

/* --- the linear list --------------------------------------------------------------------------------------------- */

/* The page table of `level` (0: the lowest) in `frame`, mapped until another one is wanted there. */
static const uint64_t *table_at(struct reader *reader, int level, uint64_t frame)
{
    if (!reader->table[level] || reader->table_frame[level] != frame) {
        unmap_table(reader->table[level]);
        reader->table[level] = map_table(reader, frame);
        reader->table_frame[level] = frame;
    }
    return reader->table[level];
}

/* The frame at `address` of the address space under `root`; false if there is none. */
static bool translate(struct reader *reader, uint64_t root, uint64_t address, uint64_t *frame)
{
    *frame = root;
    for (int level = LEVELS - 1; level >= 0; level--) {
        const uint64_t *table = table_at(reader, level, *frame);
        uint64_t pte;

        if (!table)
            return false;
        pte = __atomic_load_n(&table[address >> (HV_PAGE_SHIFT + 9 * level) & (ENTRIES - 1)], __ATOMIC_RELAXED);
        if (!(pte & PTE_PRESENT))
            return false;
        *frame = PTE_FRAME(pte);
    }
    return true;
}

static void read_list(struct reader *reader, uint64_t root, uint64_t address)
{
    uint64_t frame;

    for (; !at_end(reader); address += HV_PAGE_SIZE) {
        if (translate(reader, root, address, &frame))
            take_frame(reader, frame);
        else
            take_entries(reader, NULL);
    }
    for (int level = 0; level < LEVELS; level++)
        unmap_table(reader->table[level]);
}

/* --- the tree ---------------------------------------------------------------------------------------------------- */

static void read_tree(struct reader *reader, uint64_t root)
{
    const uint64_t *top = map_table(reader, root);

    for (unsigned int i = 0; top && i < ENTRIES && !at_end(reader); i++) {
        const uint64_t *middle = map_table(reader, top[i]);

        for (unsigned int j = 0; j < ENTRIES && !at_end(reader); j++) {
            if (middle)
                take_frame(reader, middle[j]);
            else
                take_entries(reader, NULL);
        }
        unmap_table(middle);
    }
    unmap_table(top);
}

int guest_frames_read(uint32_t domid, const shared_info_t *shared, size_t max_frames, struct guest_frames *frames)
{
    struct reader reader = { .domid = domid, .frames = frames, .max_frames = max_frames };
    uint64_t root = shared->arch.p2m_cr3, address = shared->arch.p2m_vaddr;
    uint64_t tree = shared->arch.pfn_to_mfn_frame_list_list;

    /* A guest that has holes for devices has more numbers than frames; one that claims far more is not believed. */
    reader.max_pfn = shared->arch.max_pfn;
    if (reader.max_pfn > 4 * (uint64_t)max_frames + (1UL << 20))
        reader.max_pfn = 4 * (uint64_t)max_frames + (1UL << 20);
    frames->count = 0;
    frames->list = calloc(max_frames ? max_frames : 1, sizeof(*frames->list));
    if (!frames->list)
        return -ENOMEM;
    if (root)
        read_list(&reader, root >> HV_PAGE_SHIFT, address);
    else if (tree && tree != ~0UL)
        read_tree(&reader, tree);
    if (frames->count > 0)
        return 0;
    free(frames->list);
    frames->list = NULL;
    return -ENODATA;
}
