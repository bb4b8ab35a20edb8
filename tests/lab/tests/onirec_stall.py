# SPDX-License-Identifier: MIT
"""onirec_stall - the recorder stands still for longer than the ring holds, the link stalls: card RAM takes it, nothing is lost; limits hold."""

import json
import time

OPTIONS = {
    "sims": [["--model", "seed=7", "--model", "source=0-63=ramp"]],
    "data": "1G",
    "timeout": 500,
    "memory": "1536M",
}
SECONDS = 40


def run(lab):
    guest = lab.guest
    guest.sh("udevadm settle; onictl port a on -H hs64", 60)
    rec = guest.start(f"exec onirec -c none -o /var/lib/oni --name stall -t {SECONDS} --ring 16M --json 2>/tmp/err >/tmp/out", SECONDS * 4 + 60)
    time.sleep(5)
    rec.kill(19)		# SIGSTOP
    time.sleep(6)		# 58 MB at 9.7 MB/s
    rec.kill(18)		# SIGCONT
    time.sleep(4)
    lab.sim.control("stall")
    time.sleep(3)
    lab.sim.control("resume")
    lab.equal(rec.wait(SECONDS * 4 + 60), 0, "onirec ends well")
    summary = json.loads(guest.sh("cat /tmp/out"))
    lab.equal(sum(d["lost"] for d in summary["devices"]), 0, "no frame was lost")
    lab.ok(summary["stream"]["ring_full_events"] > 0, "the ring was full", summary["stream"])
    lab.ok(summary["card"]["peak_bytes"] > 10e6, "the card's memory took what the ring could not, and it is in the summary", summary["card"])
    guest.sh("onirec -c none -o /var/lib/oni --name size --size 8M -q", 100)
    lab.ok(int(guest.sh("du -sk /var/lib/oni/size | cut -f1")) >= 8000, "--size ends it")
    lab.note(f"{summary['stream']} {summary['card']} {summary['disk']}")


def after(lab):
    lab.check("frames produced = recorded for every device", "check_frames.py", lab.data / "stall", lab.sim.truth_path)
    for name in "stall", "size":
        lab.check(f"{name}: every sample is bit-exact", "check_ramp.py", lab.data / name)
        lab.check(f"{name}: Neo opens it", "check_neo.py", lab.data / name)
