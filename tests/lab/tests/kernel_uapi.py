# SPDX-License-Identifier: MIT
"""kernel_uapi - the kernel/user contract: every selftest that needs nothing but a card, by both system call entries."""

OPTIONS = {"sims": [["--model", "seed=1"]], "timeout": 900}

FOLDER = "/usr/lib/oni/selftests"


def run(lab):
    programs = lab.guest.sh(f"ls {FOLDER}").split()
    for name in ("uapi", "control", "ring"):
        lab.ok({f"oni_{name}", f"oni_{name}32"} <= set(programs), f"oni_{name} is here for 64 and for 32 bits", programs)
    for program in programs:
        lab.run_tap(f"{FOLDER}/{program}", f"{program}: ", timeout=240)
