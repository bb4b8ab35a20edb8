# SPDX-License-Identifier: MIT
"""dt_ring - rings are made of the memory that a device tree names for them and of no other, which outlives the controller and is given again, empty.

Debian's arm64 kernel on QEMU's virt board; dt_ring.dtso says which card has which memory. A program in the guest makes rings and says
where in physical memory the pages of its mappings are.
"""
import json
import pathlib

import _firmware
import _usb
from _firmware import wait_nodes

CARDS = 7
OPTIONS = {
    "sims": [*(["--model", f"seed={n + 1}"] for n in range(CARDS)), _usb.BOARD],
    "overlays": ["dts/overlays/qemu-virt.dtso", "tests/lab/tests/dt_ring.dtso"],
    "kernels": ["arm64-6.1"], "own_kernel": False, "timeout": 400, "memory": "768M",
}

EXAMPLE, GIVEN, NONE, SHARED, UNMAPPED, TWO, SMALL = range(CARDS)	# slots, as in dt_ring.dtso
BASE, BYTES = 0x60000000, 8 << 20
KIB = 1 << 10
ENXIO, ENOMEM = 6, 12
UNUSABLE = {
    UNMAPPED: "must have neither no-map nor reusable nor compatible",
    TWO: "has to name one region of a device tree", SMALL: "is smaller than 64 KiB",
}
DRIVER = "/sys/bus/pci/drivers/oni_riffa"


class Rings:
    """_ring_session running in the guest: every method of its Rings is one of this."""

    def __init__(self, guest):
        self.guest, self.asked, self.pipe = guest, 0, "/tmp/ring.pipe"
        guest.put("/tmp/ring_session.py", pathlib.Path(__file__).with_name("_ring_session.py").read_text())
        self.command = guest.start(f"exec python3 /tmp/ring_session.py {self.pipe}")
        self.command.wait_output("^ready$")

    def __getattr__(self, word):
        def ask(*args):
            self.asked += 1
            self.guest.sh(f"echo '{json.dumps([word, *args])}' >{self.pipe}")
            return json.loads(self.command.wait_output(rf'^{{"n": {self.asked}, .*}}$', 180).group(0))["r"]
        return ask


def inside(runs, base=BASE, size=BYTES):
    return bool(runs) and all(base <= first < end <= base + size for first, end in runs)


def size_of(runs):
    return sum(end - first for first, end in runs)


def apart(*several):
    """No page is in two of these."""
    runs = sorted(run for runs in several for run in runs)
    return all(a[1] <= b[0] for a, b in zip(runs, runs[1:]))


def run(lab):
    guest = lab.guest
    guest.sh("modprobe fixed; modprobe oni_riffa")
    place = _firmware.slots(guest)
    found = wait_nodes(lab, CARDS)
    node = [found[place[n]] for n in range(CARDS)]

    def free(n):
        return int(guest.sh(f"cat /sys/class/oni/{node[n]}/firmware/ring_free_bytes"))

    shown = seen_in_sysfs(lab, node)
    rings = Rings(guest)
    unusable(lab, rings, node)

    rings.open(node[GIVEN])
    lab.equal(rings.create(node[GIVEN], "a", 2 * BYTES), [ENOMEM, 0], "a ring that is larger than its memory is ENOMEM")
    lab.equal(free(GIVEN), BYTES, "and takes nothing")
    lab.equal(rings.create(node[GIVEN], "a", 0), [0, BYTES], "without a wish it is as large as its memory")
    rings.map("a")
    lab.equal(rings.pages("a"), [[BASE, BASE + BYTES]], "all of it is the region")
    lab.equal((rings.zero("a"), free(GIVEN)), (True, 0), "it is empty, and nothing of the region is left")
    rings.close("a")
    lab.equal(rings.create(node[GIVEN], "b", 64 * KIB), [ENOMEM, 0], "closed but mapped: the memory is not given again")
    rings.unmap("a")
    lab.equal(free(GIVEN), BYTES, "unmapped: it is free")
    results = []
    for _ in range(20):
        results.append(rings.create(node[GIVEN], "again", BYTES))
        rings.close("again")
    lab.equal(results, [[0, BYTES]] * 20, "20 times all of it")

    recording(lab, rings, node[GIVEN])
    lab.equal(free(GIVEN), BYTES, "all of it is free")
    sharing(lab, rings, node)
    pieces(lab, rings, node[GIVEN])
    pinned(lab, rings, node[GIVEN], lambda: free(GIVEN))
    others(lab, rings, node, shown)
    unbound(lab, rings, node, place[SHARED], free)
    lost(lab, rings, node[GIVEN])

    rings.command.kill(9)
    rings.command.wait()
    guest.sh("rmmod oni_riffa oni_ft600 oni")
    lab.equal(guest.sh("cat /proc/modules").count("oni"), 0, "the modules can be unloaded")


def seen_in_sysfs(lab, node):
    """What each card shows of its memory; that of slot 0 as (base, bytes)."""
    shown = [{k: v for k, v in _firmware.read(lab.guest, n).items() if k.startswith("ring_")} for n in node]
    lab.equal(shown[GIVEN], {"ring_base": f"0x{BASE:016x}", "ring_bytes": str(BYTES), "ring_free_bytes": str(BYTES)}, "region at a place")
    lab.equal(shown[SHARED], shown[GIVEN], "the same region")
    lab.equal(shown[NONE], {}, "no region")
    for n in UNUSABLE:
        lab.equal(shown[n], {"ring_bytes": "0"}, f"slot {n}: memory that cannot be used")
    lab.equal(shown[EXAMPLE].get("ring_bytes"), str(32 << 20), "the example: size")
    base = int(shown[EXAMPLE]["ring_base"], 16)
    lab.ok(base % (1 << 20) == 0 and 0x40000000 <= base < 0x70000000, "the example: place", hex(base))
    lab.equal(lab.guest.sh(f"stat -c %a /sys/class/oni/{node[GIVEN]}/firmware/ring_base").strip(), "400", "where it is, is for root")
    return base, 32 << 20


def unusable(lab, rings, node):
    """The controller is there and safe, says what is wrong, and has no ring of other memory."""
    guest = lab.guest
    guest.sh("modprobe oni_ft600; modprobe xhci_pci")
    found = wait_nodes(lab, CARDS + 1)
    usb, = set(found.values()) - set(node)
    log = guest.sh("dmesg")
    lab.match(r"board@1: memory-region is not all memory; no ring can be made", log, "the kernel log names a place without memory")
    lab.equal(log.count("; no ring can be made"), len(UNUSABLE) + 1, "one line for each that cannot be used")
    for n, why in UNUSABLE.items():
        lab.match(rf"pcie@{0x10 + n:x},0/neural@0,0: memory-region {why}; no ring can be made", log, f"the kernel log: {why}")
    for what, name in [*((f"slot {n}", node[n]) for n in UNUSABLE), ("USB board", usb)]:
        rings.open(name)
        lab.equal(rings.create(name, "x", 64 * KIB), [ENXIO, 0], f"{what}: no ring")
        rings.leave(name)
    lab.equal(guest.sh(f"cat /sys/class/oni/{node[UNMAPPED]}/stim_safe").strip(), "1", "its stimulators are safe all the same")


def recording(lab, rings, name):
    """Through memory that wraps around often, everything arrives, and nothing of it is there for the next."""
    card = lab.sims[GIVEN]
    lab.equal(rings.create(name, "r", 64 * KIB), [0, 64 * KIB], "a small ring")
    rings.map("r")
    before = rings.pages("r")
    card.control("reset-counters")
    got = rings.record(name, "r", 8 * 64 * KIB)
    truth = card.frames()
    lab.equal({int(a): n for a, n in got["frames"].items()}, {a: f["delivered"] for a, f in truth.items() if f["delivered"]},
              "frames read = frames delivered, every device")
    lab.ok(sum(got["frames"].values()) > 500, "there are some", got)
    lab.equal(sum(f["lost"] for f in truth.values()), 0, "none is lost")
    lab.equal(got["bytes"], card.status()["bytes"], "bytes read = bytes delivered")
    lab.ok(got["mapped"], "and what was read last is in the mapping")
    lab.ok(not rings.zero("r"), "which is not empty")
    rings.unmap("r")
    rings.close("r")
    rings.create(name, "s", 64 * KIB)
    rings.map("s")
    lab.equal(rings.pages("s"), before, "the next ring has the same memory")
    lab.ok(rings.zero("s"), "and nothing is left in it")
    rings.unmap("s")
    rings.close("s")


def sharing(lab, rings, node):
    rings.open(node[SHARED])
    half = BYTES // 2
    lab.equal([rings.create(node[GIVEN], "p", half), rings.create(node[SHARED], "q", half)], [[0, half]] * 2, "two controllers, half of the region each")
    rings.map("p")
    rings.map("q")
    p, q = rings.pages("p"), rings.pages("q")
    lab.ok(inside(p) and inside(q) and apart(p, q), "both are in it, and apart", (p, q))
    rings.close("p")
    lab.equal(rings.create(node[GIVEN], "p2", half), [ENOMEM, 0], "there is no third half")
    rings.unmap("p")
    lab.equal(rings.create(node[GIVEN], "p2", half), [0, half], "until one goes")
    for name in ("p2", "q"):
        rings.close(name)
    rings.unmap("q")


def pieces(lab, rings, name):
    """Holes do for a ring that is larger than each of them."""
    piece = 256 * KIB
    n = BYTES // piece
    lab.equal(rings.pieces(name, piece), [n, ENOMEM], "the region is full of small rings")
    kept = [rings.pages(f"piece{i}") for i in range(0, n, 2)]
    for i in range(1, n, 2):
        rings.unmap(f"piece{i}")
    lab.equal(rings.create(name, "holes", BYTES // 2), [0, BYTES // 2], "a large one out of every second of them")
    rings.map("holes")
    runs = rings.pages("holes")
    lab.ok(inside(runs) and size_of(runs) == BYTES // 2 and apart(runs, *kept), "which does not touch the others", runs)
    lab.ok(all(rings.zero(f"piece{i}") for i in (0, n - 2)), "nobody wrote to them")
    rings.unmap("holes")
    rings.close("holes")
    for i in range(0, n, 2):
        rings.unmap(f"piece{i}")


def pinned(lab, rings, name, free):
    """Pages that somebody else holds are not given again before they are let go."""
    lab.guest.sh("busybox ip link set lo up")
    size = 32 * KIB
    rings.create(name, "pin", BYTES)
    rings.map("pin")
    lab.equal(rings.pin("pin", size), size, "a socket takes pages of the mapping")
    rings.unmap("pin")
    rings.close("pin")
    lab.equal(free(), BYTES - size, "the ring is gone, and what the socket has is not free")
    lab.equal(rings.create(name, "pin", BYTES), [ENOMEM, 0], "nor given")
    lab.equal(rings.create(name, "pin", BYTES // 2), [0, BYTES // 2], "the rest is")
    rings.map("pin")
    lab.ok(inside(rings.pages("pin")), "of the same region")
    rings.unmap("pin")
    rings.close("pin")
    rings.unpin()
    lab.equal((free(), rings.create(name, "pin", BYTES)), (BYTES, [0, BYTES]), "the socket is closed: all is free, and given")
    rings.close("pin")


def others(lab, rings, node, example):
    """The example of dts/, and a card without a region."""
    rings.open(node[EXAMPLE])
    lab.equal(rings.create(node[EXAMPLE], "e", 0), [0, example[1]], "the example: the size without a wish")
    rings.map("e")
    lab.ok(inside(rings.pages("e"), *example) and size_of(rings.pages("e")) == example[1], "the example: all of it is the region")
    rings.open(node[NONE])
    lab.equal(rings.create(node[NONE], "o", 1 << 20), [0, 1 << 20], "no region: a ring of other memory")
    rings.map("o")
    o = rings.pages("o")
    lab.ok(o and size_of(o) == 1 << 20 and apart(o, [[BASE, BASE + BYTES]], [[example[0], sum(example)]]), "which is in no region", o)
    lab.ok(rings.zero("o"), "and empty")
    for name in "eo":
        rings.unmap(name)
        rings.close(name)


def unbound(lab, rings, node, bus, free):
    """A mapping outlives its controller; a new one of the same memory knows it."""
    guest = lab.guest
    rings.create(node[SHARED], "u", 64 * KIB)
    rings.map("u")
    rings.record(node[SHARED], "u", 2 * 64 * KIB)
    rings.keep("u")
    place = rings.pages("u")
    guest.sh(f"echo {bus} >{DRIVER}/unbind")
    lab.ok(rings.same("u") and rings.pages("u") == place, "unbound: the mapping is as it was")
    lab.equal(free(GIVEN), BYTES - 64 * KIB, "and its memory is not free")
    rings.close("u")
    rings.leave(node[SHARED])
    guest.sh(f"echo {bus} >{DRIVER}/bind")
    node[SHARED] = wait_nodes(lab, CARDS + 1)[bus]
    lab.equal(free(SHARED), BYTES - 64 * KIB, "bound again: it knows")
    rings.open(node[SHARED])
    lab.equal(rings.create(node[SHARED], "v", BYTES), [ENOMEM, 0], "and does not give it")
    rings.create(node[SHARED], "v", BYTES // 2)
    rings.map("v")
    lab.ok(inside(rings.pages("v")) and apart(rings.pages("v"), place), "a new ring is elsewhere", rings.pages("v"))
    lab.ok(rings.same("u"), "the old mapping is as it was")
    rings.unmap("v")
    rings.close("v")
    rings.unmap("u")
    lab.equal((free(SHARED), free(GIVEN)), (BYTES, BYTES), "unmapped: all is free, to both")
    rings.leave(node[SHARED])


def lost(lab, rings, name):
    """As unbound, by a card that vanishes; the last reference of the region is that of the ring."""
    rings.create(name, "l", BYTES)
    rings.map("l")
    rings.record(name, "l", 64 * KIB)
    rings.keep("l")
    lab.sims[GIVEN].control("unplug")
    lab.guest.sh(f"echo 1 >/sys/class/oni/{name}/device/remove")
    lab.ok(rings.same("l"), "unplugged: the mapping is as it was")
    rings.close("l")
    lab.guest.sh("rmmod oni_riffa")
    lab.ok(rings.same("l"), "and without any controller, too")
    lab.guest.sh("modprobe oni_riffa")
    found = wait_nodes(lab, CARDS)
    node = next(n for bus, n in found.items() if bus == _firmware.slots(lab.guest)[SHARED])
    shown = _firmware.read(lab.guest, node)
    lab.equal(int(shown["ring_free_bytes"]), 0, "controllers that are made now know it")
    rings.unmap("l")
    lab.equal(int(_firmware.read(lab.guest, node)["ring_free_bytes"]), BYTES, "unmapped: it is free")
