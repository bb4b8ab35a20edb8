# SPDX-License-Identifier: MIT
# onictl: control and inspect ONI controllers.
PROGS += onictl
onictl_SRCS   := $(wildcard onictl/*.c cli/*.c) $(addprefix onistim/,conf.c decimal.c node.c policy.c words.c)
onictl_CFLAGS := -I. -I$(TOP) -Ionistim
onictl_LIBS   := $(O)/obj/driver/oni_stim_check.o -ljansson -linih -lgmp
$(O)/bin/onictl: $(O)/obj/driver/oni_stim_check.o
