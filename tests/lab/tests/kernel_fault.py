# SPDX-License-Identifier: MIT
"""kernel_fault - the card refuses, does not answer, interrupts for nothing, stops moving data; calls end, a reset cures.

What the card delivered was published, but for the block that was under way when it stopped moving data for so long that it was given up.

The test program asks for each fault at the moment it needs it (ONI_LAB_CMD, see tests/lab/README.md).
"""
import _kernel

OPTIONS = {"own_kernel": False, "sims": [["--model", "seed=1"]], "timeout": 400}


def run(lab):
    lab.run_tap("ONI_LAB_CMD=/usr/lib/oni-lab/ask /usr/lib/oni/lab/oni_fault", "oni_fault: ", timeout=350)
    _kernel.conserved(lab, "after all faults")
    _kernel.published(lab, "after all faults", errors=int(_kernel.attributes(lab.guest, "stats/link_errors")[0]))
