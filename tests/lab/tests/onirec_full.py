# SPDX-License-Identifier: MIT
"""onirec_full - a full disk: the recording ends cleanly, loads, the message says how much was written, the device is stopped."""

import json

OPTIONS = {"sims": [["--model", "seed=4", "--model", "source=0-63=ramp"]], "data": "96M", "timeout": 400}


def fill(lab, name, config, text):
    guest = lab.guest
    guest.put("/tmp/onirec.conf", config)
    rc, out = guest.sh(f"onirec -c /tmp/onirec.conf -o /var/lib/oni --name {name} -t 60 2>&1", 200, check=False)
    lab.equal(rc, 3, f"{name}: exit code 3")
    lab.match(text, out, f"{name}: the message says what happened")
    lab.match(r"[1-9][0-9.]* MB were written and load, the acquisition was stopped", out, f"{name}: and how much was written")
    lab.equal(json.loads(guest.sh("onictl --json info"))["state"], "idle", f"{name}: the device is stopped")


def run(lab):
    lab.guest.sh("udevadm settle; onictl port a on -H hs64", 60)
    fill(lab, "reserve", "[record]\nreserve = 40M\n", "less than 40 MiB are left on the disk")
    fill(lab, "full", "[record]\nreserve = 0\n", "No space left on device")
    lab.guest.sh("df /var/lib/oni")


def after(lab):
    for name in "reserve", "full":
        lab.check(f"{name}: Neo opens it", "check_neo.py", lab.data / name)
        lab.check(f"{name}: what was written is right", "check_ramp.py", lab.data / name)
        with open(lab.data / name / "Record Node 100/experiment1/recording1/onirec/meta.json", encoding="utf8") as f:
            meta = json.load(f)
        lab.equal((meta["state"], meta["end"]["reason"]), ("complete", "disk"), f"{name}: meta.json knows")
