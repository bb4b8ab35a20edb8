# SPDX-License-Identifier: MIT
# onistim: describe, check and run stimulation.
PROGS += onistim
# 'log verify' is that of oni-auditd.
onistim_SRCS   := $(wildcard onistim/*.c cli/*.c) $(addprefix audit/,verify.c recording.c chain.c log.c record.c)
onistim_CFLAGS := -I. -I$(TOP) -Iaudit $(shell pkg-config --cflags cairo libgcrypt jansson)
# What is inside a bound is decided by the driver's own source.
onistim_LIBS   := $(O)/obj/driver/oni_stim_check.o -ljansson -linih -lgmp -lgcrypt $(shell pkg-config --libs cairo)
$(O)/bin/onistim: $(O)/obj/driver/oni_stim_check.o
