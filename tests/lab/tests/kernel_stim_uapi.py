# SPDX-License-Identifier: MIT
"""kernel_stim_uapi - the contract of the stim nodes, sentence by sentence, while the card watches what is delivered.

No test of it may leave a charge, and the card must have begun as many trains as the driver says it was commanded.
"""
import _kernel
import _stim

OPTIONS = {"own_kernel": False, "sims": [["--model", "seed=1", "--model", "port-b=rhs2116"]], "timeout": 700}

SELFTEST = "/usr/lib/oni/lab/oni_stim"


WINDOW_NS, MOST_NS, PERIOD_NS = 10**9, 2 * 10**8, 2500000	# of the policy of the tests: 20 % of 1 s, 400 Hz


def most_in_a_window(phases):
    """Most time with current in any window; one of the worst ends with a current."""
    worst, first = 0, 0
    for n, last in enumerate(phases):
        end = last["start_ns"] + last["ns"]
        while phases[first]["start_ns"] + phases[first]["ns"] <= end - WINDOW_NS:
            first += 1
        worst = max(worst, sum(min(p["ns"], p["start_ns"] + p["ns"] - (end - WINDOW_NS)) for p in phases[first:n + 1]))
    return worst


def least_between_onsets(phases):
    """Of one polarity."""
    times = [[p["start_ns"] for p in phases if (p["na"] > 0) == positive] for positive in (False, True)]
    return min(b - a for t in times for a, b in zip(t, t[1:]))


def run(lab):
    judge = _stim.Judge(lab)
    judge.nothing("before anybody has a policy")
    lab.run_tap(f"{_stim.ASK} {SELFTEST}", "oni_stim: ", timeout=600)
    phases = judge.skip()
    electrodes = {(p["addr"], p["channel"]) for p in phases}
    # verifies: R09, R30 (what is refused by these tests never becomes a current)
    lab.equal(electrodes, {(0x200, 0), (0x103, 0)}, "current flowed where the programs of the tests have it")
    other = [p for p in phases if p["steps"] not in ((4001, -4001) if p["addr"] == 0x103 else (100000, -100000, 10000, -10000))]
    lab.ok(phases and not other, "and it was the current of the programs", other[:4])
    tip = sorted((p for p in phases if (p["addr"], p["channel"]) == (0x200, 0)), key=lambda p: p["start_ns"])
    # verifies: R17
    lab.ok(most_in_a_window(tip) <= MOST_NS, "no window has more current than the policy, whatever trains are in it", f"{most_in_a_window(tip)} ns")
    # verifies: R17
    lab.ok(least_between_onsets(tip) >= PERIOD_NS, "no two pulses are closer than the policy says, of one train or of two", least_between_onsets(tip))
    lab.ok(not any(e["now_na"] for e in lab.sim.stim()), "and none flows any more")
    _kernel.conserved(lab, "after all of it")
