# SPDX-License-Identifier: MIT
"""kernel_stress - one in a hundred allocations and user copies fails while three programs fight for the card; then all is well again.

What the card made is accounted for to the last frame, and a reader finds everything that was delivered to it. Leaks show in the verdict.
"""
import json

OPTIONS = {"sims": [["--model", "seed=1"]], "timeout": 150, "kernels": ["debug-6.1", "debug-6.12", "debug-7.3"], "own_kernel": False}


def run(lab):
    lab.run_tap("/usr/lib/oni/lab/oni_stress", "oni_stress: ", timeout=90)
    frames = lab.sim.frames()
    lab.ok(frames and all(d["produced"] == d["delivered"] + d["left"] + d["lost"] for d in frames.values()),
           "produced = delivered + left + lost", frames)

    lab.sim.control("reset-counters")
    rc, out = lab.guest.sh("/usr/lib/oni/lab/oni_count -n -t 3", 60, check=False)
    if not lab.ok(rc == 0, "every byte of a recording afterwards parses as frames", f"status {rc}: {out}"):
        return
    counted = {int(a): n for a, n in json.loads(out.splitlines()[-1])["frames"].items() if n}
    delivered = {a: d["delivered"] for a, d in lab.sim.frames().items() if d["delivered"]}
    lab.ok(counted, "it has frames")
    lab.equal(counted, delivered, "frames read = frames delivered, every device")
    lab.equal(lab.sim.status()["model.stim_triggers"], 0, "nothing was ever triggered")
