# SPDX-License-Identifier: MIT
"""usb_replug - a board comes and goes while it streams, in random order and at random times; every life delivers all it published.

A program acquires through all of it. ONI_REPLUG_CYCLES says how often (200 in the full run), ONI_SEED with which seed; the seed is printed.
"""
import os
import random
import time

import lab as labmod

import _kernel
import _usb

CYCLES = int(os.environ.get("ONI_REPLUG_CYCLES", "20"))
SEED = int(os.environ.get("ONI_SEED", "0")) or random.SystemRandom().randrange(1, 1 << 31)
OPTIONS = {"long": True, "sims": [_usb.BOARD], "timeout": 120 + 10 * CYCLES, "kernels": _usb.KERNELS}

GONE, ENODEV = 0x4, 19


class Board:
    """Where it sits, and how it is taken away from there. The names stay, because the port does."""

    def __init__(self, lab):
        self.lab, self.guest = lab, lab.guest
        self.interface = _usb.interfaces(lab.guest)
        self.device = "/sys/bus/usb/devices/" + self.interface[1].partition(":")[0]

    def pull(self):
        self.lab.sim.control("unplug")

    def plug(self):
        # A port that still has the board will not see that one comes.
        labmod.wait_for("the bus lets go of the board", 30, lambda: self.guest.sh(f"test -e {self.device} || echo gone"))
        self.lab.sim.control("plug")

    def unbind(self, number):
        self.guest.sh(f"echo {self.interface[number]} >{_usb.DRIVER}/unbind")

    def bind(self):
        self.guest.sh(f"echo {self.interface[1]} >{_usb.DRIVER}/bind")

    def remove(self):
        self.guest.sh(f"echo 1 >{self.device}/remove")

    def put_back(self):
        self.pull()
        self.plug()

    def authorize(self, yes):
        self.guest.sh(f"echo {yes:d} >{self.device}/authorized")


# name: (weight, how it goes, how it comes back, is the driver told before it is gone)
WAYS = {
    "cable pulled": (50, Board.pull, Board.plug, False),
    "interface 1 unbound": (15, lambda b: b.unbind(1), Board.bind, True),
    "interface 0 unbound": (10, lambda b: b.unbind(0), Board.bind, True),
    "not authorized": (15, lambda b: b.authorize(False), lambda b: b.authorize(True), True),
    "removed": (10, Board.remove, Board.put_back, False),
}


def complaint(end, delivered, told):
    """What is wrong with the end of one life, or nothing."""
    if not end["ok"]:
        return "bytes published are not the bytes read, or not whole frames without a gap"
    if end["result"] != ENODEV or not end["flags"] & GONE:
        return "did not end with ENODEV and the flag GONE"
    if not 0 <= delivered - end["frames"] <= (0 if told else _usb.LOST_ON_THE_WAY):
        return f"the board delivered {delivered} frames"
    return None


def run(lab):
    rng = random.Random(SEED)
    lab.note(f"seed {SEED}, {CYCLES} cycles (ONI_SEED, ONI_REPLUG_CYCLES)")
    _usb.wait_node(lab.guest)
    board = Board(lab)
    follow = _kernel.Follow(lab.guest, "", OPTIONS["timeout"])
    # Every way once, then as the dice fall.
    plan = list(WAYS) + rng.choices(list(WAYS), [w[0] for w in WAYS.values()], k=max(0, CYCLES - len(WAYS)))
    rng.shuffle(plan)
    wrong, count = {name: [] for name in WAYS}, dict.fromkeys(WAYS, 0)
    before = _kernel.totals(lab.sim)["delivered"]
    for cycle, name in enumerate(plan, 1):
        _, leave, back, told = WAYS[name]
        follow.wait("start", cycle)
        time.sleep(rng.uniform(0, 0.4))
        leave(board)
        end = follow.wait("end", cycle)[-1]
        delivered = _kernel.totals(lab.sim)["delivered"]
        bad = complaint(end, delivered - before, told)
        before = delivered
        if bad:
            wrong[name].append(f"cycle {cycle}: {bad}: {end}")
        back(board)
        count[name] += 1
    follow.wait("start", len(plan) + 1)
    rc, bye = follow.stop()
    for name in WAYS:
        lab.ok(count[name] and not wrong[name], f"{name}: each of {count[name]} lives ended as gone, with all it had published",
               "\n".join(wrong[name][:10]))
    lab.ok(rc == 0 and bye and bye["ends"] == len(plan) + 1, f"the reader went through {len(plan)} removals", f"status {rc}, {bye}")
    _kernel.conserved(lab, "after all cycles")
    lab.equal(lab.sim.violations(), [], "nothing that the chip forbids")
