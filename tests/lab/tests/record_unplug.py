# SPDX-License-Identifier: MIT
"""record_unplug - the card is torn out while onirec records: clean end, exit code 4, what was recorded loads; after replugging it records again."""

OPTIONS = {"sims": [["--model", "seed=1", "--model", "source=0-63=ramp"]], "data": "600M", "timeout": 300}

CONFIG = "[port a]\nheadstage = hs64\n"
GONE = 4	# exit code


def record_and_lose(lab, name, lose):
    recorder = lab.guest.start(f"exec onirec -o /var/lib/oni --name {name} 2>&1")
    recorder.wait_output(r"\b[3-9]\.\d s .*MB/s", 60)
    lose()
    rc = recorder.wait(30)
    lab.equal(rc, GONE, f"{name}: onirec ends with its exit code for unplugged hardware")
    lab.match(r"(?i)unplugged|gone|removed", recorder.out, f"{name}: the message says so")


def run(lab):
    guest = lab.guest
    guest.put("/etc/oni/onirec.conf", CONFIG)
    record_and_lose(lab, "surprise", lambda: lab.sim.control("unplug"))
    guest.plug()
    guest.sh("udevadm settle; for i in $(seq 100); do test -c /dev/oni0 && break; sleep 0.1; done; test -c /dev/oni0")
    record_and_lose(lab, "hot-unplug", guest.unplug)
    guest.plug()
    guest.sh("udevadm settle; for i in $(seq 100); do test -c /dev/oni0 && break; sleep 0.1; done; test -c /dev/oni0")
    rc, out = guest.sh("onirec -q -o /var/lib/oni --name replugged -t 3", 60, check=False)
    lab.ok(rc == 0, "the replugged card records", out)


def after(lab):
    for name in ("surprise", "hot-unplug", "replugged"):
        lab.check(f"{name}: Neo opens it", "check_neo.py", lab.data / name)
        lab.check(f"{name}: what is there is bit-exact", "check_ramp.py", lab.data / name)
