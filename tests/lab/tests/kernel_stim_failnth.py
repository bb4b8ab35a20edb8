# SPDX-License-Identifier: MIT
"""kernel_stim_failnth - every allocation and every user copy of every call of the interlock fails once: nothing is less safe for it, and a stop stops.

The program compares states; the card's log says what was delivered: one train for each FIRE that returned 0, and none that went on to
its end. ONI_FAILNTH_ALL=1 leaves no failure out. Leaks show in the verdict: the modules must unload, and kmemleak must find nothing.
"""
import os
import re

import _stim
from kernel_failnth import REPORTS

ALL = os.environ.get("ONI_FAILNTH_ALL", "0") == "1"
SECONDS = 900 if ALL else 400
CYCLES, PERIOD = 8, 36000	# of ost_slow_wave()
OPTIONS = {"sims": [["--model", "seed=1", "--model", "port-b=rhs2116"]], "timeout": SECONDS + 20, "takes": 400,
           "kernels": ["debug-6.1", "debug-6.12", "debug-7.3"], "own_kernel": False, "append": "panic_on_warn=0",
           "reports": REPORTS}


def program():
    rows = [(n * PERIOD + at, polen) for n in range(CYCLES) for at, polen in ((0, 0x100010), (145, 0x10), (290, 0))]
    chip = {"step_na": 1000, "positive": [0, 0, 0, 0, 5], "negative": [0, 0, 0, 0, 5]}
    return {(0x200, 4): _stim.currents_of_chip(chip, 4, rows)}


def run(lab):
    out = lab.run_tap(f"{_stim.ASK} /usr/lib/oni/lab/oni_stim_failnth" + (" -a" if ALL else ""), "oni_stim_failnth: ", timeout=SECONDS)
    lab.note("\n".join(line[2:] for line in out.splitlines() if line.startswith("# ") and " ms" in line))
    fired = re.search(r"^# FIREs that returned 0: (\d+)$", out, re.M)
    trains = _stim.in_trains(lab.sim.stim_log(0), program())
    # verifies: R45
    lab.ok(fired and int(fired[1]) == len(trains) > 0, "one train for each FIRE that returned 0", (fired and fired[1], len(trains)))
    lab.ok(all(t.beginning() for t in trains), "each is the beginning of the program", [t.phases[-2:] for t in trains if not t.beginning()][:2])
    # verifies: R45
    lab.ok(not any(t.whole() for t in trains), "each was cut off, whatever failed in the call that did it", sum(t.whole() for t in trains))
    lab.ok(not any(e["now_na"] for e in lab.sim.stim()), "nothing flows any more")
    lab.equal(lab.sim.violations(), [], "nothing that the hardware forbids")
