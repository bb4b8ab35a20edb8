# SPDX-License-Identifier: MIT
"""kernel_stim_pm - a machine that sleeps, or goes down, takes the stimulation with it; nothing starts by itself when it is back.

The levels of pm_test, as in kernel_pm. At the power-off QEMU pauses, and the card is looked at in that moment.
"""
import _kernel
import _stim

OPTIONS = {"long": True, "sims": [["--model", "seed=1", "--model", "port-b=rhs2116"]], "timeout": 700, "append": "suspend.pm_test_delay=1"}


def begin(lab):
    """A train of 4.3 s under way."""
    act = _stim.Act(lab, ["host"], power=True)
    act.wait(lambda: act.told and act.told[0].of("ready"), 120)
    return act


def judged(lab, judge, program, what):
    trains = judge.trains(program)
    lab.ok(len(trains) == 1 and trains[0].beginning(), f"{what}: what was delivered is the beginning of the program", len(trains))
    if trains:
        lab.note(f"{what}: {(trains[0].end - trains[0].start) / 1e6:.0f} of {trains[0].length / 1e6:.0f} ms were delivered")
    return trains and trains[0].end - trains[0].start < trains[0].length


def asleep(lab, judge, level):
    act = begin(lab)
    lab.guest.sh(f"echo {level} >/sys/power/pm_test && echo mem >/sys/power/state", 90)
    told = act.story(0)
    # verifies: R34
    lab.ok(judged(lab, judge, told.first("program"), level), f"{level}: suspend cuts a train off")
    end = told.first("end") or {}
    lab.equal(_stim.WHY.get(end.get("because")), "suspend", f"{level}: the driver says why")
    lab.ok(end.get("state") in (_stim.SAFE, _stim.CLAIMED, _stim.LOADED), f"{level}: nothing is armed afterwards", end)
    lab.equal(told.ret, 0, f"{level}: it is safe in the end")
    lab.sim.control("model stim gpio b")
    judge.nothing(f"{level}: back again, whoever presses the button")


def power_off(lab, judge):
    guest, qmp = lab.guest, lab.guest.qmp
    qmp.execute("set-action", {"shutdown": "pause"})
    since = len(qmp.events)
    act = begin(lab)
    guest.start("systemctl poweroff --force --force || poweroff -f")
    qmp.wait_event("STOP", since, 90)
    # verifies: R34
    lab.ok(judged(lab, judge, act.told[0].first("program"), "power-off"), "power-off: it cuts a train off")
    lab.sim.control("model stim gpio b")
    judge.nothing("power-off: a machine that is down, whoever presses the button")
    qmp.execute("set-action", {"shutdown": "poweroff", "reboot": "reset"})
    guest.ready.clear()
    qmp.execute("system_reset")
    qmp.execute("cont")
    guest.wait_boot()
    judge.nothing("power-off and on again")
    qmp.execute("set-action", {"reboot": "shutdown"})


def run(lab):
    judge = _stim.Judge(lab)
    for level in ("devices", "core"):
        asleep(lab, judge, level)
    power_off(lab, judge)
    _kernel.conserved(lab, "after all of it")
