# SPDX-License-Identifier: MIT
"""record_kill - onirec is killed by SIGKILL at random moments; each of the recordings opens as it was left, and can be repaired.

A recording that was cut short may have samples whose numbers were not written yet; 'onirec recover' evens that out.
"""
import random
import subprocess
import time

import lab as labmod

OPTIONS = {"sims": [["--model", "seed=1", "--model", "source=0-63=ramp"]], "data": "1500M", "timeout": 600}

TRIALS = 20
CONFIG = "[port a]\nheadstage = hs64\n"


def run(lab):
    rng = random.Random(1)
    lab.guest.put("/etc/oni/onirec.conf", CONFIG)
    for n in range(TRIALS):
        recorder = lab.guest.start(f"exec onirec -o /var/lib/oni --name trial{n:02d} 2>&1")
        # Recording has begun with the first progress line; before it there is nothing to lose.
        recorder.wait_output(r"MB/s", 60)
        time.sleep(rng.uniform(0.0, 3.0))
        recorder.kill(9)
        lab.ok(recorder.wait(30) == 137, f"trial {n}: killed while it recorded", recorder.out[-500:])
    lab.equal(lab.sim.status()["running"], 0, "the acquisition stops when its owner is killed")
    lab.guest.sh("sync")


def after(lab):
    for n in range(TRIALS):
        session = lab.data / f"trial{n:02d}"
        lab.check(f"trial {n}: Neo opens it", "check_neo.py", session, "--any-length")
        done = subprocess.run([labmod.BUILD / "userspace/bin/onirec", "recover", session], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True, check=False)
        lab.ok(done.returncode == 0, f"trial {n}: recover repairs it", done.stdout)
        lab.check(f"trial {n}: repaired, Neo opens it", "check_neo.py", session, "--any-length")
        lab.check(f"trial {n}: repaired, what is there is bit-exact", "check_ramp.py", session)
