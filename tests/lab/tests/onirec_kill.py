# SPDX-License-Identifier: MIT
"""onirec_kill - SIGKILL at a random moment, 20 times: each recording opens in Neo as it is, and again after 'onirec recover'."""

import hashlib
import os
import random
import subprocess
import time

TRIALS = 20
OPTIONS = {"sims": [["--model", "seed=2"]], "data": "2G", "timeout": 900, "memory": "1536M"}


def run(lab):
    guest = lab.guest
    guest.sh("udevadm settle; onictl port a on -H hs64", 60)
    dice = random.Random(20)
    for n in range(TRIALS):
        rec = guest.start(f"exec onirec -c none -o /var/lib/oni --name kill{n} 2>&1", 120)
        rec.wait_output(f"/var/lib/oni/kill{n}", 60)
        time.sleep(dice.uniform(1.0, 4.0))
        rec.kill(9)
        rec.wait(60)
        lab.ok(rec.rc != 0, f"trial {n} was killed", rec.out)
    rec = guest.start("onirec -c none -o /var/lib/oni --name running 2>&1", 120)
    rec.wait_output("/var/lib/oni/running", 60)
    time.sleep(2)
    out = guest.sh("onirec recover /var/lib/oni/running")
    lab.match("is being recorded, left alone", out, "recover leaves a recording in progress alone")
    rec.kill(2)
    lab.equal(rec.wait(60), 0, "Ctrl-C is a clean end")


def digest(folder):
    h = hashlib.sha256()
    for root, dirs, files in os.walk(folder):
        dirs.sort()
        for name in sorted(files):
            h.update(name.encode())
            with open(os.path.join(root, name), "rb") as f:
                h.update(hashlib.sha256(f.read()).digest())
    return h.hexdigest()


def recover(folder):
    top = os.path.join(os.path.dirname(__file__), "../../..")
    return subprocess.run([f"{top}/build/userspace/bin/onirec", "recover", folder], capture_output=True, text=True,
                          env={**os.environ, "LD_LIBRARY_PATH": f"{top}/build/userspace/lib"}, check=False)


def after(lab):
    for n in range(TRIALS):
        lab.check(f"trial {n} opens in Neo without repair", "check_neo.py", lab.data / f"kill{n}", "--any-length")
    done = recover(lab.data)
    lab.equal(sum(line.endswith(" recovered") for line in done.stdout.splitlines()), TRIALS, "recover repairs each of them")
    before = digest(lab.data)
    again = recover(lab.data)
    lab.ok(again.returncode == 0 and digest(lab.data) == before, "recover changes nothing the second time", again.stdout + again.stderr)
    for n in range(0, TRIALS, 5):
        lab.check(f"trial {n} opens in Neo after recover", "check_neo.py", lab.data / f"kill{n}", "--any-length")
    lab.check("the recording that was ended by Ctrl-C is complete", "check_neo.py", lab.data / "running")
