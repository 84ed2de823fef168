/* SPDX-License-Identifier: MIT */
/*
 * Decompression of dom0's kernel, by the distribution's own libraries (static archives: liblzma, libzstd, zlib, liblz4),
 * and the little of a C library that they call.
 *
 * The libraries are ordinary user-space code: they use SSE registers and look for the stack protector's canary at %fs:40.
 * Both are provided for the time of the call. That is possible only while booting, when no guest owns FPU or FS.
 */
#include <domus/heap.h>
#include <domus/string.h>
#include <asm/fpu.h>
#include <asm/kernel_image.h>
#include <asm/page_run.h>
#include <asm/processor.h>

/* ---- What the libraries call ---- */

struct allocation {
    unsigned long pages;
} __aligned(CACHE_LINE_SIZE);

void *malloc(size_t size);
void *calloc(size_t nr, size_t size);
void free(void *p);
void __stack_chk_fail(void) __noreturn;
u64 ZSTD_trace_decompress_begin(const void *context);
void ZSTD_trace_decompress_end(u64 trace, const void *what);

void *malloc(size_t size)
{
    unsigned long pages;
    struct page_info *pg;
    struct allocation *a;

    if (size > GB(4))
        return NULL;
    pages = PFN_UP(size + sizeof(*a));
    pg = page_run_alloc(pages);
    if (!pg)
        return NULL;
    a = page_to_virt(pg);
    a->pages = pages;
    return a + 1;
}

void *calloc(size_t nr, size_t size)
{
    size_t bytes;
    void *p = __builtin_mul_overflow(nr, size, &bytes) ? NULL : malloc(bytes);

    return p ? memset(p, 0, bytes) : NULL;
}

void free(void *p)
{
    struct allocation *a = p;

    if (a)
        page_run_free(virt_to_page(a - 1), a[-1].pages);
}

void __stack_chk_fail(void)
{
    panic("A decompression library has overrun its stack");
}

/* libzstd refers to these weakly; a reference to nothing cannot be linked at our address. 0: do not trace. */
u64 ZSTD_trace_decompress_begin(const void *context __unused)
{
    return 0;
}

void ZSTD_trace_decompress_end(u64 trace __unused, const void *what __unused)
{
}

/* ---- The libraries' interfaces, as far as they are used (their own headers want a C library) ---- */

/* <lzma.h> */
#define LZMA_OK             0
#define LZMA_MEM_ERROR      5
#define LZMA_FORMAT_ERROR   7
#define LZMA_OPTIONS_ERROR  8
#define LZMA_BUF_ERROR      10
int lzma_stream_buffer_decode(uint64_t *memlimit, uint32_t flags, const void *allocator,
                              const uint8_t *in, size_t *in_pos, size_t in_size,
                              uint8_t *out, size_t *out_pos, size_t out_size);

/* <zstd.h> */
size_t ZSTD_decompress(void *dst, size_t capacity, const void *src, size_t size);
unsigned int ZSTD_isError(size_t code);

/* <lz4.h> */
int LZ4_decompress_safe(const char *src, char *dst, int size, int capacity);

/* <zlib.h> */
#define Z_FINISH        4
#define Z_STREAM_END    1
#define Z_GZIP_WINDOW   (15 + 16)   /* the largest window, with a gzip header */
struct z_stream {
    const uint8_t *next_in;
    unsigned int avail_in;
    unsigned long total_in;
    uint8_t *next_out;
    unsigned int avail_out;
    unsigned long total_out;
    const char *msg;
    void *state, *zalloc, *zfree, *opaque;
    int data_type;
    unsigned long adler, reserved;
};
int inflateInit2_(struct z_stream *strm, int window_bits, const char *version, int stream_size);
int inflate(struct z_stream *strm, int flush);
int inflateEnd(struct z_stream *strm);

/* ---- One function a format ---- */

static const char *__init unpack_xz(const u8 *in, size_t in_len, u8 *out, size_t out_len)
{
    uint64_t memlimit = UINT64_MAX;
    size_t in_pos = 0, out_pos = 0;

    switch (lzma_stream_buffer_decode(&memlimit, 0, NULL, in, &in_pos, in_len, out, &out_pos, out_len)) {
    case LZMA_OK:
        return out_pos == out_len ? NULL : "its xz stream is shorter than announced";
    case LZMA_MEM_ERROR:
        return "there is too little memory to unpack xz";
    case LZMA_FORMAT_ERROR:
    case LZMA_OPTIONS_ERROR:
        return "its xz stream uses an unknown format";
    case LZMA_BUF_ERROR:
        return "its xz stream is truncated or longer than announced";
    default:
        return "its xz stream is damaged";
    }
}

static const char *__init unpack_zstd(const u8 *in, size_t in_len, u8 *out, size_t out_len)
{
    size_t n = ZSTD_decompress(out, out_len, in, in_len);

    if (ZSTD_isError(n))
        return "its zstd stream is damaged, truncated or longer than announced";
    return n == out_len ? NULL : "its zstd stream is shorter than announced";
}

static const char *__init unpack_gzip(const u8 *in, size_t in_len, u8 *out, size_t out_len)
{
    struct z_stream strm = {
        .next_in = in, .avail_in = (unsigned int)in_len, .next_out = out, .avail_out = (unsigned int)out_len,
    };
    int rc;

    if (in_len > UINT32_MAX || out_len > UINT32_MAX)
        return "its gzip stream is larger than 4 GiB";
    if (inflateInit2_(&strm, Z_GZIP_WINDOW, "1", sizeof(strm)) != 0)
        return "zlib cannot be started";
    rc = inflate(&strm, Z_FINISH);
    inflateEnd(&strm);
    if (rc != Z_STREAM_END)
        return "its gzip stream is damaged or truncated";
    return strm.total_out == out_len ? NULL : "its gzip stream is shorter than announced";
}

#define LZ4_LEGACY_MAGIC 0x184c2102u

static u32 read_le32(const u8 *p)
{
    u32 v;

    memcpy(&v, p, sizeof(v));
    return v;
}

/* lz4's legacy frame: the magic number, then blocks, each after its compressed length. */
static const char *__init unpack_lz4(const u8 *in, size_t in_len, u8 *out, size_t out_len)
{
    const u8 *end = in + in_len;
    size_t done = 0;

    in += 4;
    while (end - in >= 4) {
        u32 length = read_le32(in);
        int n;

        in += 4;
        if (length == LZ4_LEGACY_MAGIC)     /* frames may follow each other */
            continue;
        if (length > (size_t)(end - in) || length > INT32_MAX)
            return "its lz4 stream is truncated";
        n = LZ4_decompress_safe((const char *)in, (char *)out + done, (int)length,
                                (int)min_t(size_t, out_len - done, INT32_MAX));
        if (n < 0)
            return "its lz4 stream is damaged or longer than announced";
        done += (size_t)n;
        in += length;
    }
    return done == out_len ? NULL : "its lz4 stream is shorter than announced";
}

static const struct format {
    const char *name;
    u8 magic_len;
    u8 magic[6];
    bool length_word_inside;        /* the last four bytes are both the stream's own and its length */
    const char *(*unpack)(const u8 *in, size_t in_len, u8 *out, size_t out_len);
} formats[] = {
    { "xz",   6, { 0xfd, '7', 'z', 'X', 'Z', 0 },   false, unpack_xz },
    { "zstd", 4, { 0x28, 0xb5, 0x2f, 0xfd },        false, unpack_zstd },
    { "gzip", 3, { 0x1f, 0x8b, 0x08 },              true,  unpack_gzip },
    { "lz4",  4, { 0x02, 0x21, 0x4c, 0x18 },        false, unpack_lz4 },
};

static const struct format *find_format(const void *in, size_t in_len)
{
    for (unsigned int i = 0; i < ARRAY_SIZE(formats); i++)
        if (in_len >= formats[i].magic_len && memcmp(in, formats[i].magic, formats[i].magic_len) == 0)
            return &formats[i];
    return NULL;
}

const char *compression_name(const void *in, size_t in_len)
{
    const struct format *f = find_format(in, in_len);

    return f ? f->name : NULL;
}

/* Constructors of the libraries, which choose the code for this CPU: the link script gathers them. */
typedef void constructor_t(void);
extern constructor_t *const __init_array_start[], *const __init_array_end[];

const char *decompress(const void *in, size_t in_len, size_t trailer, void *out, size_t out_len)
{
    static const u64 canary_area[8];        /* what FS points at */
    static bool constructed;
    const struct format *f = find_format(in, in_len);
    unsigned long cr0 = read_cr0(), cr4 = read_cr4();
    u64 fs_base = rdmsr(MSR_FS_BASE);
    const char *error;

    if (!f)
        return "its compression is not known";
    if (!f->length_word_inside) {
        if (in_len < trailer)
            return "it is truncated";
        in_len -= trailer;
    }

    write_cr0((cr0 | X86_CR0_MP) & ~(unsigned long)(X86_CR0_EM | X86_CR0_TS));
    write_cr4(cr4 | X86_CR4_OSFXSR | X86_CR4_OSXMMEXCPT);
    wrmsr(MSR_FS_BASE, (unsigned long)canary_area);
    fpu_reset_registers();
    if (!constructed)
        for (constructor_t *const *c = __init_array_start; c < __init_array_end; c++)
            (*c)();
    constructed = true;

    error = f->unpack(in, in_len, out, out_len);

    wrmsr(MSR_FS_BASE, fs_base);
    write_cr4(cr4);
    write_cr0(cr0);
    return error;
}
