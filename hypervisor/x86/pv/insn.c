/* SPDX-License-Identifier: MIT */
/*
 * A decoder and interpreter for the instructions with which kernels change page-table entries: moves,
 * exchanges, and read-modify-write arithmetic with a destination in memory. The address needs no
 * decoding: the CPU has reported it with the fault. Intel SDM vol. 2, chapters 2 and 3 and appendix A.
 */
#include <domus/lib.h>
#include <asm/processor.h>
#include <asm/pv_insn.h>

#define FLAG_CF 0x001UL
#define FLAG_PF 0x004UL
#define FLAG_AF 0x010UL
#define FLAG_ZF 0x040UL
#define FLAG_SF 0x080UL
#define FLAG_OF 0x800UL
#define FLAGS_ARITH (FLAG_CF | FLAG_PF | FLAG_AF | FLAG_ZF | FLAG_SF | FLAG_OF)

#define REX_W 8
#define REX_R 4

/* ---- Decoding ---- */

struct decoder {
    const u8 *next, *end;
    bool failed;            /* the bytes ended too early */
};

static u8 take_byte(struct decoder *d)
{
    if (d->next < d->end)
        return *d->next++;
    d->failed = true;
    return 0;
}

static u64 take_imm(struct decoder *d, unsigned int bytes)
{
    u64 value = 0;

    for (unsigned int i = 0; i < bytes; i++)
        value |= (u64)take_byte(d) << 8 * i;
    /* Sign extension. */
    return (u64)((s64)(value << (64 - 8 * bytes)) >> (64 - 8 * bytes));
}

static void skip(struct decoder *d, unsigned int bytes)
{
    while (bytes--)
        (void)take_byte(d);
}

/* Passes over SIB and displacement; false if the operand is no memory. */
static bool skip_address(struct decoder *d, u8 modrm)
{
    unsigned int mod = modrm >> 6, rm = modrm & 7;

    if (mod == 3)
        return false;
    if (rm == 4 && (take_byte(d) & 7) == 5 && mod == 0)
        skip(d, 4);
    else if (mod == 0 && rm == 5)
        skip(d, 4);
    else
        skip(d, mod == 1 ? 1 : mod == 2 ? 4 : 0);
    return true;
}

/* How an opcode's other operand is given. */
enum source { SRC_REG, SRC_IMM, SRC_IMM8, SRC_NONE };

struct form {
    enum mem_op op;
    enum source source;
    bool byte;              /* operand of one byte, whatever the prefixes */
};

/* Opcodes whose ModRM.reg is part of the opcode: -1 where the digit is none of ours. */
static const s8 group1[8] = { OP_ADD, OP_OR, -1, -1, OP_AND, OP_SUB, OP_XOR, -1 };
static const s8 group3[8] = { -1, -1, OP_NOT, OP_NEG, -1, -1, -1, -1 };
static const s8 group4[8] = { OP_INC, OP_DEC, -1, -1, -1, -1, -1, -1 };
static const s8 group8[8] = { -1, -1, -1, -1, -1, OP_BTS, OP_BTR, OP_BTC };
static const s8 group9[8] = { -1, OP_CMPXCHG8B, -1, -1, -1, -1, -1, -1 };
static const s8 group11[8] = { OP_MOV, -1, -1, -1, -1, -1, -1, -1 };

static bool from_group(struct form *f, const s8 *group, u8 modrm, enum source source)
{
    int op = group[modrm >> 3 & 7];

    f->op = (enum mem_op)op;
    f->source = source;
    return op >= 0;
}

static bool one_byte_form(u8 opcode, u8 modrm, struct form *f)
{
    f->byte = !(opcode & 1);
    f->source = SRC_REG;
    switch (opcode & 0xfe) {
    case 0x00: f->op = OP_ADD; return true;
    case 0x08: f->op = OP_OR; return true;
    case 0x20: f->op = OP_AND; return true;
    case 0x28: f->op = OP_SUB; return true;
    case 0x30: f->op = OP_XOR; return true;
    case 0x86: f->op = OP_XCHG; return true;
    case 0x88: f->op = OP_MOV; return true;
    case 0x80: return from_group(f, group1, modrm, SRC_IMM);
    case 0x82: return opcode == 0x83 && from_group(f, group1, modrm, SRC_IMM8);
    case 0xc6: return from_group(f, group11, modrm, SRC_IMM);
    case 0xf6: return from_group(f, group3, modrm, SRC_NONE);
    case 0xfe: return from_group(f, group4, modrm, SRC_NONE);
    default: return false;
    }
}

static bool two_byte_form(u8 opcode, u8 modrm, struct form *f)
{
    f->byte = opcode == 0xb0 || opcode == 0xc0;
    f->source = SRC_REG;
    switch (opcode) {
    case 0xab: f->op = OP_BTS; return true;
    case 0xb3: f->op = OP_BTR; return true;
    case 0xbb: f->op = OP_BTC; return true;
    case 0xb0:
    case 0xb1: f->op = OP_CMPXCHG; return true;
    case 0xc0:
    case 0xc1: f->op = OP_XADD; return true;
    case 0xc3: f->op = OP_MOV; return true;             /* MOVNTI */
    case 0xba: return from_group(f, group8, modrm, SRC_IMM8);
    case 0xc7: return from_group(f, group9, modrm, SRC_NONE);
    default: return false;
    }
}

/* Passes over prefixes; the opcode's first byte is next. false: one that changes too much. */
static bool take_prefixes(struct decoder *d, bool *op16, u8 *rex)
{
    *op16 = false;
    *rex = 0;
    for (;; d->next++) {
        u8 byte = d->next < d->end ? *d->next : 0;

        switch (byte) {
        case 0x66: *op16 = true; break;
        case 0xf0: case 0x67:
        case 0x26: case 0x2e: case 0x36: case 0x3e: case 0x64: case 0x65:
            break;
        case 0xf2: case 0xf3:
            return false;
        default:
            if ((byte & 0xf0) == 0x40) {
                *rex = byte;
                d->next++;
            }
            return d->next < d->end;
        }
    }
}

bool decode_mem_insn(const u8 *code, unsigned int avail, struct mem_insn *insn)
{
    struct decoder d = { code, code + min(avail, (unsigned int)MAX_INSN_LENGTH), false };
    struct form f;
    bool op16, known;
    u8 rex, opcode, modrm;

    if (!take_prefixes(&d, &op16, &rex))
        return false;
    opcode = take_byte(&d);
    if (opcode == 0x0f) {
        opcode = take_byte(&d);
        modrm = take_byte(&d);
        known = two_byte_form(opcode, modrm, &f);
    } else {
        modrm = take_byte(&d);
        known = one_byte_form(opcode, modrm, &f);
    }
    if (!known || !skip_address(&d, modrm))
        return false;

    insn->op = f.op;
    insn->bytes = f.byte ? 1 : rex & REX_W ? 8 : op16 ? 2 : 4;
    insn->reg = (u8)((modrm >> 3 & 7) | (rex & REX_R ? 8 : 0));
    insn->high_byte = f.byte && !rex && insn->reg >= 4;
    insn->has_imm = f.source == SRC_IMM || f.source == SRC_IMM8;
    insn->imm = 0;
    if (insn->has_imm)
        insn->imm = take_imm(&d, f.source == SRC_IMM8 ? 1 : min(insn->bytes, (u8)4));
    if (f.op == OP_CMPXCHG8B) {
        if (rex & REX_W)
            return false;       /* sixteen bytes: two entries */
        insn->bytes = 8;
    }
    insn->length = (u8)(d.next - code);
    return !d.failed;
}

/* ---- Registers ---- */

static u64 *gpr(const struct cpu_user_regs *regs, unsigned int number)
{
    const u64 *const reg[16] = {
        &regs->rax, &regs->rcx, &regs->rdx, &regs->rbx, &regs->rsp, &regs->rbp, &regs->rsi, &regs->rdi,
        &regs->r8, &regs->r9, &regs->r10, &regs->r11, &regs->r12, &regs->r13, &regs->r14, &regs->r15,
    };

    return (u64 *)reg[number];
}

static u64 operand_mask(unsigned int bytes)
{
    return ~0UL >> (64 - 8 * bytes);
}

static u64 read_reg(const struct mem_insn *insn, const struct cpu_user_regs *regs)
{
    if (insn->high_byte)
        return *gpr(regs, insn->reg - 4U) >> 8 & 0xff;
    return *gpr(regs, insn->reg) & operand_mask(insn->bytes);
}

/* As the CPU does: four bytes clear the upper half, one and two leave the rest. */
static void write_gpr(u64 *reg, u64 value, unsigned int bytes)
{
    u64 kept = bytes >= 4 ? 0 : *reg & ~operand_mask(bytes);

    *reg = kept | (value & operand_mask(bytes));
}

static void write_reg(const struct mem_insn *insn, struct cpu_user_regs *regs, u64 value)
{
    u64 *reg;

    if (insn->high_byte) {
        reg = gpr(regs, insn->reg - 4U);
        *reg = (*reg & ~0xff00UL) | (value & 0xff) << 8;
    } else {
        write_gpr(gpr(regs, insn->reg), value, insn->bytes);
    }
}

/* ---- Execution ---- */

static u64 result_flags(u64 result, unsigned int bytes)
{
    u64 flags = 0;

    if (!(result & operand_mask(bytes)))
        flags |= FLAG_ZF;
    if (result >> (8 * bytes - 1) & 1)
        flags |= FLAG_SF;
    if (!(__builtin_popcountl(result & 0xff) & 1))
        flags |= FLAG_PF;
    return flags;
}

static u64 add_flags(u64 a, u64 b, u64 sum, unsigned int bytes)
{
    u64 top = 1UL << (8 * bytes - 1);
    u64 carries = (a & b) | ((a | b) & ~sum);

    return result_flags(sum, bytes) | (carries & top ? FLAG_CF : 0) | (carries & 8 ? FLAG_AF : 0) |
           ((a ^ sum) & (b ^ sum) & top ? FLAG_OF : 0);
}

static u64 sub_flags(u64 a, u64 b, u64 difference, unsigned int bytes)
{
    u64 top = 1UL << (8 * bytes - 1);
    u64 borrows = (~a & b) | ((~a | b) & difference);

    return result_flags(difference, bytes) | (borrows & top ? FLAG_CF : 0) | (borrows & 8 ? FLAG_AF : 0) |
           ((a ^ b) & (a ^ difference) & top ? FLAG_OF : 0);
}

/* Result of an operation on one bit of the operand, and its CF. */
static struct mem_result change_bit(const struct mem_insn *insn, u64 operand, u64 src, u64 flags)
{
    u64 bit = 1UL << (src & (8U * insn->bytes - 1));
    u64 value = insn->op == OP_BTS ? operand | bit : insn->op == OP_BTR ? operand & ~bit : operand ^ bit;

    return (struct mem_result){ value, true, (flags & ~FLAG_CF) | (operand & bit ? FLAG_CF : 0) };
}

static struct mem_result compare_exchange(const struct mem_insn *insn, const struct cpu_user_regs *regs,
                                          u64 operand, u64 src)
{
    u64 acc = regs->rax & operand_mask(insn->bytes);
    u64 flags = sub_flags(acc, operand, acc - operand, insn->bytes);

    return (struct mem_result){ src, acc == operand, (regs->rflags & ~FLAGS_ARITH) | flags };
}

static struct mem_result compare_exchange_8b(const struct cpu_user_regs *regs, u64 operand)
{
    u64 expected = regs->rdx << 32 | (u32)regs->rax;
    bool equal = expected == operand;

    return (struct mem_result){ regs->rcx << 32 | (u32)regs->rbx, equal,
                                (regs->rflags & ~FLAG_ZF) | (equal ? FLAG_ZF : 0) };
}

struct mem_result execute_mem_insn(const struct mem_insn *insn, const struct cpu_user_regs *regs, u64 operand)
{
    u64 src = insn->has_imm ? insn->imm & operand_mask(insn->bytes) : read_reg(insn, regs);
    u64 keep = regs->rflags & ~FLAGS_ARITH, value;
    unsigned int bytes = insn->bytes;

    switch (insn->op) {
    case OP_MOV:
    case OP_XCHG:
        return (struct mem_result){ src, true, regs->rflags };
    case OP_CMPXCHG:
        return compare_exchange(insn, regs, operand, src);
    case OP_CMPXCHG8B:
        return compare_exchange_8b(regs, operand);
    case OP_ADD:
    case OP_XADD:
        value = operand + src;
        return (struct mem_result){ value, true, keep | add_flags(operand, src, value, bytes) };
    case OP_SUB:
        value = operand - src;
        return (struct mem_result){ value, true, keep | sub_flags(operand, src, value, bytes) };
    case OP_NEG:
        value = 0 - operand;
        return (struct mem_result){ value, true, keep | sub_flags(0, operand, value, bytes) };
    case OP_INC:
        value = operand + 1;
        return (struct mem_result){ value, true, keep | (regs->rflags & FLAG_CF) |
                                    (add_flags(operand, 1, value, bytes) & ~FLAG_CF) };
    case OP_DEC:
        value = operand - 1;
        return (struct mem_result){ value, true, keep | (regs->rflags & FLAG_CF) |
                                    (sub_flags(operand, 1, value, bytes) & ~FLAG_CF) };
    case OP_NOT:
        return (struct mem_result){ ~operand, true, regs->rflags };
    case OP_OR:
        value = operand | src;
        break;
    case OP_AND:
        value = operand & src;
        break;
    case OP_XOR:
        value = operand ^ src;
        break;
    default:
        return change_bit(insn, operand, src, regs->rflags);
    }
    return (struct mem_result){ value, true, keep | result_flags(value, bytes) };
}

void retire_mem_insn(const struct mem_insn *insn, struct cpu_user_regs *regs, u64 operand,
                     const struct mem_result *result)
{
    switch (insn->op) {
    case OP_XCHG:
    case OP_XADD:
        write_reg(insn, regs, operand);
        break;
    case OP_CMPXCHG:
        if (!result->store)
            write_gpr(&regs->rax, operand, insn->bytes);
        break;
    case OP_CMPXCHG8B:
        if (!result->store) {
            regs->rax = (u32)operand;
            regs->rdx = operand >> 32;
        }
        break;
    default:
        break;
    }
    regs->rflags = result->flags & ~(u64)X86_EFLAGS_RF;
    regs->rip += insn->length;
}
