# SPDX-License-Identifier: MIT
"""kernel_stim_fuzz - owners who do not know what they do, at the same time: whatever flows is inside the policy, and whole trains are in balance.

ONI_FUZZ_SEED and ONI_FUZZ_CALLS choose other calls.
"""
import itertools
import os

import _kernel
import _stim

SEED, CALLS = int(os.environ.get("ONI_FUZZ_SEED", "1")), int(os.environ.get("ONI_FUZZ_STIM_CALLS", "4000"))
OPTIONS = {"own_kernel": False, "sims": [["--model", "seed=1", "--model", "port-b=rhs2116"]], "timeout": 900}

MOST_NA, MOST_NS = 200000, 5000000	# of any contact of the policy
CONTACTS = {(0x200, c) for c in (0, 1, 2, 3, 4, 8, 9)} | {(0x103, 0)}


def unbalanced(phases):
    """Trains that nothing cut and that left something behind."""
    key = lambda p: (p["trigger"], p["addr"], p["channel"])	# noqa: E731
    cut = {p["trigger"] for p in phases if p["cut"]}
    trains = [(k, list(g)) for k, g in itertools.groupby(sorted(phases, key=key), key=key)]
    return [g[:6] for (trigger, *_), g in trains if trigger not in cut and sum(p["steps"] * p["ns"] for p in g)]


def run(lab):
    judge = _stim.Judge(lab)
    rc, out = lab.guest.sh(f"/usr/lib/oni/lab/oni_stim_fuzz -s {SEED} -n {CALLS}", 300, check=False)
    lab.note("\n".join(line[2:] for line in out.splitlines() if line.startswith("# ")))
    lab.tap(out, "oni_stim_fuzz: ")
    lab.ok(rc in (0, 1), "oni_stim_fuzz: exit status", f"status {rc}: {out[-1500:]}")
    phases = judge.skip()
    lab.note(f"{len(phases)} currents of {len({p['trigger'] for p in phases})} trains")
    # verifies: R02, R30
    lab.ok({(p["addr"], p["channel"]) for p in phases} <= CONTACTS, "no current at a contact that is not in the policy")
    # verifies: R01
    lab.ok(all(abs(p["na"]) <= MOST_NA and p["ns"] <= MOST_NS for p in phases), "every current is inside the policy",
           [p for p in phases if abs(p["na"]) > MOST_NA or p["ns"] > MOST_NS][:4])
    # verifies: R03
    lab.ok(not unbalanced(phases), "whole trains leave nothing behind", unbalanced(phases)[:2])
    judge.nothing("afterwards")
    _kernel.conserved(lab, "after all of it")
