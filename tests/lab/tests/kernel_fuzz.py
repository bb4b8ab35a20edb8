# SPDX-License-Identifier: MIT
"""kernel_fuzz - calls that nobody would make, in an order that nobody would choose, while the card comes and goes.

What was published to a controller that has gone went with it, and a stream of nonsense may end in an error with a block under way: bytes of the
card are compared with those published in the last life only.

The calls of the first part depend on the seed alone. ONI_FUZZ_SEED and ONI_FUZZ_CALLS choose others.
"""
import os

import _kernel

SEED, CALLS = int(os.environ.get("ONI_FUZZ_SEED", "1")), int(os.environ.get("ONI_FUZZ_CALLS", "100000"))
SECONDS = 360 * max(1, CALLS // 200000)

OPTIONS = {"own_kernel": False, "sims": [["--model", "seed=1"]], "timeout": SECONDS + 40}


def run(lab):
    rc, out = lab.guest.sh(f"ONI_LAB_CMD=/usr/lib/oni-lab/ask /usr/lib/oni/lab/oni_fuzz -s {SEED} -n {CALLS}", SECONDS, check=False)
    lab.note("\n".join(line[2:] for line in out.splitlines() if line.startswith("# ")))
    lab.tap(out, "oni_fuzz: ")
    lab.ok(rc in (0, 1), "oni_fuzz: exit status", f"status {rc}: {out[-1500:]}")
    _kernel.last_life(lab, "after all calls")
    status = lab.sim.status()
    lab.equal(status["model.stim_triggers"], 0, "nothing was ever triggered")
    lab.equal([k for k, v in status.items() if k.endswith("savevoltage_writes") and v], [], "no voltage was saved")
    frames = lab.sim.frames()
    lab.ok(frames and all(d["produced"] == d["delivered"] + d["left"] + d["lost"] for d in frames.values()),
           "produced = delivered + left + lost", frames)
