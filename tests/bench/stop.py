# SPDX-License-Identifier: MIT
"""stop - how long current goes on after whatever ends it: the table of the scenario kernel_stim.

Each event befalls a train that would go on. Columns: what the driver says the end was; from the event to the last charge that the simulated
electrodes got, between two bounds (the event has a beginning and an end, and the clocks of guest and host are tied by the commands to fire);
how long the train went on, and was; the watchdog. ms of the host's clock: a guest under emulation is slower than a computer, and what else the
host does is in the figures.
"""
import json
import os
import subprocess

import bench

COLUMNS = [("event", "event", "s"), ("because", "because", "s"), ("least", "at least", ".1f"), ("most", "at most", ".1f"),
           ("delivered", "delivered", ".1f"), ("train", "of train", ".1f"), ("watchdog", "watchdog", "d")]
KEYS = [key for key, _, _ in COLUMNS]


def run(image, report, quick):
    del image, quick	# the scenario has guests of its own, and no shorter form
    directory = bench.BUILD / "lab/kernel_stim"
    (directory / "stops.json").unlink(missing_ok=True)
    done = subprocess.run([bench.TOP / "tests/lab/run", "kernel_stim"], stdout=subprocess.PIPE, text=True, check=False,
                          env=dict(os.environ, ONI_STIM_FINE="1"))	# trains without pauses
    failed = [line for line in done.stdout.splitlines() if line.startswith("not ok")]
    report.check(done.returncode == 0 and not failed, "kernel_stim passes", "\n".join(failed) or f"status {done.returncode}")
    rows = [dict(zip(KEYS, row)) for row in json.loads((directory / "stops.json").read_text())]
    report.check(len(rows) > 10, "there is a row per event", len(rows))
    report.table("Time from an event to the last charge, ms", COLUMNS, rows)
