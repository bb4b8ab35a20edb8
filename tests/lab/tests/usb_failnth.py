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
OPTIONS = {"sims": [_usb.BOARD], "timeout": SECONDS + 60, "kernels": ["debug-6.1", "debug-6.12", "debug-7.3"], "own_kernel": False, "long": True,
           "append": "panic_on_warn=0", "reports": importlib.import_module("kernel_failnth").REPORTS}

FAILSLAB = "/sys/kernel/debug/failslab"
# Only what cannot wait for memory, in whatever context: in this guest nearly all of that is what the host controller driver needs for a transfer.
ATOMIC = {"task-filter": "N", "cache-filter": "N", "ignore-gfp-wait": "Y", "interval": 1, "space": 0, "verbose": 0}
TIMES = 40


def failslab(lab, **files):
    lab.guest.sh("; ".join(f"echo {value} >{FAILSLAB}/{name}" for name, value in files.items()))


def transfers_without_memory(lab):
    """Some transfers of an acquisition cannot be submitted at first: no frame is lost by it, and nobody is told."""
    before = _kernel.attributes(lab.guest, "stats/link_errors")
    failslab(lab, **ATOMIC, times=TIMES, probability=2)
    _usb.count(lab, "memory for a transfer is short", 6)
    failslab(lab, probability=0)
    left = int(lab.guest.sh(f"cat {FAILSLAB}/times"))
    lab.ok(left < TIMES - 3, "memory for a transfer is short: some could not be submitted", f"{left} of {TIMES} failures left")
    lab.equal(_kernel.attributes(lab.guest, "stats/link_errors"), before, "memory for a transfer is short: no link error")


def run(lab):
    transfers_without_memory(lab)
    lab.run_tap("/usr/lib/oni/lab/oni_failnth" + (" -a" if ALL else ""), "oni_failnth: ", timeout=SECONDS)
    lab.equal(lab.sim.violations(), [], "nothing that the chip forbids")
