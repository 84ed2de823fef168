/* SPDX-License-Identifier: MIT */
/*
 * Linux's bzImage: the setup header tells where in the file the compressed ELF image lies. Linux's Documentation,
 * arch/x86/boot: protocol 2.08 has payload_offset and payload_length; the build appends the unpacked length, which a
 * gzip stream has anyway, as the payload's last four bytes.
 */
#include <domus/lib.h>
#include <domus/string.h>
#include <asm/kernel_image.h>
#include <asm/mm.h>
#include <asm/page_run.h>

#define SETUP_SECTS     0x1f1
#define SETUP_SIGNATURE 0x202
#define SETUP_VERSION   0x206
#define PAYLOAD_OFFSET  0x248
#define PAYLOAD_LENGTH  0x24c
#define SETUP_END       0x250
#define SECTOR          512u
#define PROTOCOL_PAYLOAD 0x0208
#define MAX_UNPACKED    GB(1)

static u32 get32(const u8 *p)
{
    u32 v;

    memcpy(&v, p, sizeof(v));
    return v;
}

static bool is_elf(const u8 *p, size_t size)
{
    return size >= 4 && memcmp(p, "\177ELF", 4) == 0;
}

/* The compressed image within a bzImage. */
static const char *find_payload(const u8 *p, size_t size, const u8 **payload, size_t *length)
{
    u64 offset;
    unsigned int sectors = p[SETUP_SECTS] ? p[SETUP_SECTS] : 4;     /* 0 means 4, by the protocol */
    u16 version = (u16)(p[SETUP_VERSION] | p[SETUP_VERSION + 1] << 8);

    if (version < PROTOCOL_PAYLOAD)
        return "it is a bzImage older than boot protocol 2.08 (Linux 2.6.26)";
    offset = (u64)(sectors + 1) * SECTOR + get32(p + PAYLOAD_OFFSET);
    *length = get32(p + PAYLOAD_LENGTH);
    if (offset > size || *length > size - offset || *length < 16)
        return "its bzImage is truncated";
    *payload = p + offset;
    return NULL;
}

const char *kernel_file_open(const void *module, size_t size, struct kernel_file *file)
{
    const u8 *p = module, *payload;
    size_t length, unpacked;
    const char *error, *compression;

    memset(file, 0, sizeof(*file));
    if (is_elf(p, size)) {
        file->data = p;
        file->size = size;
        file->container = "ELF";
        return NULL;
    }
    if (size < SETUP_END || memcmp(p + SETUP_SIGNATURE, "HdrS", 4) != 0)
        return "it is neither a Linux bzImage nor an ELF file";
    error = find_payload(p, size, &payload, &length);
    if (error)
        return error;
    if (is_elf(payload, length)) {
        file->data = payload;
        file->size = length;
        file->container = "bzImage, not compressed";
        return NULL;
    }
    compression = compression_name(payload, length);
    if (!compression)
        return "its compression is none of xz, zstd, gzip and lz4";
    unpacked = get32(payload + length - 4);
    if (unpacked < PAGE_SIZE || unpacked > MAX_UNPACKED)
        return "it announces an impossible length of the unpacked image";

    file->run = page_run_alloc(DIV_ROUND_UP(unpacked, PAGE_SIZE));
    if (!file->run)
        return "there is too little memory to unpack it";
    file->data = page_to_virt(file->run);
    file->size = unpacked;
    snprintf(file->container_buf, sizeof(file->container_buf), "bzImage, %s", compression);
    file->container = file->container_buf;
    error = decompress(payload, length, 4, page_to_virt(file->run), unpacked);
    if (!error && !is_elf(file->data, unpacked))
        error = "what it contains is no ELF file";
    if (error)
        kernel_file_close(file);
    return error;
}

void kernel_file_close(struct kernel_file *file)
{
    if (file->run)
        page_run_free(file->run, DIV_ROUND_UP(file->size, PAGE_SIZE));
    file->run = NULL;
    file->data = NULL;
}
