# SPDX-License-Identifier: MIT
"""kernel_matrix - every way in which the hardware leaves or is reset, under every kind of file in every state: one result per cell.

The test program asks for what only the holder of the card can do (ONI_LAB_CMD, see tests/lab/README.md).
What was published to a controller that has gone went with it: bytes of the card are compared with those published in the last life only.
"""
import _kernel

OPTIONS = {"own_kernel": False, "sims": [["--model", "seed=1"]], "timeout": 900, "takes": 470}


def run(lab):
    _kernel.slots_by_guest(lab.guest)
    lab.run_tap("ONI_LAB_CMD=/usr/lib/oni-lab/ask /usr/lib/oni/lab/oni_matrix", "oni_matrix: ", timeout=800)
    _kernel.last_life(lab, "after the whole matrix")
    _kernel.conserved(lab, "after the whole matrix")
