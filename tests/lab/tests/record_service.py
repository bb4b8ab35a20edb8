# SPDX-License-Identifier: MIT
"""record_service - onirec@oni0 under systemd: ready when data flows, unprivileged, clean on stop, gone with its device."""
import re

OPTIONS = {"sims": [["--model", "seed=1", "--model", "source=0-63=ramp"]], "data": "600M", "timeout": 300}

CONFIG = "[port a]\nheadstage = hs64\n"
UNIT = "onirec@oni0"


def show(lab, *properties):
    out = lab.guest.sh(f"systemctl show {UNIT} -p {','.join(properties)}")
    return dict(line.split("=", 1) for line in out.splitlines())


def run(lab):
    guest = lab.guest
    guest.put("/etc/oni/onirec.conf", CONFIG)
    rc, out = guest.sh(f"systemctl start {UNIT}", 150, check=False)
    if not lab.ok(rc == 0, "the service starts", out + guest.sh(f"journalctl -u {UNIT} --no-pager")):
        return
    lab.equal(lab.sim.status()["running"], 1, "ready means that the card acquires")
    guest.sh("sleep 5")
    state = show(lab, "ActiveState", "StatusText", "MainPID", "NRestarts")
    lab.equal((state["ActiveState"], state["NRestarts"]), ("active", "0"), "it stays up")
    lab.match(r"MB/s", state["StatusText"], "its status line shows the rate")
    status = guest.sh(f"cat /proc/{state['MainPID']}/status")
    uid = re.search(r"^Uid:\s+(\d+)", status, re.M).group(1)
    lab.ok(uid != "0" and "CapEff:\t0000000000000000" in status, "it runs without privileges", status)
    guest.sh(f"systemctl stop {UNIT}", 150)
    state = show(lab, "ActiveState", "Result", "ExecMainStatus")
    lab.equal(state, {"ActiveState": "inactive", "Result": "success", "ExecMainStatus": "0"}, "it stops cleanly")
    lab.equal(lab.sim.status()["model.port.a.tenths_of_volt"], 0, "the port is without power")

    guest.sh(f"systemctl start {UNIT} && sleep 4", 150)
    guest.unplug()
    guest.sh(f"for i in $(seq 100); do [ \"$(systemctl is-active {UNIT})\" = inactive ] && break; sleep 0.1; done")
    # Systemd's stop (BindsTo) and the recorder's own discovery race; both are fine.
    state = show(lab, "ActiveState", "NRestarts", "Result")
    lab.equal(state, {"ActiveState": "inactive", "NRestarts": "0", "Result": "success"}, "it ends with its device and is not restarted in vain")
    guest.plug()
    guest.sh("udevadm settle; for i in $(seq 100); do test -c /dev/oni0 && break; sleep 0.1; done; test -c /dev/oni0")
    rc, out = guest.sh(f"systemctl start {UNIT} && sleep 3 && systemctl stop {UNIT}", 150, check=False)
    lab.ok(rc == 0, "it starts again on the replugged card", out)


def after(lab):
    sessions = sorted(p for p in (lab.data / "oni0").iterdir() if p.is_dir())
    lab.equal(len(sessions), 3, "three recordings")
    for n, session in enumerate(sessions):
        lab.check(f"recording {n}: Neo opens it", "check_neo.py", session)
        lab.check(f"recording {n}: what is there is bit-exact", "check_ramp.py", session)
