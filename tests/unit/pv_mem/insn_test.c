/* SPDX-License-Identifier: MIT */
/*
 * The instruction interpreter against this machine's CPU: random instructions of every kind that it
 * knows run on both, with the same registers and operand, and must leave the same behind. And random
 * bytes, of which it must make nothing worse than a refusal.
 */
#include <string.h>
#include <sys/mman.h>
#include <asm/pv_insn.h>
#include "world.h"

#define ROUNDS 200000

/* Registers by number; the operand is at the address in RDI (7), and RSP (4) and R15 are ours. */
struct machine {
    u64 reg[16];
    u64 flags;
    u64 operand;
};

#define FLAGS_TESTED 0x8d5UL        /* OF SF ZF AF PF CF */
#define FLAG_AF      0x010UL
#define FLAGS_SZPA   0x0d4UL
#define FLAG_OF      0x800UL

static u8 *arena;

/* ---- On the CPU ---- */

static u8 *emit(u8 *p, const void *bytes, size_t n)
{
    memcpy(p, bytes, n);
    return p + n;
}

/* mov between register n and [r15 + 8 * n]. */
static u8 *emit_mov(u8 *p, bool load, unsigned int n)
{
    const u8 code[7] = { 0x49 | (n >= 8 ? 4 : 0), load ? 0x8b : 0x89, 0x80 | (n & 7) << 3 | 7, (u8)(8 * n), 0, 0, 0 };

    return emit(p, code, sizeof(code));
}

static u8 *emit_moves(u8 *p, bool load)
{
    for (unsigned int n = 0; n < 15; n++) {
        if (n != 4)
            p = emit_mov(p, load, n);
    }
    return p;
}

static void run_on_cpu(struct machine *m, const u8 *insn, unsigned int length)
{
    static const u8 enter[] = { 0x53, 0x55, 0x41, 0x54, 0x41, 0x55, 0x41, 0x56, 0x41, 0x57,     /* push rbx rbp r12-15 */
                                0x49, 0x89, 0xff,                                                /* mov %rdi, %r15 */
                                0x41, 0xff, 0xb7, 0x80, 0, 0, 0, 0x9d };                         /* push flags; popf */
    static const u8 save[] = { 0x9c, 0x41, 0x8f, 0x87, 0x80, 0, 0, 0 };                          /* pushf; pop flags */
    static const u8 leave[] = { 0x41, 0x5f, 0x41, 0x5e, 0x41, 0x5d, 0x41, 0x5c, 0x5d, 0x5b, 0xfc, 0xc3 };
    u8 *p = emit(arena, enter, sizeof(enter));

    p = emit_moves(p, true);
    p = emit(p, insn, length);
    p = emit(p, save, sizeof(save));
    p = emit_moves(p, false);
    emit(p, leave, sizeof(leave));
    m->reg[7] = (u64)&m->operand;
    ((void (*)(struct machine *))(void *)arena)(m);
}

/* ---- By the interpreter ---- */

static void load(struct cpu_user_regs *r, const struct machine *m)
{
    *r = (struct cpu_user_regs){ .rax = m->reg[0], .rcx = m->reg[1], .rdx = m->reg[2], .rbx = m->reg[3],
                                 .rbp = m->reg[5], .rsi = m->reg[6], .rdi = m->reg[7], .r8 = m->reg[8],
                                 .r9 = m->reg[9], .r10 = m->reg[10], .r11 = m->reg[11], .r12 = m->reg[12],
                                 .r13 = m->reg[13], .r14 = m->reg[14], .rflags = m->flags };
}

static void store(struct machine *m, const struct cpu_user_regs *r)
{
    const u64 reg[15] = { r->rax, r->rcx, r->rdx, r->rbx, 0, r->rbp, r->rsi, r->rdi, r->r8, r->r9, r->r10, r->r11,
                          r->r12, r->r13, r->r14 };

    for (unsigned int n = 0; n < 15; n++) {
        if (n != 4)
            m->reg[n] = reg[n];
    }
    m->flags = r->rflags;
}

static void run_interpreted(struct machine *m, const struct mem_insn *insn)
{
    u64 mask = ~0UL >> (64 - 8 * insn->bytes), operand = m->operand & mask;
    struct cpu_user_regs regs;
    struct mem_result result;

    load(&regs, m);
    result = execute_mem_insn(insn, &regs, operand);
    if (result.store)
        m->operand = (m->operand & ~mask) | (result.value & mask);
    retire_mem_insn(insn, &regs, operand, &result);
    assert_int_equal(regs.rip, insn->length);
    store(m, &regs);
}

/* ---- Random instructions ---- */

struct kind {
    u8 bytes[2];                /* opcode; 0x0f stands before the second if the first is 0x0f */
    s8 digit;                   /* ModRM.reg, or -1: a register */
    u8 imm;                     /* 0: none, 1: one byte, 4: by operand size */
    bool lockable;
    u64 undefined;              /* flags */
};

static const struct kind kinds[] = {
    { { 0x88 }, -1, 0, false, 0 }, { { 0x89 }, -1, 0, false, 0 }, { { 0xc6 }, 0, 1, false, 0 },
    { { 0xc7 }, 0, 4, false, 0 }, { { 0x0f, 0xc3 }, -1, 0, false, 0 }, { { 0x86 }, -1, 0, true, 0 },
    { { 0x87 }, -1, 0, true, 0 }, { { 0x00 }, -1, 0, true, 0 }, { { 0x01 }, -1, 0, true, 0 },
    { { 0x08 }, -1, 0, true, FLAG_AF }, { { 0x09 }, -1, 0, true, FLAG_AF }, { { 0x20 }, -1, 0, true, FLAG_AF },
    { { 0x21 }, -1, 0, true, FLAG_AF }, { { 0x28 }, -1, 0, true, 0 }, { { 0x29 }, -1, 0, true, 0 },
    { { 0x30 }, -1, 0, true, FLAG_AF }, { { 0x31 }, -1, 0, true, FLAG_AF }, { { 0x80 }, 0, 1, true, 0 },
    { { 0x80 }, 1, 1, true, FLAG_AF }, { { 0x80 }, 4, 1, true, FLAG_AF }, { { 0x81 }, 4, 4, true, FLAG_AF },
    { { 0x81 }, 5, 4, true, 0 }, { { 0x83 }, 0, 1, true, 0 }, { { 0x83 }, 4, 1, true, FLAG_AF },
    { { 0x83 }, 6, 1, true, FLAG_AF }, { { 0xf6 }, 2, 0, true, 0 }, { { 0xf7 }, 2, 0, true, 0 },
    { { 0xf6 }, 3, 0, true, 0 }, { { 0xf7 }, 3, 0, true, 0 }, { { 0xfe }, 0, 0, true, 0 }, { { 0xff }, 0, 0, true, 0 },
    { { 0xfe }, 1, 0, true, 0 }, { { 0xff }, 1, 0, true, 0 }, { { 0x0f, 0xb0 }, -1, 0, true, 0 },
    { { 0x0f, 0xb1 }, -1, 0, true, 0 }, { { 0x0f, 0xc0 }, -1, 0, true, 0 }, { { 0x0f, 0xc1 }, -1, 0, true, 0 },
    { { 0x0f, 0xab }, -1, 0, true, FLAG_OF | (FLAGS_SZPA & ~0x40UL) },
    { { 0x0f, 0xb3 }, -1, 0, true, FLAG_OF | (FLAGS_SZPA & ~0x40UL) },
    { { 0x0f, 0xbb }, -1, 0, true, FLAG_OF | (FLAGS_SZPA & ~0x40UL) },
    { { 0x0f, 0xba }, 5, 1, true, FLAG_OF | (FLAGS_SZPA & ~0x40UL) },
    { { 0x0f, 0xba }, 6, 1, true, FLAG_OF | (FLAGS_SZPA & ~0x40UL) },
    { { 0x0f, 0xba }, 7, 1, true, FLAG_OF | (FLAGS_SZPA & ~0x40UL) },
    { { 0x0f, 0xc7 }, 1, 0, true, 0 },
};

/* Assembles one of that kind with its operand at (%rdi); *reg: the register operand. */
static unsigned int assemble(u8 *code, const struct kind *k, unsigned int *reg)
{
    static const u8 usable[13] = { 0, 1, 2, 3, 5, 6, 8, 9, 10, 11, 12, 13, 14 };
    u8 opcode = k->bytes[0] == 0x0f ? k->bytes[1] : k->bytes[0], rex = 0, *p = code;
    bool cmpxchg8b = k->bytes[1] == 0xc7, movnti = k->bytes[1] == 0xc3;
    bool op16 = !cmpxchg8b && !movnti && draw(4) == 0, wide = !cmpxchg8b && draw(2);
    bool byte_op = !(opcode & 1) && k->bytes[1] != 0xba;

    *reg = k->digit >= 0 ? (unsigned int)k->digit : usable[draw(13)];
    if (wide)
        rex = 0x48;
    if (k->digit < 0 && *reg >= 8)
        rex |= 0x44;
    /* Without REX, byte registers 5 to 7 are CH, DH and BH: fine, but for RDI's own BH. */
    if (byte_op && k->digit < 0 && !rex && draw(2))
        rex = 0x40;
    if (op16)
        *p++ = 0x66;
    if (k->lockable && draw(2))
        *p++ = 0xf0;
    if (rex)
        *p++ = rex;
    *p++ = k->bytes[0];
    if (k->bytes[0] == 0x0f)
        *p++ = k->bytes[1];
    *p++ = (u8)((*reg & 7) << 3 | 7);
    for (unsigned int i = 0; i < (k->imm == 4 && op16 && !wide ? 2 : k->imm); i++)
        *p++ = (u8)draw(256);
    return (unsigned int)(p - code);
}

static void random_machine(struct machine *m)
{
    for (unsigned int n = 0; n < 16; n++)
        m->reg[n] = draw(1UL << 53) << draw(12) ^ (draw(2) ? ~0UL : 0);
    m->operand = draw(3) ? draw(1UL << 53) << 11 ^ draw(1UL << 40) : m->reg[0];
    if (draw(6) == 0)
        m->operand = m->reg[2] << 32 | (u32)m->reg[0];
    m->flags = 0x202 | (draw(1UL << 12) & FLAGS_TESTED);
}

static void same_as_the_cpu(void **state)
{
    (void)state;
    for (unsigned int round = 0; round < ROUNDS; round++) {
        const struct kind *k = &kinds[draw(ARRAY_SIZE(kinds))];
        struct machine native, ours;
        struct mem_insn insn;
        u8 code[INSN_BUFFER] = { 0 };
        unsigned int reg, length = assemble(code, k, &reg);

        random_machine(&native);
        /* A bit number beyond the operand would lead to other memory; there the CPU reports that address. */
        if (k->bytes[0] == 0x0f && (k->bytes[1] & 0xe7) == 0xa3)
            native.reg[reg] &= 15;
        native.reg[7] = (u64)&native.operand;
        ours = native;
        assert_true(decode_mem_insn(code, length, &insn));
        assert_int_equal(insn.length, length);
        for (unsigned int cut = 0; cut < length; cut++) {
            struct mem_insn part;

            assert_false(decode_mem_insn(code, cut, &part));
        }
        run_on_cpu(&native, code, length);
        run_interpreted(&ours, &insn);
        ours.reg[7] = native.reg[7];
        if (memcmp(native.reg, ours.reg, 15 * 8) || native.operand != ours.operand ||
            ((native.flags ^ ours.flags) & FLAGS_TESTED & ~k->undefined)) {
            for (unsigned int i = 0; i < length; i++)
                print_error("%02x ", code[i]);
            fail_msg("operand %#lx/%#lx flags %#lx/%#lx rax %#lx/%#lx", native.operand, ours.operand, native.flags,
                     ours.flags, native.reg[0], ours.reg[0]);
        }
    }
}

static void random_bytes_do_no_harm(void **state)
{
    (void)state;
    for (unsigned int round = 0; round < ROUNDS; round++) {
        u8 code[INSN_BUFFER] = { 0 };
        unsigned int length = (unsigned int)draw(MAX_INSN_LENGTH + 1);
        struct mem_insn insn;
        struct machine m;

        for (unsigned int i = 0; i < length; i++)
            code[i] = (u8)(draw(4) ? draw(256) : 0x0f);
        if (!decode_mem_insn(code, length, &insn))
            continue;
        assert_in_range(insn.length, 2, length);
        assert_in_range(insn.bytes, 1, 8);
        random_machine(&m);
        run_interpreted(&m, &insn);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_as_the_cpu),
        cmocka_unit_test(random_bytes_do_no_harm),
    };

    arena = mmap(NULL, PAGE_SIZE, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(arena, MAP_FAILED);
    seed(7);
    return cmocka_run_group_tests_name("PV memory: instructions", tests, NULL, NULL);
}
