# SPDX-License-Identifier: MIT
"""record_full - the disk fills up during a recording: clean end, clear message, the device is stopped, the folder loads."""

OPTIONS = {"sims": [["--model", "seed=1", "--model", "source=0-63=ramp"]], "data": "96M", "timeout": 240}

CONFIG = "[port a]\nheadstage = hs64\n"
DISK = 3	# exit code


def run(lab):
    lab.guest.put("/etc/oni/onirec.conf", CONFIG)
    rc, out = lab.guest.sh("onirec -q -o /var/lib/oni --name full -t 120 2>&1", 180, check=False)
    lab.equal(rc, DISK, "onirec ends with its exit code for the disk")
    lab.match(r"(?i)(disk|space|full)", out, "the message names the disk")
    lab.match(r"\d+(\.\d+)? ?[MG]B", out, "the message says how much was written")
    status = lab.sim.status()
    lab.equal(status["running"], 0, "the acquisition is stopped")
    lab.equal(status["model.port.a.tenths_of_volt"], 0, "the port is without power")
    rc, out = lab.guest.sh("touch /var/lib/oni/still-room && df -B1M --output=avail /var/lib/oni | tail -1", check=False)
    lab.ok(rc == 0, "a reserve is left on the disk", out)


def after(lab):
    session = lab.data / "full"
    lab.check("Neo opens it", "check_neo.py", session)
    lab.check("what is there is bit-exact", "check_ramp.py", session)
