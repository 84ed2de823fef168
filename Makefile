# SPDX-License-Identifier: MIT
# The two commands of the README are `make run` and `make test`; each installs first what it needs.
#
#   make            the hypervisor (build/domus, build/domus-syms) and the tools (build/tools/)
#   make run        all of it in QEMU: a shell in dom0, a guest beside it; without a terminal it checks itself
#   make test       the three tiers of tests
#   make setup      only install the packages
#   O=folder puts the output elsewhere; CC=clang; DEBUG=1 builds the hypervisor with its checks

O ?= build
override O := $(abspath $(O))
export O

.PHONY: all hypervisor tools setup images run test test-unit test-guest test-system clean
all: hypervisor tools

hypervisor:
	$(MAKE) -C hypervisor O='$(O)'

tools:
	$(MAKE) -C toolstack O='$(O)'

setup:
	guest/setup

images: tools
	guest/build-images '$(O)'

run: setup
	$(MAKE) hypervisor images
	guest/run-demo '$(O)'

test: setup
	$(MAKE) hypervisor tools
	$(MAKE) test-unit test-guest test-system

test-unit:
	$(MAKE) -C tests/unit O='$(O)' check

test-guest: hypervisor
	$(MAKE) -C tests/guest O='$(O)' check

test-system: hypervisor images
	cd tests/system && O='$(O)' /usr/bin/python3 -m pytest -v -p no:cacheprovider

clean:
	rm -rf '$(O)'
