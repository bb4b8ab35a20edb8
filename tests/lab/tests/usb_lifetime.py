# SPDX-License-Identifier: MIT
"""usb_lifetime - a board goes away and comes back under every kind of open file: unbound, removed, not authorized, pulled; modules come and go.

The program of kernel_lifetime; it asks for what only the holder of the cable can do (ONI_LAB_CMD, see tests/lab/README.md).
"""
import _kernel
import _usb

OPTIONS = {"own_kernel": False, "sims": [_usb.BOARD], "timeout": 900, "takes": 320, "kernels": _usb.KERNELS}


def run(lab):
    lab.run_tap("ONI_LAB_CMD=/usr/lib/oni-lab/ask /usr/lib/oni/lab/oni_lifetime", "oni_lifetime: ", timeout=800)
    _kernel.conserved(lab, "after all of it")
