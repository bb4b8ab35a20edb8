# SPDX-License-Identifier: MIT
"""usb_fuzz - calls that nobody would make, in an order that nobody would choose, while the board comes and goes.

The program of kernel_fuzz. ONI_FUZZ_SEED and ONI_FUZZ_CALLS choose other calls.
"""
import os

import _usb

SEED, CALLS = int(os.environ.get("ONI_FUZZ_SEED", "1")), int(os.environ.get("ONI_FUZZ_CALLS", "50000"))
SECONDS = 360 * max(1, CALLS // 200000)

OPTIONS = {"own_kernel": False, "sims": [_usb.BOARD], "timeout": SECONDS + 40, "kernels": _usb.KERNELS, "long": True}


def run(lab):
    rc, out = lab.guest.sh(f"ONI_LAB_CMD=/usr/lib/oni-lab/ask /usr/lib/oni/lab/oni_fuzz -s {SEED} -n {CALLS}", SECONDS, check=False)
    lab.note("\n".join(line[2:] for line in out.splitlines() if line.startswith("# ")))
    lab.tap(out, "oni_fuzz: ")
    lab.ok(rc in (0, 1), "oni_fuzz: exit status", f"status {rc}: {out[-1500:]}")
    frames = lab.sim.frames()
    lab.ok(frames and all(d["produced"] == d["delivered"] + d["left"] + d["lost"] for d in frames.values()),
           "produced = delivered + left + lost", frames)
    lab.equal(lab.sim.violations(), [], "nothing that the chip forbids")
