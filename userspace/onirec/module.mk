# SPDX-License-Identifier: MIT
# onirec: recorder and spike detector. -O3 because the detector's loops over
# channels are plain C that the compiler has to turn into vector code.
PROGS += onirec
onirec_SRCS   := $(wildcard onirec/*.c) audit/published.c
onirec_CFLAGS := -O3 $(shell pkg-config --cflags jansson libsystemd) -Ionirec
onirec_LIBS   := -ljansson -linih -lsystemd -lpthread -lm
