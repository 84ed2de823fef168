# SPDX-License-Identifier: MIT
#
# What the Makefiles of the tests of tools have in common. Each includes it as its last, after it has set
#   SOURCES    names of the C files of $(OBJ)/test, which are beside the Makefile or in
#   FOLDERS    these folders of the tools
#   DEFINES    more of the preprocessor's options
#   LIBS       what is linked, if more than cmocka
#   HOW        how it is compiled, if not with the address and undefined-behaviour sanitizers
#   RUN        what `make check` does, if more than to run $(OBJ)/test

O ?= ../../../build
CC ?= gcc
TOOLS := ../../../toolstack
OBJ := $(O)/tests/$(notdir $(CURDIR))

# The store's protocol core and what it needs, for SOURCES.
STORE := $(notdir $(wildcard $(TOOLS)/store/*.c)) alloc.c bytes.c log.c

LIBS ?= -lcmocka
HOW ?= -O1 -fsanitize=address,undefined -fno-sanitize-recover=all
RUN ?= $(OBJ)/test
CFLAGS := -std=gnu11 -Wall -Wextra -Werror -g -D_GNU_SOURCE -D__XEN_TOOLS__ -I. -I$(TOOLS) -I$(TOOLS)/lib \
          -I$(TOOLS)/daemon $(DEFINES) $(HOW)
vpath %.c . $(addprefix $(TOOLS)/,$(FOLDERS))

check: $(OBJ)/test
	$(RUN)

$(OBJ)/test: $(SOURCES:%.c=$(OBJ)/%.o)
	$(CC) $(CFLAGS) -o $@ $^ $(LIBS)

$(OBJ)/%.o: %.c Makefile ../tools.mk
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) -MMD -MP -c -o $@ $<

clean:
	rm -rf $(OBJ)

.PHONY: check clean
-include $(wildcard $(OBJ)/*.d)
