# SPDX-License-Identifier: MIT
"""kernel_replug - the card comes and goes while it streams, in random order and at random times; every life delivers all it published.

A program acquires through all of it. ONI_REPLUG_CYCLES says how often (200 in the full run), ONI_SEED with which seed; the seed is printed.
"""
import os
import random
import time

import _kernel

CYCLES = int(os.environ.get("ONI_REPLUG_CYCLES", "100"))
SEED = int(os.environ.get("ONI_SEED", "0")) or random.SystemRandom().randrange(1, 1 << 31)
OPTIONS = {"long": True, "sims": [["--model", "seed=1"]], "timeout": 120 + 8 * CYCLES}

GONE, ENODEV = 0x4, 19
# At most this much of what the card wrote may be unknown to the driver when the card vanishes: the block on its way and the next one.
UNPUBLISHED = 2 * 4096
SMALLEST_FRAME = 32
SLOT = "/sys/bus/pci/slots/1/power"


def unbind(lab, bdf):
    lab.guest.sh(f"echo {bdf} >/sys/bus/pci/drivers/oni_riffa/unbind")


def bind(lab, bdf):
    lab.guest.sh(f"echo {bdf} >/sys/bus/pci/drivers/oni_riffa/bind")


def remove(lab, bdf):
    lab.guest.sh(f"echo 1 >/sys/bus/pci/devices/{bdf}/remove")


def rescan(lab, _):
    lab.guest.sh("echo 1 >/sys/bus/pci/rescan")


def slot_off(lab, _):
    lab.guest.sh(f"echo 0 >{SLOT}")


def slot_fill(lab, _):
    lab.guest.plug()


def button(lab, _):
    lab.guest.unplug()


def vanish(lab, _):
    lab.sim.control("unplug")


def vanish_fill(lab, bdf):
    slot_off(lab, bdf)
    slot_fill(lab, bdf)


# name: (weight, how it goes, how it comes back, does the driver know beforehand)
WAYS = {
    "surprise removal": (40, vanish, vanish_fill, False),
    "unbind": (25, unbind, bind, True),
    "sysfs remove": (25, remove, rescan, True),
    "slot power off": (8, slot_off, slot_fill, True),
    "attention button": (2, button, slot_fill, True),
}


def complaint(end, delivered, told):
    """What is wrong with the end of one life, or nothing."""
    if not end["ok"]:
        return "bytes published are not the bytes read, or not whole frames without a gap"
    if end["result"] != ENODEV or not end["flags"] & GONE:
        return "did not end with ENODEV and the flag GONE"
    if told and delivered != end["frames"]:
        return f"the card delivered {delivered} frames"
    if not 0 <= delivered - end["frames"] <= UNPUBLISHED // SMALLEST_FRAME:
        return f"the card delivered {delivered} frames"
    return None


def run(lab):
    guest, rng = lab.guest, random.Random(SEED)
    lab.note(f"seed {SEED}, {CYCLES} cycles (ONI_SEED, ONI_REPLUG_CYCLES)")
    _kernel.slots_by_guest(guest)
    bdf = guest.sh("basename $(readlink -f /sys/class/oni/oni*/device)").strip()
    follow = _kernel.Follow(guest, "", OPTIONS["timeout"])
    # Every way once, then as the dice fall.
    plan = list(WAYS) + rng.choices(list(WAYS), [w[0] for w in WAYS.values()], k=max(0, CYCLES - len(WAYS)))
    rng.shuffle(plan)
    wrong, count, seconds = {name: [] for name in WAYS}, dict.fromkeys(WAYS, 0), dict.fromkeys(WAYS, 0.0)
    before = _kernel.totals(lab.sim)["delivered"]
    for cycle, name in enumerate(plan, 1):
        _, leave, back, told = WAYS[name]
        follow.wait("start", cycle)
        time.sleep(rng.uniform(0, 0.4))
        began = time.monotonic()
        leave(lab, bdf)
        end = follow.wait("end", cycle)[-1]
        delivered = _kernel.totals(lab.sim)["delivered"]
        bad = complaint(end, delivered - before, told)
        before = delivered
        if bad:
            wrong[name].append(f"cycle {cycle}: {bad}: {end}")
        back(lab, bdf)
        count[name] += 1
        seconds[name] += time.monotonic() - began
    follow.wait("start", len(plan) + 1)
    rc, bye = follow.stop()
    for name in WAYS:
        lab.note(f"{name}: {count[name]} times, {seconds[name] / max(1, count[name]):.1f} s each without the new start")
        lab.ok(count[name] and not wrong[name], f"{name}: each life ended as gone, with all it had published", "\n".join(wrong[name][:10]))
    lab.ok(rc == 0 and bye and bye["ends"] == len(plan) + 1, f"the reader went through {len(plan)} removals", f"status {rc}, {bye}")
    lab.equal(_kernel.totals(lab.sim)["delivered"] - before, follow.events("end")[-1]["frames"], "the last life delivered what was read")
    _kernel.conserved(lab, "after all cycles")
