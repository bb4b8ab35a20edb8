# SPDX-License-Identifier: MIT
"""kernel_stim_pm - a machine that sleeps, goes down or recovers from a bus error takes the stimulation with it; nothing starts by itself afterwards.

The levels of pm_test, as in kernel_pm. At a power-off or reboot QEMU pauses, and the card is looked at in that moment. Bus errors are those of kernel_aer.
"""
import _kernel
import _stim
import kernel_aer

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


def bus_error(lab, judge, name):
    what = f"{name} bus error"
    act = begin(lab)
    kernel_aer.inject(lab, what, name)
    told = act.story(0)
    cut = judged(lab, judge, told.first("program"), what)
    # verifies: R34, R32
    lab.ok(cut, f"{what}: it cuts a train off")
    end = told.first("end") or {}
    lab.ok(_stim.WHY.get(end.get("because")) in ("link", "acquisition", "unconfirmed"), f"{what}: the driver says why", end)
    lab.ok(end.get("state") != _stim.ARMED, f"{what}: nothing is armed afterwards", end)
    lab.equal(told.ret, 0, f"{what}: it is safe in the end")
    lab.sim.control("model stim gpio b")
    judge.nothing(f"{what}: recovered, whoever presses the button")


def down(lab, judge, what, command):
    guest, qmp = lab.guest, lab.guest.qmp
    # The guest was started so that a reboot is a shutdown, too.
    qmp.execute("set-action", {"shutdown": "pause", "reboot": "shutdown"})
    since = len(qmp.events)
    act = begin(lab)
    guest.start(command)
    qmp.wait_event("STOP", since, 90)
    # verifies: R34
    lab.ok(judged(lab, judge, act.told[0].first("program"), what), f"{what}: it cuts a train off")
    lab.sim.control("model stim gpio b")
    judge.nothing(f"{what}: a machine that is down, whoever presses the button")
    qmp.execute("set-action", {"shutdown": "poweroff", "reboot": "reset"})
    guest.ready.clear()
    qmp.execute("system_reset")
    qmp.execute("cont")
    guest.wait_boot()
    judge.nothing(f"{what} and on again")
    qmp.execute("set-action", {"reboot": "shutdown"})


def run(lab):
    judge = _stim.Judge(lab)
    for level in ("devices", "core"):
        asleep(lab, judge, level)
    for name in kernel_aer.ERRORS:
        bus_error(lab, judge, name)
    down(lab, judge, "reboot", "systemctl reboot --force --force || reboot -f")
    down(lab, judge, "power-off", "systemctl poweroff --force --force || poweroff -f")
    _kernel.conserved(lab, "after all of it")
