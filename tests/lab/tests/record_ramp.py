# SPDX-License-Identifier: MIT
"""record_ramp - one minute in real time: every frame of every device is recorded, every sample bit-exact on disk."""
import json

OPTIONS = {"sims": [["--model", "seed=1", "--model", "source=0-63=ramp"]], "data": "1500M", "timeout": 300, "exclusive": True}

SECONDS = 60
CONFIG = "[port a]\nheadstage = hs64\n"


def run(lab):
    lab.guest.put("/etc/oni/onirec.conf", CONFIG)
    rc, out = lab.guest.sh(f"onirec -q --json -o /var/lib/oni --name ramp -t {SECONDS}", SECONDS + 90, check=False)
    if not lab.ok(rc == 0, f"onirec records {SECONDS} s", f"status {rc}: {out[-1500:]}"):
        return
    summary = json.loads(out[out.index("{"):])
    lab.equal({d["name"]: d["lost"] for d in summary["devices"] if d["lost"]}, {}, "onirec reports no loss")
    lab.equal(summary["stream"]["desyncs"], 0, "the stream never lost its frame borders")
    lab.ok(summary["seconds"] >= SECONDS, "it is as long as was asked for", summary["seconds"])
    lab.equal(lab.sim.status()["running"], 0, "the acquisition is stopped afterwards")
    lab.equal(lab.sim.status()["model.port.a.tenths_of_volt"], 0, "the port is without power afterwards")


def after(lab):
    session = lab.data / "ramp"
    lab.check("frames produced = frames recorded, every device, none lost", "check_frames.py", session, lab.sim.truth_path)
    lab.check("every sample is bit-exact on disk", "check_ramp.py", session)
    lab.check("Neo opens it: channels, rate, length, scale", "check_neo.py", session, "--min-seconds", SECONDS)
