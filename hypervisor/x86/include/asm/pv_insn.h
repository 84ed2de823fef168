/* SPDX-License-Identifier: MIT */
/* Instructions of 64-bit code that write, or change, a general operand in memory: x86/pv/insn.c. */
#ifndef ASM_PV_INSN_H
#define ASM_PV_INSN_H

#include <domus/types.h>
#include <xen/xen.h>

#define MAX_INSN_LENGTH 15
/* The decoder may look at so many bytes, and at none beyond. */
#define INSN_BUFFER     32

enum mem_op {
    OP_MOV, OP_XCHG, OP_CMPXCHG, OP_CMPXCHG8B, OP_XADD,
    OP_ADD, OP_OR, OP_AND, OP_SUB, OP_XOR, OP_INC, OP_DEC, OP_NOT, OP_NEG,
    OP_BTS, OP_BTR, OP_BTC,
};

struct mem_insn {
    u8 op;                  /* enum mem_op */
    u8 length;              /* of the instruction, bytes */
    u8 bytes;               /* of the operand: 1, 2, 4 or 8 */
    u8 reg;                 /* the other operand's register, 0 to 15, unless has_imm */
    bool high_byte;         /* reg means AH, CH, DH or BH */
    bool has_imm;
    u64 imm;                /* sign extended */
};

/* The general register that instructions give this number, 0 to 15. */
u64 *gpr(const struct cpu_user_regs *regs, unsigned int number);

/* Decodes the instruction at the start of code, of which avail bytes are known. false: not one of the above, or cut off. */
bool decode_mem_insn(const u8 code[INSN_BUFFER], unsigned int avail, struct mem_insn *insn);

/* What an instruction makes of its memory operand. */
struct mem_result {
    u64 value;              /* to be stored */
    bool store;             /* false: nothing is stored (a CMPXCHG that found something else) */
    u64 flags;              /* RFLAGS afterwards */
};

/* Computes it from the operand's value; changes nothing. */
struct mem_result execute_mem_insn(const struct mem_insn *insn, const struct cpu_user_regs *regs, u64 operand);
/* The store is done: registers, flags and instruction pointer follow. */
void retire_mem_insn(const struct mem_insn *insn, struct cpu_user_regs *regs, u64 operand,
                     const struct mem_result *result);

#endif
