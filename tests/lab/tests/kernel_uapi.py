# SPDX-License-Identifier: MIT
"""kernel_uapi - the kernel/user contract: the selftests, and the simulator's own record of what reached a stimulator.

The guard is judged twice: the selftest sees EPERM, and the card sees no write that the test tried.
"""
import re

OPTIONS = {"sims": [["--model", "seed=1"]], "timeout": 900}

FOLDER = "/usr/lib/oni/selftests"
PROGRAMS = ["oni_uapi", "oni_control", "oni_ring", "oni_uapi32", "oni_control32", "oni_ring32"]


def run(lab):
    for program in PROGRAMS:
        lab.run_tap(f"{FOLDER}/{program}", f"{program}: ", timeout=240)
