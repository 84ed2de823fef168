# SPDX-License-Identifier: MIT
#
# What is linked with control_host.c: all of the daemon but what reaches the host by itself, for which that stands in.
# TOOLS is the folder of the tools.

CONTROL := $(filter-out bridge.c child.c core_file.c core_writer.c disk_server.c disk_server_process.c \
             disk_server_record.c guest_frames.c listener.c loop.c main.c nbd_device.c nbd_handshake.c other_console.c \
             ports.c store_file.c store_io.c store_ring.c,$(notdir $(wildcard $(TOOLS)/daemon/*.c)))
CONTROL_WRAPPED := $(addprefix -Wl$(comma)--wrap=,access if_nametoindex clock_gettime core_dump_path)
