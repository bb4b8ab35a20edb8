# SPDX-License-Identifier: MIT
"""kernel_pm - suspend at the levels of pm_test: an acquisition ends as stopped, resume makes stimulators safe, nothing starts by itself.

The kernel's own test levels stop on the way down and come back by themselves: freezer (tasks only: an acquisition goes on), devices,
platform, core. A whole S3, in which the card loses its power, does not come back under emulation.
"""
import _kernel

OPTIONS = {"long": True, "sims": [["--model", "seed=1"]], "timeout": 300, "append": "suspend.pm_test_delay=1"}

STOPPED, RUNNING = 0x2, 0x1


def suspend(lab, level, how):
    lab.guest.sh(f"echo {level} >/sys/power/pm_test && echo {how} >/sys/power/state", 90)


def expect_ready(lab, what, generation):
    state, safe, now = _kernel.attributes(lab.guest, "state", "stim_safe", "generation")
    lab.equal((state, safe), ("idle", "1"), f"{what}: afterwards the controller is idle and says that stimulators are safe")
    lab.ok(int(now) > int(generation), f"{what}: the device table was read again", f"generation {generation}, then {now}")


def idle(lab, level, how):
    what = f"idle, {level}, {how}"
    generation = _kernel.attributes(lab.guest, "generation")[0]
    suspend(lab, level, how)
    expect_ready(lab, what, generation)
    _kernel.works(lab, what)


def frozen_while_streaming(lab):
    """Tasks sleep, the card does not: its own memory or the ring takes the data, and the reader goes on."""
    follow = _kernel.Follow(lab.guest, "-p")
    follow.wait("start", 1)
    suspend(lab, "freezer", "mem")
    rc, bye = follow.stop()
    lab.equal((rc, bye["ends"]), (0, 1), "streaming, freezer: one acquisition, whole, from before to after")


def streaming(lab, level):
    """Ends as stopped with all that was published; nothing runs until somebody starts it."""
    what = f"streaming, {level}"
    follow = _kernel.Follow(lab.guest, "-p -n 1")
    follow.wait("start", 1)
    before, generation = _kernel.stim_writes(lab.sim), _kernel.attributes(lab.guest, "generation")[0]
    suspend(lab, level, "mem")
    end = follow.wait("end", 1)[0]
    lab.equal((end["result"], end["flags"] & (STOPPED | RUNNING)), (0, STOPPED), f"{what}: the stream ended as stopped")
    lab.ok(end["ok"], f"{what}: whatever was published was read, whole and once", end)
    follow.command.wait(60)
    lab.equal(lab.sim.status()["running"], 0, f"{what}: nothing runs by itself afterwards")
    expect_ready(lab, what, generation)
    # On the way down, on the way up, and when the reader went.
    _kernel.made_safe(lab, before, 3, what)
    _kernel.works(lab, what)


def run(lab):
    for level, how in (("freezer", "mem"), ("devices", "mem"), ("devices", "freeze"), ("core", "mem")):
        if level == "freezer":
            suspend(lab, level, how)
            _kernel.works(lab, f"idle, {level}")
        else:
            idle(lab, level, how)
    frozen_while_streaming(lab)
    for level in ("devices", "platform", "core"):
        streaming(lab, level)
    _kernel.conserved(lab, "after all suspends")
    _kernel.published(lab, "after all suspends")
