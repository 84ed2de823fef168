/* SPDX-License-Identifier: MIT */
/*
 * Privileged instructions of a PV guest, whose kernel runs in ring 3: they arrive as #GP with error code 0 and are done
 * here as far as the ABI lets a guest do them. Also CPUID behind the prefix that asks for emulation (XEN_CPUID).
 *
 * The instruction is read from guest memory once, byte by byte as decoding goes on, and nothing is changed before all
 * of it has been decoded and permitted. Intel SDM vol. 2, chapter 2 and opcode map.
 */
#include <domus/domain.h>
#include <domus/guest_access.h>
#include <domus/hypercall.h>
#include <domus/lib.h>
#include <domus/rangeset.h>
#include <domus/string.h>
#include <asm/cpuid.h>
#include <asm/current.h>
#include <asm/fpu.h>
#include <asm/processor.h>
#include <asm/pv_emul.h>
#include <asm/pv_mm.h>
#include <asm/segments.h>
#include <asm/trace.h>
#include <asm/traps.h>

#define MAX_INSN_LENGTH 15

enum rep_prefix { REP_NONE, REP_ANY };
enum segment { SEG_DEFAULT, SEG_ES, SEG_CS, SEG_SS, SEG_DS, SEG_FS, SEG_GS };

/* What became of an instruction. */
enum outcome {
    DONE,               /* rip goes behind it */
    AGAIN,              /* rip stays: the guest executes it once more, or has been given a fault of its own */
    REFUSED,            /* #GP */
};

struct insn {
    struct vcpu *v;
    struct cpu_user_regs *regs;
    u8 bytes[MAX_INSN_LENGTH];
    unsigned int fetched, length;
    unsigned long unreadable;       /* where its bytes could not be read; 0: nowhere */
    bool long_mode, kernel;
    bool operand_size, address_size;        /* prefixes 66, 67 */
    enum rep_prefix rep;
    enum segment segment;
    u8 rex;
    u16 opcode;                     /* 0x0fxx with two bytes */
};

#define REX_W 8
#define REX_R 4
#define REX_B 1

/* ---- Fetch and decode ---- */

static bool next_byte(struct insn *i, u8 *byte)
{
    if (i->length == MAX_INSN_LENGTH)
        return false;
    if (i->length == i->fetched) {
        unsigned long addr = i->regs->rip + i->fetched;
        unsigned long in_page = PAGE_SIZE - (addr & ~PAGE_MASK);
        unsigned int n = (unsigned int)min(in_page, (unsigned long)(MAX_INSN_LENGTH - i->fetched));

        if (copy_from_guest(i->bytes + i->fetched, (const void *)addr, n)) {
            i->unreadable = addr;
            return false;
        }
        i->fetched += n;
    }
    *byte = i->bytes[i->length++];
    return true;
}

/*
 * Whether the code segment is a 64-bit one. Its descriptor may be gone meanwhile, and then even the page of the LDT: what
 * the guest runs in cannot be known, nor does it matter.
 */
static bool is_64bit_code(u16 cs)
{
    u32 rights = 0;

    if (cs == FLAT_RING3_CS64)
        return true;
    asm volatile("1: lar %1, %0\n2:\n" _ASM_EXTABLE(1b, 2b) : "+r"(rights) : "r"((u32)cs) : "cc", "memory");
    return rights & 1u << 21;
}

/* False if byte is no prefix. */
static bool take_prefix(struct insn *i, u8 byte)
{
    switch (byte) {
    case 0x26: i->segment = SEG_ES; break;
    case 0x2e: i->segment = SEG_CS; break;
    case 0x36: i->segment = SEG_SS; break;
    case 0x3e: i->segment = SEG_DS; break;
    case 0x64: i->segment = SEG_FS; break;
    case 0x65: i->segment = SEG_GS; break;
    case 0x66: i->operand_size = true; break;
    case 0x67: i->address_size = true; break;
    case 0xf2:
    case 0xf3: i->rep = REP_ANY; break;
    default: return false;
    }
    return true;
}

static bool decode_opcode(struct insn *i)
{
    u8 byte;

    do {
        if (!next_byte(i, &byte))
            return false;
    } while (take_prefix(i, byte));
    if (i->long_mode && (byte & 0xf0) == 0x40) {
        i->rex = byte;
        if (!next_byte(i, &byte))
            return false;
    }
    i->opcode = byte;
    if (byte == 0x0f) {
        if (!next_byte(i, &byte))
            return false;
        i->opcode = (u16)(0x0f00 | byte);
    }
    return true;
}

static u64 *register_by_number(struct cpu_user_regs *r, unsigned int n)
{
    u64 *const map[16] = {
        &r->rax, &r->rcx, &r->rdx, &r->rbx, &r->rsp, &r->rbp, &r->rsi, &r->rdi,
        &r->r8, &r->r9, &r->r10, &r->r11, &r->r12, &r->r13, &r->r14, &r->r15,
    };

    return map[n & 15];
}

/* Replaces the low bytes of a register as an instruction of that operand size does. */
static void set_low(u64 *reg, u32 value, unsigned int bytes)
{
    if (bytes == 4)
        *reg = value;
    else if (bytes == 2)
        *reg = (*reg & ~0xffffUL) | (value & 0xffff);
    else
        *reg = (*reg & ~0xffUL) | (value & 0xff);
}

/* ---- Ports ---- */

/* Low opcode bit: 0 a byte, 1 a word or doubleword. */
static unsigned int io_bytes(const struct insn *i)
{
    if (!(i->opcode & 1))
        return 1;
    return i->operand_size ? 2 : 4;
}

static bool may_use_ports(const struct insn *i, unsigned int port, unsigned int bytes)
{
    return port + bytes <= 0x10000 && pv_io_allowed(i->v, port, bytes);
}

static enum outcome do_in_out(struct insn *i)
{
    unsigned int bytes = io_bytes(i), port;
    u8 immediate;

    if (i->opcode & 0x08) {
        port = (u16)i->regs->rdx;
    } else {
        if (!next_byte(i, &immediate))
            return REFUSED;
        port = immediate;
    }
    if (!may_use_ports(i, port, bytes))
        return REFUSED;
    if (i->opcode & 0x02)
        pv_io_write(i->v->domain, port, bytes, (u32)i->regs->rax);
    else
        set_low(&i->regs->rax, pv_io_read(i->v->domain, port, bytes), bytes);
    return DONE;
}

/* Address width of string instructions: a mask. */
static u64 address_mask(const struct insn *i)
{
    if (i->long_mode)
        return i->address_size ? 0xffffffffUL : ~0UL;
    return i->address_size ? 0xffffUL : 0xffffffffUL;
}

static u64 segment_base(const struct insn *i)
{
    if (i->segment == SEG_FS)
        return read_fs_base();
    if (i->segment == SEG_GS)
        return read_gs_base();
    return 0;   /* flat: in 64-bit code always, in 32-bit code by what every system does */
}

static void add_masked(u64 *reg, long delta, u64 mask)
{
    u64 sum = (*reg + (u64)delta) & mask;

    /* 32-bit results clear the upper half, 16-bit ones keep it. */
    *reg = mask == 0xffff ? (*reg & ~mask) | sum : sum;
}

/* #PF where a copy of bytes at addr failed: on the page of its last byte if the first one can be read. */
static enum outcome memory_fault(u64 addr, unsigned int bytes, bool write)
{
    u8 byte;

    if (((addr ^ (addr + bytes - 1)) & PAGE_MASK) && copy_from_guest(&byte, (const void *)addr, 1) == 0)
        addr = (addr + bytes - 1) & PAGE_MASK;
    if (!guest_address_ok(addr))
        return REFUSED;
    pv_inject_page_fault(PFEC_USER | (write ? PFEC_WRITE : 0), addr);
    return AGAIN;
}

/* One turn of INS or OUTS. */
static enum outcome string_io_once(struct insn *i, unsigned int port, unsigned int bytes, u64 mask)
{
    bool out = i->opcode & 0x02;
    u64 *index = out ? &i->regs->rsi : &i->regs->rdi;
    u64 addr = (*index & mask) + (out ? segment_base(i) : 0);
    u32 value = 0;

    if (out) {
        if (copy_from_guest(&value, (const void *)addr, bytes))
            return memory_fault(addr, bytes, false);
        pv_io_write(i->v->domain, port, bytes, value);
    } else {
        /* Fault before the device gives its byte away, not after. */
        if (clear_guest((void *)addr, bytes))
            return memory_fault(addr, bytes, true);
        value = pv_io_read(i->v->domain, port, bytes);
        if (copy_to_guest((void *)addr, &value, bytes))
            return memory_fault(addr, bytes, true);
    }
    add_masked(index, i->regs->rflags & X86_EFLAGS_DF ? -(long)bytes : (long)bytes, mask);
    return DONE;
}

#define STRING_IO_BATCH 256     /* turns before the guest is looked after */

static enum outcome do_string_io(struct insn *i)
{
    unsigned int bytes = io_bytes(i), port = (u16)i->regs->rdx, turns = 0;
    u64 mask = address_mask(i);

    if (!may_use_ports(i, port, bytes))
        return REFUSED;
    if (i->rep == REP_NONE)
        return string_io_once(i, port, bytes, mask);
    while (i->regs->rcx & mask) {
        enum outcome outcome = string_io_once(i, port, bytes, mask);

        if (outcome != DONE)
            return outcome;
        add_masked(&i->regs->rcx, -1, mask);
        if (++turns == STRING_IO_BATCH || (i->regs->rflags & X86_EFLAGS_TF) || hypercall_preempt_check())
            break;
    }
    return i->regs->rcx & mask ? AGAIN : DONE;
}

/* ---- Control and debug registers ---- */

/* Bits of CR4 that a guest sees as they are; a few others it chooses. */
#define CR4_GUEST_VISIBLE (X86_CR4_PAE | X86_CR4_MCE | X86_CR4_OSFXSR | X86_CR4_OSXMMEXCPT)

unsigned long pv_guest_cr4(const struct vcpu *v, unsigned long value)
{
    struct cpuid_leaf l1, l7;
    unsigned long choice = X86_CR4_TSD | X86_CR4_DE;

    guest_cpuid(v, 1, 0, &l1);
    guest_cpuid(v, 7, 0, &l7);
    if (l7.b & 1u << 0)
        choice |= X86_CR4_FSGSBASE;
    if (l1.c & 1u << 26)
        choice |= X86_CR4_OSXSAVE;
    return (value & choice) | (mmu_cr4_features & CR4_GUEST_VISIBLE);
}

/* CR0 as the guest sees it: only TS is its own. */
static unsigned long guest_cr0(const struct vcpu *v)
{
    return (read_cr0() & ~(unsigned long)X86_CR0_TS) | (v->arch.cr0 & X86_CR0_TS);
}

static enum outcome write_guest_cr0(const struct insn *i, unsigned long value)
{
    if ((value ^ guest_cr0(i->v)) & ~(unsigned long)X86_CR0_TS)
        return REFUSED;
    do_fpu_taskswitch((value & X86_CR0_TS) != 0);
    return DONE;
}

static enum outcome write_guest_cr3(const struct insn *i, unsigned long value)
{
    int rc = pv_new_guest_cr3(i->v, _mfn(xen_cr3_to_pfn(value)));

    if (rc == -ERESTART || rc == -EINTR)
        return AGAIN;
    return rc ? REFUSED : DONE;
}

static enum outcome move_control(const struct insn *i, unsigned int cr, u64 *reg, bool write)
{
    struct vcpu *v = i->v;

    switch (cr) {
    case 0:
        if (write)
            return write_guest_cr0(i, *reg);
        *reg = guest_cr0(v);
        return DONE;
    case 2:
        if (write)
            v->vcpu_info->arch.cr2 = *reg;
        else
            *reg = v->vcpu_info->arch.cr2;
        return DONE;
    case 3:
        if (write)
            return write_guest_cr3(i, *reg);
        *reg = xen_pfn_to_cr3(mfn_x(v->arch.guest_table));
        return DONE;
    case 4:
        if (write)
            v->arch.cr4 = pv_guest_cr4(v, *reg);
        else
            *reg = pv_guest_cr4(v, v->arch.cr4);
        return DONE;
    default:
        return REFUSED;
    }
}

static enum outcome move_debug(unsigned int dr, u64 *reg, bool write)
{
    if (dr > 7)
        return REFUSED;
    if (write)
        return do_set_debugreg((int)dr, *reg) ? REFUSED : DONE;
    *reg = (u64)do_get_debugreg((int)dr);
    return DONE;
}

/* 0f 20..23: bit 0 control or debug register, bit 1 to it. */
static enum outcome do_mov_cr_dr(struct insn *i)
{
    unsigned int special;
    u64 *reg;
    u8 modrm;

    if (!next_byte(i, &modrm))
        return REFUSED;
    special = (modrm >> 3 & 7) | (i->rex & REX_R ? 8 : 0);
    reg = register_by_number(i->regs, (modrm & 7) | (i->rex & REX_B ? 8 : 0));
    if (i->opcode & 1)
        return move_debug(special, reg, i->opcode & 2);
    return move_control(i, special, reg, i->opcode & 2);
}

/* ---- The rest ---- */

static enum outcome do_rdmsr(const struct insn *i)
{
    u64 value;

    if (!guest_rdmsr(i->v, (u32)i->regs->rcx, &value))
        return REFUSED;
    i->regs->rax = (u32)value;
    i->regs->rdx = value >> 32;
    return DONE;
}

static u64 edx_eax(const struct cpu_user_regs *regs)
{
    return (regs->rdx << 32) | (u32)regs->rax;
}

static enum outcome do_wrmsr(const struct insn *i)
{
    return guest_wrmsr(i->v, (u32)i->regs->rcx, edx_eax(i->regs)) ? DONE : REFUSED;
}

static void emulate_cpuid(struct vcpu *v, struct cpu_user_regs *regs)
{
    struct cpuid_leaf res;

    guest_cpuid(v, (u32)regs->rax, (u32)regs->rcx, &res);
    regs->rax = res.a;
    regs->rbx = res.b;
    regs->rcx = res.c;
    regs->rdx = res.d;
}

/* RDTSC and RDTSCP fault only where CR4.TSD is set; the guest's kernel may then still read. */
static enum outcome do_rdtsc(const struct insn *i, bool with_aux)
{
    u64 tsc = rdtsc_ordered();

    if (!i->kernel && (i->v->arch.cr4 & X86_CR4_TSD))
        return REFUSED;
    i->regs->rax = (u32)tsc;
    i->regs->rdx = tsc >> 32;
    if (with_aux)
        i->regs->rcx = (u32)i->v->arch.tsc_aux;
    return DONE;
}

static enum outcome do_xsetbv(const struct insn *i)
{
    u64 value = edx_eax(i->regs);

    if (!(i->v->arch.cr4 & X86_CR4_OSXSAVE) || (u32)i->regs->rcx != 0 || !xcr0_valid(value))
        return REFUSED;
    vcpu_set_xcr0(i->v, value);
    return DONE;
}

/* 0f 01: XSETBV, RDTSCP, LMSW. The table registers, SWAPGS and so on are the hypervisor's alone. */
static enum outcome do_group7(struct insn *i)
{
    u8 modrm;

    if (!next_byte(i, &modrm))
        return REFUSED;
    if (modrm == 0xf9)
        return do_rdtsc(i, true);
    if (!i->kernel)
        return REFUSED;
    if (modrm == 0xd1)
        return do_xsetbv(i);
    if ((modrm & 0xf8) == 0xf0) {       /* LMSW of a register: the low four bits, PE cannot be cleared */
        u64 source = *register_by_number(i->regs, (modrm & 7) | (i->rex & REX_B ? 8 : 0));

        return write_guest_cr0(i, (guest_cr0(i->v) & ~0xeUL) | (source & 0xf) | X86_CR0_PE);
    }
    return REFUSED;
}

/* Caches matter to those who drive devices only. */
static enum outcome do_wbinvd(const struct insn *i)
{
    struct domain *d = i->v->domain;

    if (!rangeset_is_empty(d->iomem_caps) || !rangeset_is_empty(d->arch.ioport_caps))
        wbinvd();
    return DONE;
}

/* CLI and STI do nothing, where they are allowed: events are masked in shared memory, not by the flag. */
static enum outcome do_cli_sti(const struct insn *i)
{
    return i->kernel || i->v->arch.iopl == 3 ? DONE : REFUSED;
}

static enum outcome emulate(struct insn *i)
{
    /* What user space may do as well, if its kernel lets it. */
    switch (i->opcode) {
    case 0x6c ... 0x6f:
        return do_string_io(i);
    case 0xe4 ... 0xe7:
    case 0xec ... 0xef:
        return do_in_out(i);
    case 0xfa:
    case 0xfb:
        return do_cli_sti(i);
    case 0x0f01:
        return do_group7(i);
    case 0x0f31:
        return do_rdtsc(i, false);
    case 0x0fa2:
        emulate_cpuid(i->v, i->regs);
        return DONE;
    }
    if (!i->kernel)
        return REFUSED;
    switch (i->opcode) {
    case 0x0f06:
        do_fpu_taskswitch(0);
        return DONE;
    case 0x0f08:
    case 0x0f09:
        return do_wbinvd(i);
    case 0x0f20 ... 0x0f23:
        return do_mov_cr_dr(i);
    case 0x0f30:
        return do_wrmsr(i);
    case 0x0f32:
        return do_rdmsr(i);
    default:
        return REFUSED;
    }
}

/* Behind an instruction that has been emulated: the flags that it would have changed, and single-stepping. */
static void advance(struct vcpu *v, struct cpu_user_regs *regs, unsigned int length, bool long_mode)
{
    regs->rip += length;
    if (!long_mode)
        regs->rip = (u32)regs->rip;
    regs->rflags &= ~(u64)X86_EFLAGS_RF;
    if (regs->rflags & X86_EFLAGS_TF) {
        v->arch.dr[6] |= 1u << 14;      /* BS */
        pv_inject_hw_exception(X86_EXC_DB, 0);
    }
}

bool pv_emulate_privileged(struct cpu_user_regs *regs)
{
    struct insn i = {
        .v = current,
        .regs = regs,
        .long_mode = is_64bit_code(regs->cs),
        .kernel = guest_kernel_mode(current, regs),
    };
    enum outcome outcome = decode_opcode(&i) ? emulate(&i) : REFUSED;

    /*
     * Some CPUs refuse an instruction before they have fetched all of it: the rest may lie on a page that is not there,
     * or nowhere at all, and then the #GP stays the guest's. To try again would never end.
     */
    if (i.unreadable && guest_address_ok(i.unreadable)) {
        pv_inject_page_fault(PFEC_USER | PFEC_INSN, i.unreadable);
        return true;
    }
    if (outcome == DONE) {
        advance(i.v, regs, i.length, i.long_mode);
        trace_privileged(regs->rip);
    }
    return outcome != REFUSED;
}

/* XEN_EMULATE_PREFIX (UD2, "xen") and CPUID. */
bool pv_emulate_forced_prefix(struct cpu_user_regs *regs)
{
    static const u8 forced_cpuid[] = { 0x0f, 0x0b, 'x', 'e', 'n', 0x0f, 0xa2 };
    u8 bytes[sizeof(forced_cpuid)];
    u32 leaf;

    if (copy_from_guest(bytes, (const void *)regs->rip, sizeof(bytes)) ||
        memcmp(bytes, forced_cpuid, sizeof(bytes)) != 0)
        return false;
    leaf = (u32)regs->rax;
    emulate_cpuid(current, regs);
    /*
     * Linux takes OSXSAVE in this view, before it sets CR4.OSXSAVE itself, for the hypervisor's word that XSAVE can be
     * used: that has become part of the ABI.
     */
    if (leaf == 1 && guest_kernel_mode(current, regs) && vcpu_has_feature(current, XEN_X86_FEATURE_XSAVE))
        regs->rcx |= 1u << XEN_X86_FEATURE_OSXSAVE % 32;
    advance(current, regs, sizeof(bytes), is_64bit_code(regs->cs));
    return true;
}
