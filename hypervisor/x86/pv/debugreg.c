/* SPDX-License-Identifier: MIT */
/*
 * Debug registers of a PV guest: checked when they are set, by a hypercall, an emulated instruction or a whole context, and
 * in the CPU only while a breakpoint is enabled. Specification: Intel SDM 3B, 18.2.
 */
#include <domus/domain.h>
#include <domus/hypercall.h>
#include <domus/lib.h>
#include <asm/processor.h>
#include <asm/pv_emul.h>
#include <asm/traps.h>

#define DR6_FIXED_ONES  0xffff0ff0UL
#define DR6_WRITABLE    0x0000e00fUL
#define DR7_FIXED_ONE   0x00000400UL
#define DR7_GD          0x00002000UL
#define DR7_RESERVED    0x0000d800UL
#define DR7_ENABLED     0x000000ffUL

/* An I/O breakpoint needs CR4.DE and could fire on the hypervisor's own port accesses: refused. */
static bool dr7_valid(unsigned long value)
{
    for (unsigned int i = 0; i < 4; i++) {
        if ((value & 3UL << i * 2) && (value >> (16 + i * 4) & 3) == 2)
            return false;
    }
    return value >> 32 == 0;
}

bool pv_debugreg_valid(unsigned int reg, unsigned long value)
{
    if (reg == 7)
        return dr7_valid(value);
    return reg > 3 || guest_address_ok(value);
}

void pv_store_debugreg(struct vcpu *v, unsigned int reg, unsigned long value)
{
    if (reg == 6)
        value = (value & DR6_WRITABLE) | DR6_FIXED_ONES;
    else if (reg == 7)
        value = (value & ~(DR7_RESERVED | DR7_GD)) | DR7_FIXED_ONE;
    v->arch.dr[reg] = value;
}

void pv_reset_debugregs(struct vcpu *v)
{
    for (unsigned int i = 0; i < ARRAY_SIZE(v->arch.dr); i++)
        pv_store_debugreg(v, i, 0);
}

void pv_load_debugregs(const struct vcpu *v)
{
    if (!(v->arch.dr[7] & DR7_ENABLED))
        return;
    write_dr0(v->arch.dr[0]);
    write_dr1(v->arch.dr[1]);
    write_dr2(v->arch.dr[2]);
    write_dr3(v->arch.dr[3]);
    write_dr7(v->arch.dr[7]);
}

void pv_unload_debugregs(const struct vcpu *v)
{
    if (v->arch.dr[7] & DR7_ENABLED)
        write_dr7(DR7_FIXED_ONE);
}

/* DR4 and DR5 are other names of DR6 and DR7. */
static int real_number(int reg)
{
    return reg == 4 || reg == 5 ? reg + 2 : reg;
}

/* HYPERVISOR_set_debugreg. Breakpoints in the hypervisor's own space are refused. */
long do_set_debugreg(int reg, unsigned long value)
{
    struct vcpu *v = current;

    reg = real_number(reg);
    if (reg < 0 || reg > 7)
        return -EINVAL;
    if (!pv_debugreg_valid((unsigned int)reg, value))
        return -EPERM;
    pv_unload_debugregs(v);
    pv_store_debugreg(v, (unsigned int)reg, value);
    pv_load_debugregs(v);
    return 0;
}

/* HYPERVISOR_get_debugreg. */
long do_get_debugreg(int reg)
{
    reg = real_number(reg);
    return reg < 0 || reg > 7 ? -EINVAL : (long)current->arch.dr[reg];
}
