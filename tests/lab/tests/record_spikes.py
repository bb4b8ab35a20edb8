# SPDX-License-Identifier: MIT
"""record_spikes - spikes found online: against the truth of synthetic neurons, and against an offline detector.

Channels 0-3 play a recording from a locust's antennal lobe where the checkout has it beside it (or PLAY names one: 4 channels of int16 at
15 kHz), once from end to end. Without one the offline detector judges synthetic channels instead, and the names of the results say so.
"""
import os
import pathlib

import lab as labmod

PLAY = pathlib.Path(os.environ.get("PLAY") or labmod.TOP.parent / "shared/data/locust/locust_trial_01.raw")
PLAY_RATE = 15000
SPIKE_TRUTH = "spike-truth.txt"	# onisim runs in the scenario's folder
CONFIG = "[port a]\nheadstage = hs64\n"


def sources():
    if PLAY.exists():
        return ["--model", f"source=0-3=play:{PLAY},rate={PLAY_RATE},channels=4", "--model", "source=4-63=neurons:snr=8"]
    return ["--model", "source=0-63=neurons:snr=8"]


OPTIONS = {"sims": [[*sources(), "--model", "seed=1", "--model", f"spike-truth={SPIKE_TRUTH}"]], "data": "800M", "timeout": 240, "exclusive": True}


def seconds():
    """Once through the file: its end played into its beginning would be an artefact."""
    return int(PLAY.stat().st_size / 8 / PLAY_RATE) if PLAY.exists() else 28


def run(lab):
    lab.guest.put("/etc/oni/onirec.conf", CONFIG)
    rc, out = lab.guest.sh(f"onirec -q -o /var/lib/oni --name spikes -t {seconds()}", 150, check=False)
    lab.ok(rc == 0, f"onirec records {seconds()} s", f"status {rc}: {out[-1500:]}")


def after(lab):
    session = lab.data / "spikes"
    lab.check("synthetic neurons at SNR 8: F1 >= 0.97 within 0.5 ms", "check_spikes.py", session, lab.directory / SPIKE_TRUTH, "--channels", "4-63", "--f1", "0.97")
    name = "the played recording" if PLAY.exists() else "synthetic channels (nothing to play)"
    lab.check(f"{name}: F1 >= 0.95 against a zero-phase reference, each channel", "check_reference.py", session, "--channels", "0-3", "--f1", "0.95")
    lab.check("frames produced = frames recorded", "check_frames.py", session, lab.sim.truth_path)
