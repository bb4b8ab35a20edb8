# SPDX-License-Identifier: MIT
"""kernel_matrix - every way in which the hardware leaves or is reset, under every kind of file in every state: one result per cell.

The test program asks for what only the holder of the card can do (ONI_LAB_CMD, see tests/lab/README.md).
"""
import _kernel

OPTIONS = {"own_kernel": False, "sims": [["--model", "seed=1"]], "timeout": 900, "takes": 470}


def run(lab):
    _kernel.slots_by_guest(lab.guest)
    lab.run_tap("ONI_LAB_CMD=/usr/lib/oni-lab/ask /usr/lib/oni/lab/oni_matrix", "oni_matrix: ", timeout=800)
    _kernel.conserved(lab, "after the whole matrix")
