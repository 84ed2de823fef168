/* SPDX-License-Identifier: MIT */
/*
 * Per-CPU variables. The architecture's asm/percpu.h supplies:
 *   DEFINE_PER_CPU(type, name)   one object a CPU, zeroed or as initialised (= { ... } may follow)
 *   DECLARE_PER_CPU(type, name)  its declaration
 *   this_cpu(name)               lvalue: the running CPU's; the caller must not migrate (it cannot:
 *                                nothing is preempted on a hypervisor stack)
 *   per_cpu(name, cpu)           lvalue: that CPU's; it must have been brought up once
 * Names are used as given, so they share the namespace of global variables.
 */
#ifndef DOMUS_PERCPU_H
#define DOMUS_PERCPU_H

#include <asm/percpu.h>

#endif
