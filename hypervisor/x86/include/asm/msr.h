/* SPDX-License-Identifier: MIT */
/* Indexes of model-specific registers and their bits. Intel SDM vol. 4; AMD APM vol. 2, appendix A. */
#ifndef ASM_MSR_H
#define ASM_MSR_H

#define MSR_TSC                 0x10
#define MSR_PLATFORM_ID         0x17
#define MSR_APIC_BASE           0x1b
#define  APIC_BASE_BSP          0x100
#define  APIC_BASE_X2APIC       0x400
#define  APIC_BASE_ENABLE       0x800
#define MSR_FEATURE_CONTROL     0x3a
#define MSR_TSC_ADJUST          0x3b
#define MSR_SPEC_CTRL           0x48
#define MSR_PRED_CMD            0x49
#define MSR_UCODE_REV           0x8b
#define MSR_PLATFORM_INFO       0xce
#define MSR_MTRRCAP             0xfe
#define MSR_ARCH_CAPABILITIES   0x10a
#define  ARCH_CAPS_TSX_CTRL     0x80
#define MSR_TSX_FORCE_ABORT     0x10f
#define MSR_TSX_CTRL            0x122
#define MSR_MCU_OPT_CTRL        0x123
#define MSR_MISC_FEATURES_ENABLES 0x140
#define MSR_SYSENTER_CS         0x174
#define MSR_SYSENTER_ESP        0x175
#define MSR_SYSENTER_EIP        0x176
#define MSR_MCG_CAP             0x179
#define MSR_MCG_STATUS          0x17a
#define MSR_MCG_CTL             0x17b
#define MSR_MISC_ENABLE         0x1a0
#define MSR_DEBUGCTL            0x1d9
#define MSR_MTRR_PHYSBASE0      0x200
#define MSR_MTRR_FIX64K         0x250
#define MSR_PAT                 0x277
#define MSR_MTRR_DEF_TYPE       0x2ff
#define MSR_PERF_CTL            0x199
#define MSR_PERF_STATUS         0x198
#define MSR_MC0_CTL             0x400
#define MSR_MC0_STATUS          0x401
#define MSR_MC0_ADDR            0x402
#define MSR_MC0_MISC            0x403
#define MSR_TSC_DEADLINE        0x6e0
#define MSR_X2APIC_BASE         0x800
#define MSR_CMT_EVENT_SELECT    0xc8d
#define MSR_CMT_COUNTER         0xc8e
#define MSR_XSS                 0xda0
#define MSR_EFER                0xc0000080
#define  EFER_SCE               0x1
#define  EFER_LME               0x100
#define  EFER_LMA               0x400
#define  EFER_NX                0x800
#define  EFER_SVME              0x1000
#define  EFER_FFXSR             0x4000
#define MSR_STAR                0xc0000081
#define MSR_LSTAR               0xc0000082
#define MSR_CSTAR               0xc0000083
#define MSR_SYSCALL_MASK        0xc0000084
#define MSR_FS_BASE             0xc0000100
#define MSR_GS_BASE             0xc0000101
#define MSR_KERNEL_GS_BASE      0xc0000102
#define MSR_TSC_AUX             0xc0000103
#define MSR_DE_CFG              0xc0011029      /* AMD */
#define  DE_CFG_LFENCE_SERIALISING (1u << 1)

/* The page attribute table that guests rely on: WB WT UC- UC WC WP, entries 0 to 5. */
#define MSR_PAT_VALUE           0x050100070406UL

#endif
