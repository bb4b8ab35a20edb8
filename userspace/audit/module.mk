# SPDX-License-Identifier: MIT
# oni-auditd: keeps the log of everything that happens to the stimulators.
PROGS += oni-auditd
oni-auditd_SRCS   := $(wildcard audit/*.c)
oni-auditd_CFLAGS := -Iaudit $(shell pkg-config --cflags libgcrypt libsystemd jansson)
oni-auditd_LIBS   := -lgcrypt -lsystemd -ljansson
