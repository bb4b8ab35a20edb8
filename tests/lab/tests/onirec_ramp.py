# SPDX-License-Identifier: MIT
"""onirec_ramp - 60 s in real time: every frame produced is recorded, samples are bit-exact on disk, Neo opens it."""

import json
import os

OPTIONS = {
    "sims": [["--model", "seed=1", "--model", "source=0-63=ramp"]],
    "data": "1500M",
    "timeout": 600,
    "memory": "1536M",
}

SECONDS = int(os.environ.get("ONIREC_SECONDS", "60"))
CONFIG = "[port a]\nheadstage = hs64\nvolts = 6.0\n"


def run(lab):
    lab.guest.sh("udevadm settle")
    lab.guest.put("/tmp/onirec.conf", CONFIG)
    rc, out = lab.guest.sh(f"onirec -c /tmp/onirec.conf -o /var/lib/oni --name ramp -t {SECONDS} --json 2>/tmp/err", SECONDS * 4 + 60,
                           check=False)
    lab.equal(rc, 0, "onirec ends well")
    summary = json.loads(out)
    lab.ok(summary["seconds"] >= SECONDS, f"{SECONDS} s of acquisition clock", summary["seconds"])
    lab.equal(sum(d["lost"] for d in summary["devices"]), 0, "no frame was lost")
    lab.note(f"card RAM {summary['card']}, ring peak {summary['stream']['ring_peak_bytes']}, disk {summary['disk']}, "
             f"clock {summary['clock']}")
    lab.match(r"lost 0", lab.guest.sh("cat /tmp/err"), "there was a progress line")
    port = json.loads(lab.guest.sh("onictl --json port status"))[0]
    lab.equal(port["volts"], 0.0, "the port is off again")


def after(lab):
    session = lab.data / "ramp"
    lab.check("frames produced = delivered = recorded for every device, nothing lost", "check_frames.py", session, lab.sim.truth_path)
    lab.check("every sample of 64 channels is bit-exact on disk", "check_ramp.py", session)
    lab.check("Neo opens it: channels, rate, length, scale", "check_neo.py", session, "--min-seconds", SECONDS - 0.1)
