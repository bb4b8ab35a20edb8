# SPDX-License-Identifier: MIT
"""kernel_uapi - the kernel/user contract: every selftest that needs nothing but a card, by both system call entries.

The entry for 32 bits is the same code behind a thin layer: the debug kernel, which sees more and is slow, runs the programs of 64 bits, the
guest's own kernel those of 32. ONI_BOTH_ENTRIES=1: all of them on every kernel that is not slow.
"""
import os

import _kernel

BOTH = os.environ.get("ONI_BOTH_ENTRIES", "0") == "1"
OPTIONS = {"sims": [["--model", "seed=1"]], "timeout": 900, "takes": 380 if BOTH else 200}

FOLDER = "/usr/lib/oni/selftests"


def run(lab):
    programs = lab.guest.sh(f"ls {FOLDER}").split()
    for name in ("uapi", "control", "ring", "monitor"):
        lab.ok({f"oni_{name}", f"oni_{name}32"} <= set(programs), f"oni_{name} is here for 64 and for 32 bits", programs)
    entries = {64} if lab.slow else {64, 32} if BOTH else {32}
    for program in [p for p in programs if (32 if p.endswith("32") else 64) in entries]:
        lab.run_tap(f"{FOLDER}/{program}", f"{program}: ", timeout=240)
    _kernel.conserved(lab, "after all programs")
    _kernel.published(lab, "after all programs")
