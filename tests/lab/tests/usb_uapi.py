# SPDX-License-Identifier: MIT
"""usb_uapi - the kernel/user contract over USB: the programs of kernel_uapi on an Acquisition Board, by both system call entries."""
import re

import _kernel
import _usb

OPTIONS = {"own_kernel": False, "sims": [_usb.BOARD], "timeout": 1500, "takes": 440, "kernels": _usb.KERNELS}

FOLDER = "/usr/lib/oni/selftests"
# Tests of what a board does not have are left out by the programs, which say so; in each of them most must be left.
LEAST = {"uapi": 150, "control": 60, "ring": 70, "monitor": 30}


def run(lab):
    programs = lab.guest.sh(f"ls {FOLDER}").split()
    # The other system call entry is the same code behind a thin layer: once is enough for kernels that are slow.
    for program in [p for p in programs if not lab.slow or not p.endswith("32")]:
        before = len(lab.results)
        out = lab.run_tap(f"{FOLDER}/{program}", f"{program}: ", timeout=400)
        for line in re.findall(r"^# not on this board: (.*)", out, re.M):
            lab.note(f"{program}: not on this board: {line}")
        done, least = len(lab.results) - before, LEAST[program.removeprefix("oni_").removesuffix("32")]
        lab.ok(done >= least, f"{program}: at least {least} tests were run", f"{done}")
    _kernel.conserved(lab, "after all programs")
    # What a full ring holds back at a stop is given up.
    stats = lab.guest.sh("cat /sys/class/oni/oni*/stats/bytes")
    lab.ok(0 < int(stats) <= lab.sim.status()["bytes"], "not more was published than the board delivered", f"{stats}, {lab.sim.status()['bytes']}")
