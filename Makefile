# SPDX-License-Identifier: MIT
# The two commands of the README are `make run` and `make test`; each installs first what it needs.
#
#   make            the hypervisor (build/domus, build/domus-syms) and the tools (build/tools/)
#   make run        all of it in QEMU: a shell in dom0, a guest beside it; without a terminal it checks itself
#   make test       the three tiers of tests, and the other ways to build
#   make test-compat  the same commands on Debian's Xen and on Domus, compared; half an hour or more, and not part of
#                   make test
#   make test-kernels  other kernels than the usual one, as dom0 and as guests; some minutes, and not part of make test
#   make setup      only install the packages
#   O=folder puts the output elsewhere; CC=clang; DEBUG=1 builds the hypervisor with its checks

O ?= build
override O := $(abspath $(O))
export O

# Builds use all CPUs, and so do test kernels. Two whole machines at once: the CPUs of each wait for one another, and for
# what their scripts wait for, half of their time.
JOBS := -j$(shell nproc)
MACHINES ?= 2

.PHONY: all hypervisor tools debug setup images run test test-clang test-unit test-guest test-system test-compat test-kernels clean
all: hypervisor tools

hypervisor:
	$(MAKE) -C hypervisor O='$(O)'

tools:
	$(MAKE) -C toolstack O='$(O)'

debug:
	$(MAKE) -C hypervisor O='$(O)/debug' DEBUG=1

setup:
	guest/setup

images: tools
	guest/build-images '$(O)'

run: setup
	$(MAKE) $(JOBS) hypervisor images
	guest/run-demo '$(O)'

test: setup
	$(MAKE) $(JOBS) hypervisor tools debug test-clang
	$(MAKE) test-unit test-guest test-system

# All that gcc builds, by clang; its hypervisor and tools are not run.
test-clang:
	$(MAKE) -C hypervisor O='$(O)/clang' CC=clang
	$(MAKE) -C toolstack O='$(O)/clang' CC=clang
	$(MAKE) -C tests/unit O='$(O)/clang' CC=clang check

test-unit:
	$(MAKE) -C tests/unit O='$(O)' check
	$(MAKE) -C tests/fuzz O='$(O)' check

# Once as it is, and once where the hypervisor checks itself and CPUs can disturb each other.
test-guest: hypervisor debug
	$(MAKE) -C tests/guest O='$(O)' check
	QEMU_SMP=2 $(MAKE) -C tests/guest O='$(O)' HYPERVISOR='$(O)/debug/domus' check

test-system: hypervisor images
	$(MAKE) -C tests/guest O='$(O)'
	cd tests/system && O='$(O)' /usr/bin/python3 -m pytest -v -n $(MACHINES) --dist loadfile --durations=10 --tb=short -p no:cacheprovider

# Debian's dom0 with Xen's own tools on both hypervisors, which writes the tables of docs/compatibility.md; then guests
# that go from the one to the other.
test-compat: setup
	$(MAKE) $(JOBS) hypervisor images
	$(MAKE) -C tests/compat O='$(O)' check between

# docs/compatibility.md has what is known of them.
test-kernels: setup
	$(MAKE) $(JOBS) hypervisor images
	$(MAKE) -C tests/kernels O='$(O)' check

clean:
	rm -rf '$(O)'
