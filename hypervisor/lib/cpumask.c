/* SPDX-License-Identifier: MIT */
/* The sets of physical CPUs that all parts of the hypervisor consult; CPU bring-up fills them. */
#include <domus/cpumask.h>

unsigned int nr_cpu_ids __read_mostly = 1;
cpumask_t cpu_possible_map __read_mostly;
cpumask_t cpu_present_map __read_mostly;
cpumask_t cpu_online_map __read_mostly;
