# SPDX-License-Identifier: MIT
#
# Top of the tree: what a user or a packager needs, and the two commands of a newcomer, demo and check. Everything
# is built below build/; nothing else in the tree is written. 'make help' lists the targets.

TOP     := $(CURDIR)
BUILD   := $(TOP)/build
PREFIX  ?= /usr
DESTDIR ?=

# The kernel to build modules for: the running one, else the newest Debian headers of the 6.1 series.
KDIR    ?= $(firstword $(wildcard /lib/modules/$(shell uname -r)/build) \
		$(lastword $(shell ls -dv /usr/src/linux-headers-6.1.*-amd64 2>/dev/null)))
KVER     = $(shell sed -n 's/.*UTS_RELEASE "\(.*\)"/\1/p' $(KDIR)/include/generated/utsrelease.h 2>/dev/null)
MODDIR   = $(BUILD)/mod-$(KVER)

# The guest of the lab runs a Debian kernel whatever the host runs.
LAB_KDIR = $(lastword $(shell ls -dv /usr/src/linux-headers-6.1.*-amd64 2>/dev/null))

export BUILD

all: tools $(if $(KDIR),modules,no-headers)

no-headers:
	@echo "No kernel headers for $$(uname -r): modules not built (apt install linux-headers-amd64, or KDIR=...)."

# Sources are copied, so that several kernels can be built for side by side and the tree stays clean.
modules:
	@test -n "$(KVER)" || { echo "make modules: KDIR='$(KDIR)' is not a configured kernel" >&2; exit 1; }
	@mkdir -p $(MODDIR)
	@cd driver && find . -type f | sort >$(MODDIR)/.sources
	@cd $(MODDIR) && find . -name '*.[ch]' ! -name '*.mod.c' | sort | comm -23 - .sources | xargs -r rm -f
	@cd driver && find . -type f -exec cp -pu --parents -t $(MODDIR) {} +
	$(MAKE) -C $(KDIR) M=$(MODDIR) W=1 modules

modules_install: modules
	$(MAKE) -C $(KDIR) M=$(MODDIR) INSTALL_MOD_PATH=$(DESTDIR) CONFIG_MODULE_SIG_ALL= modules_install

tools:
	$(MAKE) -C userspace O=$(BUILD)/userspace PREFIX=$(PREFIX) all

sim:
	$(MAKE) -C tests/sim O=$(BUILD)/sim all

unit:
	$(MAKE) -C tests/unit O=$(BUILD)/unit all

selftests:
	$(MAKE) -C tests/selftests O=$(BUILD)/selftests all

install: tools
	$(MAKE) -C userspace O=$(BUILD)/userspace PREFIX=$(PREFIX) DESTDIR=$(DESTDIR) install

# What the guest gets: tools, rules and units as installed, the selftests, the modules of its kernel.
guest: sim tools selftests
	$(MAKE) modules KDIR=$(LAB_KDIR)
	rm -rf $(BUILD)/dest
	$(MAKE) -C userspace O=$(BUILD)/userspace PREFIX=/usr DESTDIR=$(BUILD)/dest install
	$(MAKE) -C tests/selftests O=$(BUILD)/selftests PREFIX=/usr DESTDIR=$(BUILD)/dest install

demo:
	@tests/lab/demo

check:
	@tests/lab/check $(T) $(if $(K),--kernel $(K))

check-all:
	@tests/lab/check --all

# T=path|loop|load|usb|stop: one of them; QUICK=1: fewer points.
bench:
	@tests/lab/deps demo
	@tests/bench/run $(or $(T),all) $(if $(QUICK),--quick)

shell:
	@tests/lab/deps demo
	@$(MAKE) --no-print-directory guest >$(BUILD)/guest-build.log 2>&1 || { tail -40 $(BUILD)/guest-build.log; exit 1; }
	@tests/lab/run --shell $(T)

deps:
	@tests/lab/deps check

clean:
	rm -rf $(BUILD)

help:
	@echo "make                 tools, and modules for KDIR=$(KDIR)"
	@echo "make demo            build, boot a guest with a simulated card, record 20 s, show what came out (PLAY=file.raw)"
	@echo "make demo TRANSPORT=usb  the same with a simulated Acquisition Board on USB"
	@echo "make check           every test; ends with 'N passed, N failed'"
	@echo "make check T=NAME    one test: a scenario (tests/lab/run --list), a unit test, or a stage"
	@echo "make check K=KERNEL  the scenarios for other kernels on one of them (tests/lab/run --list-kernels), or T=NAME on it"
	@echo "make check-all       'make check', then the same scenarios on every other kernel (takes hours)"
	@echo "make bench           what the data path costs, measured (QUICK=1; T=path|loop|load|usb|stop): tests/bench/README.md"
	@echo "make shell           a root shell in a guest with the card (T=NAME: with the card of that scenario)"
	@echo "make modules         oni.ko, oni_riffa.ko and oni_ft600.ko into build/mod-<release>   KDIR=<headers>"
	@echo "make tools           libonidev, onictl, onirec, onistim into build/userspace"
	@echo "make install         tools, library, udev rules, units                  DESTDIR= PREFIX="
	@echo "make modules_install modules into DESTDIR/lib/modules                   KDIR= DESTDIR="
	@echo "make sim unit selftests guest   the parts of the test bench"
	@echo "make deps            install the Debian packages for 'make check' (asks first; YES=1 does not)"
	@echo "make clean           delete build/; 'tests/lab/images clean' deletes the cached guests"

.PHONY: all no-headers modules modules_install tools sim unit selftests install guest demo check check-all bench shell deps clean help
