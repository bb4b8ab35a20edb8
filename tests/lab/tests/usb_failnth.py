# SPDX-License-Identifier: MIT
"""usb_failnth - every allocation and every user copy of every call fails once, over USB: probe, transfers and their credit included.

The program of kernel_failnth; ONI_FAILNTH_ALL=1 leaves none out. It fails nothing outside its own calls: that a transfer or a request
for more cannot be sent again by the completion of the one before is tested by itself. Leaks show in the verdict.
"""
import importlib
import os

import _kernel
import _usb

ALL = os.environ.get("ONI_FAILNTH_ALL", "0") == "1"
SECONDS = 1200 if ALL else 380
# Caches without which the kernel itself, or what watches it, does not go on: when xhci-hcd has no memory for the command that stops an endpoint,
# usb_kill_urb() waits for ever (64 bytes; what a transfer needs is larger), DMA debugging switches itself off, and so does kmemleak.
SPARED = "slub_debug=A;-,kmalloc-64,radix_tree_node,kmemleak*"
OPTIONS = {"sims": [_usb.BOARD], "timeout": SECONDS + 60, "kernels": ["debug-6.1", "debug-6.12", "debug-7.3"], "own_kernel": False, "long": True,
           "append": f"panic_on_warn=0 {SPARED}", "reports": importlib.import_module("kernel_failnth").REPORTS}

FAILSLAB = "/sys/kernel/debug/failslab"
# Only what cannot wait for memory, in whatever context: in this guest nearly all of that is what the host controller driver needs for a transfer.
ATOMIC = {"task-filter": "N", "cache-filter": "Y", "ignore-gfp-wait": "Y", "interval": 1, "space": 0, "verbose": 0}


def failslab(lab, **files):
    lab.guest.sh("; ".join(f"echo {value} >{FAILSLAB}/{name}" for name, value in files.items()))


def transfers_without_memory(lab, what, times, percent):
    """Many transfers of an acquisition cannot be submitted at first: no frame is lost by it, and nobody is told."""
    before = _kernel.attributes(lab.guest, "stats/link_errors")
    failslab(lab, **ATOMIC, times=times, probability=percent)
    _usb.count(lab, what, 6)
    left = int(lab.guest.sh(f"cat {FAILSLAB}/times"))
    failslab(lab, probability=0)
    lab.equal(left, 0, f"{what}: as many failed as should")
    lab.equal(_kernel.attributes(lab.guest, "stats/link_errors"), before, f"{what}: no link error")


def run(lab):
    spared = lab.guest.sh("cd /sys/kernel/slab && grep -lx 0 */failslab | cut -d/ -f1 | sort").split()
    lab.ok("kmalloc-64" in spared and "kmalloc-128" not in spared, "memory of the kernel's own is spared, that of transfers is not", spared)
    transfers_without_memory(lab, "memory is short now and then", 40, 10)
    transfers_without_memory(lab, "memory is short for a while", 300, 100)
    lab.run_tap("/usr/lib/oni/lab/oni_failnth" + (" -a" if ALL else ""), "oni_failnth: ", timeout=SECONDS)
    lab.equal(lab.sim.violations(), [], "nothing that the chip forbids")
