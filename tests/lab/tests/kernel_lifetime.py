# SPDX-License-Identifier: MIT
"""kernel_lifetime - the card goes away and comes back under every kind of open file; modules come and go.

The test program asks for what only the holder of the card can do (ONI_LAB_CMD, see tests/lab/README.md).
What was published to a controller that has gone went with it: bytes of the card are compared with those published in the last life only.
"""
import _kernel

OPTIONS = {"own_kernel": False, "sims": [["--model", "seed=1"]], "timeout": 900, "takes": 340}


def run(lab):
    _kernel.slots_by_guest(lab.guest)
    lab.run_tap("ONI_LAB_CMD=/usr/lib/oni-lab/ask /usr/lib/oni/lab/oni_lifetime", "oni_lifetime: ", timeout=800)
    _kernel.last_life(lab, "after all of it")
    _kernel.conserved(lab, "after all of it")
