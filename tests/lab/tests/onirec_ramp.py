# SPDX-License-Identifier: MIT
"""onirec_ramp - 60 s in real time: every frame produced is recorded, samples bit-exact on disk, Neo opens it."""

import json
import os
import subprocess

OPTIONS = {
    "sims": [["--model", "seed=1", "--model", "source=0-63=ramp"]],
    "data": "1500M",
    "timeout": 600,
    "exclusive": True,
    "memory": "1536M",
}

SECONDS = int(os.environ.get("ONIREC_SECONDS", "60"))
CHECKS = os.path.join(os.path.dirname(__file__), "../../check")
CONFIG = "[port a]\nheadstage = hs64\nvolts = 6.0\n"


def check(lab, name, *args):
    p = subprocess.run(["/usr/bin/python3", os.path.join(CHECKS, name), *map(str, args)], capture_output=True, text=True)
    lab.ok(p.returncode == 0, f"{name} {' '.join(str(a) for a in args[1:])}".strip(), p.stdout + p.stderr)


def run(lab):
    lab.guest.sh("udevadm settle")
    lab.guest.sh(f"printf '{CONFIG}' > /tmp/onirec.conf")
    rc, out = lab.guest.sh(f"onirec -c /tmp/onirec.conf -o /var/lib/oni --name ramp -t {SECONDS} --no-detect --json 2>/tmp/err; "
                           "rc=$?; cat /tmp/err >&2; exit $rc", check=False)
    lab.equal(rc, 0, "onirec ends well")
    summary = json.loads(out[out.index("{"):out.rindex("}") + 1])
    lab.ok(summary["seconds"] >= SECONDS, f"{SECONDS} s of acquisition clock", summary["seconds"])
    lab.equal(summary["disk"]["reader_waits"], 0, "the reader never waited for the disk")
    print("# card", summary["card"], "ring peak", summary["stream"]["ring_peak_bytes"], "clock", summary["clock"])
    lab.match("off", lab.guest.sh("onictl port status"), "the port is off again")


def after(lab):
    session = lab.data / "ramp"
    check(lab, "check_frames.py", session, lab.sim.truth_path)
    check(lab, "check_ramp.py", session)
    check(lab, "check_neo.py", session, "--min-seconds", SECONDS - 0.1)
