# SPDX-License-Identifier: MIT
"""kernel_guard - what the guard lets through, as the card saw it.

Every register of every device of two headstages is written. The card's own counters must agree with what the driver
claims to have refused: not one write reaches a stimulator, a port voltage, or a firmware register.

verifies: R21, R30
"""
import errno
import re

import _kernel

OPTIONS = {"sims": [["--model", "seed=1", "--model", "port-b=rhs2116"]], "timeout": 300}

SWEEP = "/usr/lib/oni/lab/oni_sweep"
ESTIM, OSTIM, PORT, RHS2116, RHS_TRIGGER, INFO = 4, 5, 23, 31, 32, 1
STIMULATORS = {ESTIM, OSTIM, RHS2116, RHS_TRIGGER}
# Recording needs these: enable and amplifier bandwidth of a RHS2116, event stream of its trigger.
RECORDING = {(RHS2116, r) for r in (0x8000, 4, 5, 6, 7)} | {(RHS_TRIGGER, 0)}
PORT_FORBIDDEN = {1, 3, 4}  # GPOSTATE, PORTVOLTAGE, SAVEVOLTAGE


def counters(lab):
    return {k: v for k, v in lab.sim.status().items() if k.startswith("model.")}


def grown(before, after):
    return {k: after[k] - before[k] for k in after
            if isinstance(after[k], int) and isinstance(before.get(k), int) and after[k] != before[k]}


def run(lab):
    rows = [tuple(map(int, line.split())) for line in lab.guest.sh(f"{SWEEP} power", 60).splitlines()]
    ids = {ident for _, ident in rows}
    lab.ok(STIMULATORS <= ids, "every stimulator is in the table", ids)

    start = counters(lab)
    lab.guest.sh(f"{SWEEP} claim")
    claimed = counters(lab)
    out = lab.guest.sh(f"{SWEEP} write", 120)
    swept = counters(lab)

    by_claim, by_sweep = grown(start, claimed), grown(claimed, swept)
    lab.note(f"a claim alone changes {by_claim}")
    tried = int(re.search(r"^tried (\d+)$", out, re.M).group(1))
    reached = [tuple(map(int, m)) for m in re.findall(r"^(\d+) (\d+) (\d+) (\d+)$", out, re.M)]
    lab.note(f"{tried} registers tried, {len(reached)} not refused")

    bad = [r for r in reached if r[1] in STIMULATORS and (r[1], r[2]) not in RECORDING]
    lab.ok(not bad, "no stimulator register is let through", bad)
    bad = [r for r in reached if r[1] == PORT and r[2] in PORT_FORBIDDEN]
    lab.ok(not bad, "no port voltage register is let through", bad)
    lab.ok(not [r for r in reached if r[1] == INFO], "no hub register is let through")
    lab.ok(any(r[3] == 0 for r in reached), "what recording needs is let through")

    # The safe state is written when the owner goes: the same writes in both runs.
    sent = by_sweep.get("model.reg_writes", 0) - by_claim.get("model.reg_writes", 0)
    lab.equal(sent, len([r for r in reached if r[3] == 0]), "the card took what the driver says it took, and nothing else")
    nacks = by_sweep.get("model.nacks", 0) - by_claim.get("model.nacks", 0)
    lab.equal(nacks, len([r for r in reached if r[3] == errno.EREMOTEIO]), "the card refused what the driver says it refused")
    allowed = len([r for r in reached if r[1] in STIMULATORS and r[3] == 0])
    stim = by_sweep.get("model.stim_writes", 0) - by_claim.get("model.stim_writes", 0)
    lab.ok(stim in (0, allowed), "no write reached a stimulator but those that recording needs", f"{stim}, {allowed}")
    lab.equal(swept["model.stim_triggers"], 0, "nothing was ever triggered")
    lab.equal([k for k, v in swept.items() if k.endswith("savevoltage_writes") and v], [], "no voltage was saved")
    lab.equal([k for k in by_sweep if "voltage" in k], [], "no voltage was changed")
    _kernel.works(lab, "afterwards")
    _kernel.conserved(lab, "afterwards")
    _kernel.published(lab, "afterwards")
