/* SPDX-License-Identifier: MIT */
/*
 * A decoder and interpreter for the instructions with which kernels change page-table entries: moves,
 * exchanges, and read-modify-write arithmetic with a destination in memory. The address needs no
 * decoding: the CPU has reported it with the fault. Intel SDM vol. 2, chapters 2 and 3 and appendix A.
 */
#include <domus/lib.h>
#include <domus/string.h>
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

/* How an opcode's other operand is given; GROUP: ModRM.reg is part of the opcode. */
enum source { SRC_REG = 1, SRC_IMM, SRC_IMM8, SRC_NONE };

struct form {
    u8 op;                  /* enum mem_op, or of a group its number */
    u8 source;              /* enum source; 0: an opcode that is none of ours */
    bool byte;              /* operand of one byte, whatever the prefixes */
    bool group;
};

#define BOTH_SIZES(opcode, o, src) [opcode] = { o, src, true, false }, [(opcode) + 1] = { o, src, false, false }
#define GROUP_SIZES(opcode, n, src) [opcode] = { n, src, true, true }, [(opcode) + 1] = { n, src, false, true }

enum { GROUP1, GROUP3, GROUP4, GROUP8, GROUP9, GROUP11 };
#define NONE 0xff

/* By group and ModRM.reg. */
static const u8 group_op[][8] = {
    [GROUP1] = { OP_ADD, OP_OR, NONE, NONE, OP_AND, OP_SUB, OP_XOR, NONE },
    [GROUP3] = { NONE, NONE, OP_NOT, OP_NEG, NONE, NONE, NONE, NONE },
    [GROUP4] = { OP_INC, OP_DEC, NONE, NONE, NONE, NONE, NONE, NONE },
    [GROUP8] = { NONE, NONE, NONE, NONE, NONE, OP_BTS, OP_BTR, OP_BTC },
    [GROUP9] = { NONE, OP_CMPXCHG8B, NONE, NONE, NONE, NONE, NONE, NONE },
    [GROUP11] = { OP_MOV, NONE, NONE, NONE, NONE, NONE, NONE, NONE },
};

static const struct form one_byte[256] = {
    BOTH_SIZES(0x00, OP_ADD, SRC_REG), BOTH_SIZES(0x08, OP_OR, SRC_REG), BOTH_SIZES(0x20, OP_AND, SRC_REG),
    BOTH_SIZES(0x28, OP_SUB, SRC_REG), BOTH_SIZES(0x30, OP_XOR, SRC_REG), BOTH_SIZES(0x86, OP_XCHG, SRC_REG),
    BOTH_SIZES(0x88, OP_MOV, SRC_REG), GROUP_SIZES(0x80, GROUP1, SRC_IMM),
    [0x83] = { GROUP1, SRC_IMM8, false, true },
    GROUP_SIZES(0xc6, GROUP11, SRC_IMM), GROUP_SIZES(0xf6, GROUP3, SRC_NONE), GROUP_SIZES(0xfe, GROUP4, SRC_NONE),
};

/* After 0x0f. 0xc3 is MOVNTI. */
static const struct form two_byte[256] = {
    [0xab] = { OP_BTS, SRC_REG, false, false }, [0xb3] = { OP_BTR, SRC_REG, false, false },
    [0xbb] = { OP_BTC, SRC_REG, false, false }, [0xc3] = { OP_MOV, SRC_REG, false, false },
    [0xba] = { GROUP8, SRC_IMM8, false, true }, [0xc7] = { GROUP9, SRC_NONE, false, true },
    BOTH_SIZES(0xb0, OP_CMPXCHG, SRC_REG), BOTH_SIZES(0xc0, OP_XADD, SRC_REG),
};

/* Passes over legacy prefixes; NULL: one that changes too much, or too many. */
static const u8 *skip_prefixes(const u8 *p, bool *op16)
{
    const u8 *end = p + MAX_INSN_LENGTH;

    for (; p < end; p++) {
        switch (*p) {
        case 0x66:
            *op16 = true;
            break;
        case 0xf0: case 0x67:
        case 0x26: case 0x2e: case 0x36: case 0x3e: case 0x64: case 0x65:
            break;
        case 0xf2: case 0xf3:
            return NULL;
        default:
            return p;
        }
    }
    return NULL;
}

/* Bytes of SIB and displacement behind ModRM, which names memory. */
static unsigned int address_bytes(u8 modrm, u8 sib)
{
    unsigned int mod = modrm >> 6, rm = modrm & 7, bytes = rm == 4;

    if (mod == 0)
        return bytes + ((rm == 4 ? sib & 7 : rm) == 5 ? 4 : 0);
    return bytes + (mod == 1 ? 1 : 4);
}

/* Sign extended. */
static u64 read_imm(const u8 *p, unsigned int bytes)
{
    s32 imm32;
    s16 imm16;

    switch (bytes) {
    case 1:
        return (u64)(s8)*p;
    case 2:
        memcpy(&imm16, p, sizeof(imm16));
        return (u64)imm16;
    default:
        memcpy(&imm32, p, sizeof(imm32));
        return (u64)imm32;
    }
}

/* XCHG of eight bytes with a register, found without the tables: it makes up most of what is decoded. */
static bool decode_xchg(const u8 code[INSN_BUFFER], unsigned int avail, struct mem_insn *insn)
{
    u8 rex = code[0], modrm = code[2];

    if ((rex & 0xf8) != (0x40 | REX_W) || code[1] != 0x87 || modrm >= 0xc0)
        return false;
    *insn = (struct mem_insn){
        .op = OP_XCHG,
        .length = (u8)(3 + address_bytes(modrm, code[3])),
        .bytes = 8,
        .reg = (u8)((modrm >> 3 & 7) | (rex & REX_R ? 8 : 0)),
    };
    return insn->length <= avail;
}

static noinline bool decode_by_tables(const u8 code[INSN_BUFFER], unsigned int avail, struct mem_insn *insn)
{
    const struct form *f = one_byte;
    bool op16 = false;
    const u8 *p = code;
    u8 rex = 0, modrm;
    unsigned int imm_bytes = 0;

    /* Whatever is decoded, however odd, lies in the buffer; whether it was all there is seen at the end. */
    if ((*p & 0xf0) != 0x40) {
        p = skip_prefixes(p, &op16);
        if (!p)
            return false;
    }
    if ((*p & 0xf0) == 0x40)
        rex = *p++;
    if (*p == 0x0f) {
        f = two_byte;
        p++;
    }
    f += *p++;
    modrm = *p++;
    if (!f->source || modrm >= 0xc0)
        return false;
    p += address_bytes(modrm, *p);

    insn->op = f->group ? group_op[f->op][modrm >> 3 & 7] : f->op;
    insn->bytes = f->byte ? 1 : rex & REX_W ? 8 : op16 ? 2 : 4;
    insn->reg = (u8)((modrm >> 3 & 7) | (rex & REX_R ? 8 : 0));
    insn->high_byte = f->byte && !rex && insn->reg >= 4;
    insn->has_imm = f->source == SRC_IMM || f->source == SRC_IMM8;
    if (insn->has_imm) {
        imm_bytes = f->source == SRC_IMM8 ? 1 : min(insn->bytes, (u8)4);
        insn->imm = read_imm(p, imm_bytes);
    }
    insn->length = (u8)(p + imm_bytes - code);
    if (insn->op == OP_CMPXCHG8B) {
        if (rex & REX_W)
            return false;       /* sixteen bytes: two entries */
        insn->bytes = 8;
    }
    return insn->op != NONE && insn->length <= min(avail, (unsigned int)MAX_INSN_LENGTH);
}

bool decode_mem_insn(const u8 code[INSN_BUFFER], unsigned int avail, struct mem_insn *insn)
{
    return likely(decode_xchg(code, avail, insn)) || decode_by_tables(code, avail, insn);
}

/* ---- Registers ---- */

#define REG_OFFSET(r) offsetof(struct cpu_user_regs, r)

/* By the number in instructions. */
static const u8 reg_offset[16] = {
    REG_OFFSET(rax), REG_OFFSET(rcx), REG_OFFSET(rdx), REG_OFFSET(rbx), REG_OFFSET(rsp), REG_OFFSET(rbp),
    REG_OFFSET(rsi), REG_OFFSET(rdi), REG_OFFSET(r8), REG_OFFSET(r9), REG_OFFSET(r10), REG_OFFSET(r11),
    REG_OFFSET(r12), REG_OFFSET(r13), REG_OFFSET(r14), REG_OFFSET(r15),
};

u64 *gpr(const struct cpu_user_regs *regs, unsigned int number)
{
    return (u64 *)((unsigned long)regs + reg_offset[number]);
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
    /* Even parity of the low byte: of its nibbles' exclusive or, by a table of sixteen bits. */
    if (!(0x6996 >> ((result ^ result >> 4) & 15) & 1))
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
