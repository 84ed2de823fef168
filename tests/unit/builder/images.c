/* SPDX-License-Identifier: MIT */
/*
 * Makes kernel images for the tests; see images.h.
 */
#include <elf.h>
#include <stdlib.h>
#include <string.h>

#include <lz4.h>
#include <lzma.h>
#include <zlib.h>
#include <zstd.h>

#include <xen/elfnote.h>

#include "images.h"

struct failure test_failure;

void assert_explained(void)
{
    assert_true(test_failure.why[0] != '\0');
    assert_true(test_failure.remedy[0] != '\0');
    memset(&test_failure, 0, sizeof(test_failure));
}

uint64_t next_random(void)
{
    static uint64_t state = 88172645463325252UL;

    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

void image_free(struct image *image)
{
    free(image->data);
    image->data = NULL;
}

static struct image new_image(size_t size)
{
    struct image image = {.data = calloc(1, size), .size = size};

    assert_non_null(image.data);
    return image;
}

static uint8_t *put_note(uint8_t *to, uint32_t type, const void *value, uint32_t length)
{
    Elf64_Nhdr note = {.n_namesz = 4, .n_descsz = length, .n_type = type};

    memcpy(to, &note, sizeof(note));
    memcpy(to + sizeof(note), "Xen", 4);
    memcpy(to + sizeof(note) + 4, value, length);
    return to + sizeof(note) + 4 + (length + 3) / 4 * 4;
}

static size_t put_notes(uint8_t *to)
{
    uint64_t virt_base = IMAGE_VIRT_BASE, entry = IMAGE_VIRT_BASE + IMAGE_START + 0x10;
    uint64_t hypercalls = IMAGE_VIRT_BASE + IMAGE_START + 0x1000, p2m = IMAGE_P2M_BASE;
    uint32_t one = 1;
    uint8_t *next = to;

    next = put_note(next, XEN_ELFNOTE_GUEST_OS, "linux", 6);
    next = put_note(next, XEN_ELFNOTE_XEN_VERSION, "xen-3.0", 8);
    next = put_note(next, XEN_ELFNOTE_VIRT_BASE, &virt_base, 8);
    next = put_note(next, XEN_ELFNOTE_ENTRY, &entry, 8);
    next = put_note(next, XEN_ELFNOTE_HYPERCALL_PAGE, &hypercalls, 8);
    next = put_note(next, XEN_ELFNOTE_INIT_P2M, &p2m, 8);
    next = put_note(next, XEN_ELFNOTE_MOD_START_PFN, &one, 4);
    return next - to;
}

struct image elf_image(void)
{
    struct image image = new_image(IMAGE_TEXT_OFFSET + IMAGE_TEXT_SIZE);
    Elf64_Ehdr header = {
        .e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
        .e_type = ET_EXEC,
        .e_machine = EM_X86_64,
        .e_version = EV_CURRENT,
        .e_phoff = sizeof(header),
        .e_ehsize = sizeof(header),
        .e_phentsize = sizeof(Elf64_Phdr),
        .e_phnum = 2,
    };
    Elf64_Phdr load = {
        .p_type = PT_LOAD,
        .p_offset = IMAGE_TEXT_OFFSET,
        .p_vaddr = IMAGE_VIRT_BASE + IMAGE_START,
        .p_paddr = IMAGE_START,
        .p_filesz = IMAGE_TEXT_SIZE,
        .p_memsz = IMAGE_TEXT_SIZE + IMAGE_BSS_SIZE,
    };
    Elf64_Phdr notes = {.p_type = PT_NOTE, .p_offset = IMAGE_NOTES_OFFSET};

    for (size_t i = 0; i < IMAGE_TEXT_SIZE; i++)
        image.data[IMAGE_TEXT_OFFSET + i] = i % 251;
    notes.p_filesz = put_notes(image.data + IMAGE_NOTES_OFFSET);
    memcpy(image.data, &header, sizeof(header));
    memcpy(image.data + sizeof(header), &load, sizeof(load));
    memcpy(image.data + sizeof(header) + sizeof(load), &notes, sizeof(notes));
    return image;
}

static size_t pack_gzip(const struct image *image, struct image *packed)
{
    z_stream stream = {
        .next_in = image->data, .avail_in = image->size, .next_out = packed->data, .avail_out = packed->size};

    assert_int_equal(deflateInit2(&stream, 9, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY), Z_OK);
    assert_int_equal(deflate(&stream, Z_FINISH), Z_STREAM_END);
    deflateEnd(&stream);
    return stream.total_out;
}

static size_t pack_xz(const struct image *image, struct image *packed)
{
    size_t position = 0;

    assert_int_equal(lzma_easy_buffer_encode(1, LZMA_CHECK_CRC32, NULL, image->data, image->size, packed->data,
                                             &position, packed->size),
                     LZMA_OK);
    return position;
}

static size_t pack_lz4(const struct image *image, struct image *packed)
{
    static const uint8_t magic[] = {0x02, 0x21, 0x4c, 0x18};
    uint32_t length =
        LZ4_compress_default((const char *)image->data, (char *)packed->data + 8, image->size, packed->size - 8);

    memcpy(packed->data, magic, 4);
    memcpy(packed->data + 4, &length, 4);
    return length + 8;
}

struct image packed_image(const struct image *image, enum compression compression)
{
    struct image packed = new_image(image->size + 4096);

    switch (compression) {
    case COMPRESSION_NONE:
        memcpy(packed.data, image->data, image->size);
        packed.size = image->size;
        break;
    case COMPRESSION_GZIP:
        packed.size = pack_gzip(image, &packed);
        break;
    case COMPRESSION_XZ:
        packed.size = pack_xz(image, &packed);
        break;
    case COMPRESSION_ZSTD:
        packed.size = ZSTD_compress(packed.data, packed.size, image->data, image->size, 3);
        break;
    case COMPRESSION_LZ4:
        packed.size = pack_lz4(image, &packed);
        break;
    }
    return packed;
}

struct image bz_image(const struct image *payload, enum compression compression, size_t unpacked_size)
{
    size_t start = 5 * 512, trailer = compression == COMPRESSION_GZIP || compression == COMPRESSION_NONE ? 0 : 4;
    struct image image = new_image(start + 0x40 + payload->size + trailer + 100);
    uint32_t offset = 0x40, length = payload->size + trailer, size = unpacked_size;
    uint16_t version = 0x020f;

    image.data[0x1f1] = 4;
    memcpy(image.data + 0x202, "HdrS", 4);
    memcpy(image.data + 0x206, &version, 2);
    memcpy(image.data + 0x248, &offset, 4);
    memcpy(image.data + 0x24c, &length, 4);
    memcpy(image.data + start + offset, payload->data, payload->size);
    if (trailer)
        memcpy(image.data + start + offset + payload->size, &size, 4);
    return image;
}
