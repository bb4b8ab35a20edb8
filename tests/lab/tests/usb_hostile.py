# SPDX-License-Identifier: MIT
"""usb_hostile - a board that is broken or means harm: noise for descriptors, requests refused, no end of nothing, no answer, memory that overflows.

Each is refused or ends with a defined errno and a counter, a reset or a replug cures it, and the log stays short. What usb_fault has is not here again.

verifies: R23
"""
import csv
import io
import json
import re
import time

import lab as labmod

import _kernel
import _usb
import usb_fault

# The second one has so little memory that a reader who waits for two seconds loses frames.
SMALL = "SMALL"
OPTIONS = {"sims": [_usb.BOARD, [*_usb.BOARD, "--serial", SMALL, "--ram", "1M"]], "timeout": 600, "kernels": _usb.KERNELS, "long": True}

RHYTHM, TICKS = 0x101, 2800
SEEDS = range(1, 9)
# Requests that a probe makes of the chip, at most.
REQUESTS = 12
# Lines of the driver in the whole run.
LOG_LINES = 150
STALLED_S = 4


def at_rest(lab):
    """The guest has made up its mind about what it found."""
    seen = [None, 0.0]

    def still():
        now = tuple(lab.sim.status()[f"usb.{k}"] for k in ("control_transfers", "urbs"))
        if now != seen[0]:
            seen[:] = now, time.monotonic()
        return time.monotonic() - seen[1] > 2
    labmod.wait_for("the bus comes to rest", 60, still)
    lab.guest.sh("udevadm settle")


class Place:
    """Where the first board is: pulled and put back by what the bus says, since it may not have a driver."""

    def __init__(self, lab):
        self.lab, serial = lab, lab.guest.sh("cd /sys/bus/usb/devices && grep -l ONISIM0001 */serial").strip()
        self.device = "/sys/bus/usb/devices/" + serial.partition("/")[0]

    def pull(self):
        self.lab.sim.control("unplug")
        labmod.wait_for("the bus lets go of the board", 30, lambda: self.lab.guest.sh(f"test -e {self.device} || echo gone"))

    def bound(self):
        return self.lab.guest.sh(f"for i in {self.device}:*; do test -e $i/driver && readlink $i/driver; done; true").count("oni_ft600")


def noise(lab, place):
    """Descriptors that make no sense, or another one."""
    found = []
    for seed in SEEDS:
        place.pull()
        lab.sim.control(f"fault usb-desc-noise {seed} {seed}")
        lab.sim.control("plug")
        at_rest(lab)
        found.append(place.bound())
        lab.sim.control("fault clear")
    lab.ok(set(found) <= {0, 2}, "noise in descriptors: both interfaces are bound, or none", found)
    place.pull()
    lab.sim.control("plug")
    at_rest(lab)
    lab.equal(place.bound(), 2, "noise in descriptors: then the right ones, and it is bound")
    lab.note(f"interfaces bound with noise in the descriptors: {found}")


def refused(lab, place):
    """One request after the other, of those that a probe makes of the chip."""
    said, n = [], 0
    for n in range(REQUESTS):
        place.pull()
        lab.sim.control(f"fault usb-vendor-stall 1 {n}")
        lab.guest.sh("dmesg -C")
        lab.sim.control("plug")
        at_rest(lab)
        lines = re.findall(r"oni_ft600 .*", lab.guest.sh("dmesg"))
        if not usb_fault.spent(lab, "usb-vendor-stall"):
            break
        said.append((place.bound(), len(lines), sum("left alone" in line for line in lines)))
    lab.sim.control("fault clear")
    lab.ok(len(said) >= 5 and n < REQUESTS - 1, "a probe makes some requests of the chip", said)
    lab.ok(all(s == (0, 1, 1) for s in said), "each of them refused once: left alone with one line", said)
    lab.equal(place.bound(), 2, "none of them refused: bound")


def held(lab):
    """The pin that lets the FIFOs of the board go cannot be set, nor when the outputs are to go to 0: nothing is sent into them, and it is told."""
    guest = lab.guest
    follow = _kernel.Follow(guest, "-n 1", 120)
    follow.wait("start", 1)
    before = usb_fault.errors(lab)
    lab.sim.control("fault usb-vendor-stall 2 1")
    rc, _ = follow.stop()
    lab.ok(rc == 0 and usb_fault.spent(lab, "usb-vendor-stall"), "the pin stays where it is after an acquisition", lab.sim.status()["usb.gpio"])
    at_rest(lab)	# the second reset may still be under way
    lab.equal((_kernel.attributes(guest, "state")[0], usb_fault.errors(lab) - before), ("fault", 2), "a fault, two link errors")
    rc, out = guest.sh("onictl reg read 0 1", check=False)
    lab.ok(rc != 0, "a register is an error", out)
    rc, out = guest.sh("/usr/lib/oni/lab/oni_count -n -t 1", 60, check=False)
    lab.ok(rc != 0 or "error" in out, "so is a start, or its reset has cured it", out)
    guest.sh("onictl reset")
    _kernel.works(lab, "FIFOs held in reset, then a reset")
    lab.equal(lab.sim.violations(), [], "nothing was sent to FIFOs that are held in reset")


def nothing(lab):
    """Packets without data, as fast as they go, for a while."""
    before, delivered = usb_fault.errors(lab), _kernel.totals(lab.sim)["delivered"]
    follow = _kernel.Follow(lab.guest, "-n 1", 120)
    follow.wait("start", 1)
    lab.sim.control("fault usb-zlp 4294967295")
    time.sleep(2)
    lab.guest.sh("true")
    done = lab.sim.status()["fault.usb-zlp.done"]
    lab.sim.control("fault clear")
    time.sleep(1)
    follow.stop()
    end = follow.events("end")[-1]
    lab.ok(done > 100 and end["ok"] and end["result"] == 0, "a storm of empty packets: the acquisition went on, whole, to its stop", f"{done}, {end}")
    unseen = _kernel.totals(lab.sim)["delivered"] - delivered - end["frames"]
    lab.ok(0 <= unseen <= usb_fault.WAITING, "a storm of empty packets: nothing is lost", f"{unseen} frames were not read")
    lab.equal(usb_fault.errors(lab), before, "a storm of empty packets: no link error")
    lab.note(f"{done} empty packets in about 2 s")


def unanswered(lab):
    """Of both kinds of registers."""
    guest = lab.guest
    timeouts = int(_kernel.attributes(guest, "stats/reg_timeouts")[0])
    lab.sim.control("fault mute 1")
    rc, out = guest.sh("onictl reg read 0 1", 60, check=False)
    lab.ok(rc != 0 and usb_fault.spent(lab, "mute"), "a device register that does not answer is an error", out)
    lab.ok(int(_kernel.attributes(guest, "stats/reg_timeouts")[0]) == timeouts + 1, "it is counted")
    rc, out = guest.sh("onictl reg read 0 1", 60, check=False)
    lab.ok(rc == 0, "the next access works", out)

    before = usb_fault.errors(lab)
    lab.sim.control("fault reply-lost 1")
    rc, out = guest.sh("onictl reg read 0 1", 60, check=False)
    lab.ok(rc != 0 and usb_fault.spent(lab, "reply-lost"), "a controller register that does not answer is an error", out)
    state, errors = _kernel.attributes(guest, "state")[0], usb_fault.errors(lab) - before
    lab.ok(state == "fault" and 1 <= errors <= 2, "a fault, and each reset that failed is at most one link error", f"{state}, {errors}")
    guest.sh("onictl reset")
    _kernel.works(lab, "a reply that never came, then a reset")


def overflow(lab):
    """More than the memory of the board holds: reported by the recorder, with a date, and as long as it was."""
    guest, sim = lab.guest, lab.sims[1]
    sim.control("reset-counters")
    rec = guest.start(f"exec onirec -c none -d oni_ft600-{SMALL} -o /var/lib/oni --name lost -t 300 --json 2>/tmp/err >/tmp/out", 600)
    labmod.wait_for("the recorder runs", 60, lambda: sim.frames().get(RHYTHM, {}).get("delivered", 0) > 3000)
    sim.control("stall")
    labmod.wait_for("the board's memory is full", 60, lambda: sim.frames()[RHYTHM]["lost"] > 1000)
    sim.control("resume")
    time.sleep(1)
    rec.kill(2)
    rc = rec.wait(120)
    lab.equal(rc, 0, "the recorder ends well")
    rhythm = next(d for d in json.loads(guest.sh("cat /tmp/out"))["devices"] if d["addr"] == RHYTHM)
    truth = sim.frames()[RHYTHM]
    lab.equal(rhythm["frames"], truth["delivered"], "overflow: frames read = frames delivered")
    lab.ok(1000 < rhythm["lost"] <= truth["lost"] and
           rhythm["frames"] + rhythm["lost"] == (rhythm["last_hub_clock"] - rhythm["first_hub_clock"]) // TICKS + 1,
           "overflow: every sample from the first to the last was read or is counted as lost", f"{rhythm}, {truth}")
    gaps = list(csv.DictReader(io.StringIO(guest.sh("find /var/lib/oni/lost -name gaps.csv -exec cat {} +"))))
    mine = [g for g in gaps if g["device"] == rhythm["name"] and int(g["samples"])]
    lab.ok(len(mine) == rhythm["gaps"] and sum(int(g["samples"]) for g in mine) == rhythm["lost"] and
           all(int(g["hub_clock"]) and int(g["host_mono_ns"]) for g in mine), "overflow: gaps.csv has each gap with its length and time", gaps)
    _kernel.conserved(lab, "the other board")


def run(lab):
    _usb.wait_node(lab.guest)
    lab.guest.sh(f"for i in $(seq 100); do test -e /dev/oni/by-id/oni_ft600-{SMALL} && exit; sleep 0.2; done; exit 1")
    overflow(lab)
    # From here on the attributes of the one controller are those of the first board.
    lab.sims[1].control("unplug")
    labmod.wait_for("one node is left", 30, lambda: len(_usb.nodes(lab.guest)) == 1)
    lab.guest.sh("ln -s $(ls /dev/oni[0-9]*) /dev/oni0 2>/dev/null || true")
    nothing(lab)
    unanswered(lab)
    held(lab)
    place = Place(lab)
    refused(lab, place)
    noise(lab, place)
    _kernel.works(lab, "after all of it")
    lab.equal(lab.sim.violations(), [], "nothing that the chip forbids")
