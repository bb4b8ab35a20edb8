# SPDX-License-Identifier: MIT
"""kernel_hostile - the card is broken or means harm; calls end with an errno, a counter tells, a reset brings the data back, the log stays short.

A card that is broken says that it delivered what it did not, and some tests bind the driver anew: bytes of the card are compared with those
published in an acquisition afterwards, when it is whole again.

The test program asks for each fault at the moment it needs it (ONI_LAB_CMD, see tests/lab/README.md).

verifies: R23
"""
import re

import _kernel

# Seconds to serve an interrupt: lost ones are found by the driver's poll.
# A table of 280 rows has to be in within the seconds that the driver gives a card, which it sends at the pace of its interrupts.
OPTIONS = {"long": True, "sims": [["--model", "seed=1", "--vector-timeout", "5000"]], "timeout": 600, "real_time": True}

# What a broken card may print in the whole run: nothing that repeats.
LOG_LINES = 100


def run(lab):
    lab.run_tap("ONI_LAB_CMD=/usr/lib/oni-lab/ask /usr/lib/oni/lab/oni_hostile", "oni_hostile: ", timeout=550)
    said = [line for line in lab.guest.sh("dmesg").splitlines() if re.search(r"\boni", line)]
    lab.ok(len(said) < LOG_LINES, f"the log has less than {LOG_LINES} lines of the driver", "\n".join(said[-20:]))
    _kernel.last_life(lab, "after all of it")
    status = lab.sim.status()
    lab.ok(sum(n for key, n in status.items() if re.fullmatch(r"fault\..*\.done", key)) > 100, "the card did misbehave", status)
    lab.note(f"excused by what the card said: {status['excused']}")
