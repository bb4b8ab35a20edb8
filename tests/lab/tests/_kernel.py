# SPDX-License-Identifier: MIT
"""_kernel - what several kernel_* scenarios share: the account of the card, slots that the guest empties, a reader that never gives up."""
import json

import lab as labmod


def totals(sim):
    """{produced, delivered, left, lost} over all devices, since power-on or reset-counters."""
    frames = sim.frames().values()
    return {key: sum(f.get(key, 0) for f in frames) for key in ("produced", "delivered", "left", "lost")}


def conserved(lab, what, lost=False):
    """Count the conservation law for the account of the card since power-on or reset-counters.

    Every device: produced = delivered + left + lost. Nothing may be lost unless the test provoked it (lost=True: some must be, or the
    test did not provoke anything).
    """
    frames = lab.sim.frames()
    wrong = {hex(a): f for a, f in frames.items() if f["produced"] != f["delivered"] + f["left"] + f["lost"]}
    lab.ok(frames and not wrong, f"{what}: produced = delivered + left + lost, every device", wrong or "no device at all")
    gone = {hex(a): f["lost"] for a, f in frames.items() if f["lost"]}
    lab.ok(bool(gone) == lost, f"{what}: frames were lost in the card" if lost else f"{what}: nothing lost in the card", gone)


def finished(lab):
    """Bytes and blocks so far: those that the card finished, and those that the driver put into rings, in this life of the controller."""
    status, stats = lab.sim.status(), "/sys/class/oni/oni*/stats"
    return (status["bytes"], status["blocks"]), tuple(map(int, lab.guest.sh(f"cat {stats}/bytes {stats}/blocks").split()))


def published(lab, what, since=((0, 0), (0, 0)), errors=0):
    """Count that the bytes of all blocks that the card finished are the bytes that the driver put into rings, in one life of both.

    What left is neither: it was never announced, or was announced and held back. SINCE: what finished() said at a time when nothing ran.
    An acquisition that ended in an error may have given up the one block that was under way, which the card may have finished all the
    same: at most ERRORS did.
    """
    card, driver = ([now - then for now, then in zip(*pair)] for pair in zip(finished(lab), since))
    lab.ok(driver[1], f"{what}: there were blocks at all", f"{card} and {driver}")
    if not errors:
        lab.equal(driver, card, f"{what}: bytes and blocks that the card delivered = those published")
        return
    held, blocks = card[0] - driver[0], card[1] - driver[1]
    lab.ok(0 <= blocks <= errors and bool(held) == bool(blocks) and 0 <= held <= blocks * BLOCK,
           f"{what}: what the card delivered was published, but for at most a block of each of {errors} errors",
           f"bytes and blocks delivered {card}, published {driver}")


def last_life(lab, what):
    """The same for an acquisition of the controller that is there now, however many there were before it.

    What the driver published to controllers that are gone went with them, and so did blocks that were under way: for these their readers
    speak, which found what was published whole.
    """
    lab.guest.sh("udevadm settle")
    before = finished(lab)
    works(lab, what)
    published(lab, what, before)


def slots_by_guest(guest):
    """Let Guest.plug() fill a slot whose power the guest switched off itself, which removes the card without a device_del."""
    since, card, unplug = {}, guest._card, guest.unplug

    def note_card(n):
        since[n] = len(guest.qmp.events)
        return card(n)

    def removed(n):
        return any(e["event"] == "DEVICE_DELETED" and e["data"].get("device") == f"card{n}" for e in guest.qmp.events[since.get(n, 0):])

    def unplug_unless_removed(n=0, timeout=60):
        try:
            labmod.wait_for("removal by the guest", 3, lambda: removed(n))
            guest.plugged.discard(n)
        except labmod.LabError:
            unplug(n, timeout)

    guest._card, guest.unplug = note_card, unplug_unless_removed


# Bytes of a block, in all programs that a scenario does not tell otherwise (OT_BLOCK of the selftests).
BLOCK = 4096
FOLLOW = "/usr/lib/oni/lab/oni_follow"


class Follow:
    """oni_follow running in the guest: acquires through everything that befalls the controller. Its events, in order."""

    def __init__(self, guest, arguments="", timeout=900):
        self.command = guest.start(f"{FOLLOW} {arguments}", timeout)
        self.parsed, self.all = 0, []

    def events(self, kind):
        whole = self.command.out.rfind("\n") + 1
        lines = self.command.out[self.parsed:whole].splitlines()
        self.parsed = whole
        self.all += [json.loads(line) for line in lines if line.startswith("{")]
        return [e for e in self.all if e["event"] == kind]

    def wait(self, kind, count, seconds=60):
        """The events of that kind, once there are COUNT of them."""
        def enough():
            found = self.events(kind)
            if len(found) < count and self.command.rc is not None:
                raise labmod.LabError(f"oni_follow ended with {self.command.rc}: {self.command.out[-1500:]}")
            return found if len(found) >= count else None
        return labmod.wait_for(f"oni_follow: {kind} number {count}", seconds, enough)

    def stop(self):
        """End it: (exit status, its last event)."""
        self.command.kill()
        rc = self.command.wait(60)
        return rc, (self.events("bye") or [None])[-1]


# Stimulators of a headstage-64 on port A and the writes that put each into its safe state (driver/oni_guard.c).
STIM_SAFE = {0x103: 5, 0x104: 1}


def stim_writes(sim):
    """Writes that each of these stimulators has taken since the card was powered on."""
    status = sim.status()
    return {addr: status.get(f"model.stim.0x{addr:03x}.writes", 0) for addr in STIM_SAFE}


def made_safe(lab, before, times, what):
    """Count that every stimulator took a whole safe state so many times since BEFORE, and that nothing was ever triggered."""
    after = stim_writes(lab.sim)
    safe = all(after[a] - before[a] >= n * times for a, n in STIM_SAFE.items())
    lab.ok(safe, f"{what}: every stimulator was sent its safe state {times} times", f"writes {before} before, {after} after")
    lab.equal(lab.sim.status()["model.stim_triggers"], 0, f"{what}: nothing was triggered")


def attributes(guest, *names):
    """Values of attributes of the one controller, as text."""
    return guest.sh("cat " + " ".join(f"/sys/class/oni/oni*/{name}" for name in names)).split()


def works(lab, what, seconds=2):
    """Count that a new acquisition delivers whole frames; how many."""
    rc, out = lab.guest.sh(f"{FOLLOW} -q -t {seconds}", 90, check=False)
    bye = [json.loads(line) for line in out.splitlines() if '"bye"' in line]
    lab.ok(rc == 0 and bye and bye[-1]["frames"] > 0, f"{what}: a new acquisition works", f"status {rc}: {out}")
    return bye[-1]["frames"] if bye else 0
