# SPDX-License-Identifier: MIT
"""onirec_service - the recorder under systemd: ready after the start, status, clean stop, unplug and replug, hardening."""

import re
import time

OPTIONS = {"systemd": True, "sims": [["--model", "seed=5"]], "data": "600M", "timeout": 500}
CONFIG = "[port a]\nheadstage = hs64\nvolts = 6.0\n"
UNIT = "onirec@oni0"


def show(lab, what):
    return dict(line.split("=", 1) for line in lab.guest.sh(f"systemctl show {UNIT} -p {what}").splitlines())


def wait_state(lab, states, seconds=60):
    for _ in range(seconds * 2):
        state = show(lab, "ActiveState,Result,ExecMainStatus")
        if state["ActiveState"] in states:
            break
        time.sleep(0.5)
    return state


def run(lab):
    guest = lab.guest
    guest.sh("udevadm settle")
    guest.put("/etc/oni/onirec.conf", CONFIG)
    guest.sh(f"systemctl start {UNIT}", 150)
    lab.equal(show(lab, "ActiveState")["ActiveState"], "active", "the service is ready")
    time.sleep(4)
    lab.match(r"Recording: +\d", show(lab, "StatusText")["StatusText"], "it tells its status")
    rc, out = guest.sh("onirec -c none -o /tmp/x 2>&1", check=False)
    lab.ok(rc == 1 and "claim" in out, "a second recorder is told that the controller is owned", f"{rc} {out}")
    exposure = float(re.search(r"exposure level.*?: ([0-9.]+)", guest.sh(f"systemd-analyze security --no-pager {UNIT}")).group(1))
    lab.ok(exposure < 2.0, "systemd-analyze security is below 2.0", exposure)
    guest.sh(f"systemctl stop {UNIT}", 150)
    lab.equal(show(lab, "Result,ExecMainStatus"), {"Result": "success", "ExecMainStatus": "0"}, "it stops cleanly")
    guest.sh(f"systemctl start {UNIT}", 150)
    time.sleep(3)
    lab.sim.control("unplug")
    state = wait_state(lab, ("inactive", "failed"))
    lab.equal((state["ActiveState"], state["Result"]), ("inactive", "success"), "unplugging ends it without a failure")
    journal = guest.sh(f"journalctl -u {UNIT} --no-pager -o cat")
    lab.match("unplugged|is gone|no longer", journal, "the journal says why")
    guest.plug()
    guest.sh("udevadm settle; for i in $(seq 50); do [ -e /dev/oni0 ] && break; sleep 0.2; done; ls /dev/oni0")
    guest.sh(f"systemctl start {UNIT}", 150)
    time.sleep(2)
    guest.sh(f"systemctl stop {UNIT}", 150)
    lab.equal(show(lab, "Result")["Result"], "success", "after the replug it records again")
    lab.note(guest.sh("ls -l /var/lib/oni/oni0"))


def after(lab):
    sessions = sorted((lab.data / "oni0").iterdir())
    lab.equal(len(sessions), 3, "three recordings")
    for n, s in enumerate(sessions):
        lab.check(f"recording {n} opens in Neo", "check_neo.py", s)
