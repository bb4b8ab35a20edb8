# SPDX-License-Identifier: MIT
"""onirec_detect - spikes logged online agree with the truth of synthetic neurons, and with scipy on a real recording played back."""

import json
import os
import pathlib

TOP = pathlib.Path(__file__).resolve().parents[3]
PLAY = pathlib.Path(os.environ.get("PLAY") or TOP / "../shared/data/locust/locust_trial_01.raw").resolve()
TRUTH = TOP / "build/lab/onirec_detect.spikes"
SECONDS = 40

SOURCES = ["seed=3", "source=4-63=neurons:snr=8", f"spike-truth={TRUTH}"]
SOURCES += [f"source=0-3=play:{PLAY},rate=15000,channels=4"] if PLAY.exists() else ["source=0-3=neurons:snr=8"]
OPTIONS = {
    "sims": [[a for s in SOURCES for a in ("--model", s)]],
    "data": "1G",
    "timeout": 600,
    "real_time": "alone",
    "memory": "1536M",
}
CONFIG = "[port a]\nheadstage = hs64\nvolts = 6.0\n"


def run(lab):
    lab.guest.sh("udevadm settle")
    lab.guest.put("/tmp/onirec.conf", CONFIG)
    summary = json.loads(lab.guest.sh(f"onirec -c /tmp/onirec.conf -o /var/lib/oni --name spikes -t {SECONDS} --json 2>/dev/null",
                                      SECONDS * 4 + 60))
    lab.equal((summary["spikes"]["frames_not_searched"], summary["spikes"]["dropped"]), (0, 0), "no spike was given up")
    lab.note(f"spikes {summary['spikes']['found']}, disk {summary['disk']}")


def after(lab):
    session = lab.data / "spikes"
    first = 4 if PLAY.exists() else 0
    lab.check("frames produced = recorded", "check_frames.py", session, lab.sim.truth_path)
    lab.check("neurons at SNR 8: F1 >= 0.97 within 0.5 ms", "check_spikes.py", session, TRUTH, "--run", 1, "--channels", f"{first}-63")
    if PLAY.exists():
        lab.check("real recording: F1 >= 0.95 on each channel against a zero-phase reference", "check_reference.py", session,
                  "--channels", "0-3", "--whole")
    else:
        lab.note(f"no {PLAY}: nothing was played, the scipy reference is compared on synthetic neurons (PLAY=FILE names a recording)")
        lab.check("neurons: F1 >= 0.95 on each channel against a zero-phase reference", "check_reference.py", session, "--channels", "0-7")
