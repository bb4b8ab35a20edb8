# SPDX-License-Identifier: MIT
"""kernel_aer - bus errors: the acquisition ends with EIO, PCI error recovery brings the card back, nothing starts by itself.

A block that was under way may be in the card's account and not in the ring: nobody looks at the hardware after the error.

QEMU injects the error at the root port above the card: its non-fatal one is recovered without a reset, for its fatal one the kernel
resets the link, and the card comes back as after power-on.
"""
import re
import time

import _kernel

OPTIONS = {"long": True, "sims": [["--model", "seed=1"]], "timeout": 300}

ERROR, RUNNING, EIO = 0x8, 0x1, 5
# name: (error that QEMU injects, does the kernel reset the link)
ERRORS = {"non-fatal": ("POISON_TLP", False), "fatal": ("DLP", True)}


def recovered(guest):
    """How often recovery has ended well, and how often not."""
    log = guest.sh("dmesg")
    return len(re.findall(r"device recovery successful", log)), len(re.findall(r"device recovery failed", log))


def inject(lab, what, name):
    before = recovered(lab.guest)
    answer = lab.guest.qmp.execute("human-monitor-command", {"command-line": f"pcie_aer_inject_error slot0 {ERRORS[name][0]}"})
    lab.note(answer.strip())
    end = time.monotonic() + 60
    while recovered(lab.guest) == before and time.monotonic() < end:
        time.sleep(0.5)
    lab.equal(recovered(lab.guest), (before[0] + 1, before[1]), f"{what}: the kernel says that recovery was successful")


def expect_ready(lab, what, generation):
    state, safe, now = _kernel.attributes(lab.guest, "state", "stim_safe", "generation")
    lab.equal((state, safe), ("idle", "1"), f"{what}: afterwards the controller is idle and says that stimulators are safe")
    lab.ok(int(now) > int(generation), f"{what}: the device table was read again", f"generation {generation}, then {now}")
    lab.equal(lab.sim.status()["running"], 0, f"{what}: nothing runs by itself afterwards")


def idle(lab, name):
    what = f"idle, {name}"
    generation = _kernel.attributes(lab.guest, "generation")[0]
    inject(lab, what, name)
    expect_ready(lab, what, generation)
    _kernel.works(lab, what)


def streaming(lab, name):
    what = f"streaming, {name}"
    follow = _kernel.Follow(lab.guest, "-p -n 1")
    follow.wait("start", 1)
    before, generation = _kernel.stim_writes(lab.sim), _kernel.attributes(lab.guest, "generation")[0]
    inject(lab, what, name)
    end = follow.wait("end", 1)[0]
    lab.equal((end["result"], end["ring_error"], end["flags"] & (ERROR | RUNNING)), (EIO, EIO, ERROR), f"{what}: the stream ended with EIO")
    lab.ok(end["ok"], f"{what}: whatever was published was read, whole and once", end)
    follow.command.wait(60)
    expect_ready(lab, what, generation)
    if not ERRORS[name][1]:	# a reset has taken the power of the port, and the stimulators with it
        # After the recovery, and when the reader went.
        _kernel.made_safe(lab, before, 2, what)
    _kernel.works(lab, what)


def run(lab):
    for name in ERRORS:
        idle(lab, name)
        streaming(lab, name)
    lab.ok(lab.guest.sh("ls /dev/oni*").split().count("/dev/oni0") == 1, "it is still the same device")
    _kernel.conserved(lab, "after all errors")
    _kernel.published(lab, "after all errors", errors=len(ERRORS))	# of those while streaming
