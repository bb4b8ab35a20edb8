# SPDX-License-Identifier: MIT
# onictl: control and inspect ONI controllers.
PROGS += onictl
onictl_SRCS := $(wildcard onictl/*.c)
onictl_LIBS := -ljansson
