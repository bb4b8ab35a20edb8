# SPDX-License-Identifier: MIT
"""examples - the programs of userspace/examples, each run against a simulated card, with what they print held against the card's counters.

Two cards in one guest: the first has a headstage (30,000 frames/s), the second a fast memory monitor (20,000 frames/s).
"""
import json
import re

import lab as labmod

OPTIONS = {"sims": [["--model", "seed=1"], ["--model", "seed=2"]], "timeout": 400}

PROGRAMS = ["read", "poll", "epoll", "uring", "mmap", "monitor", "write"]
BUILT = labmod.BUILD / "userspace/examples"
SOURCES = labmod.TOP / "userspace/examples"


def install(lab):
    for name in PROGRAMS:
        lab.guest.put(f"/root/{name}", (BUILT / name).read_bytes(), 0o755)
    lab.guest.put("/root/cat.sh", (SOURCES / "cat.sh").read_bytes(), 0o755)
    for name in PROGRAMS + ["cat.sh"]:
        lab.match(r"^Usage: " + re.escape(name), lab.guest.sh(f"./{name} --help"), f"{name} --help")
    for name in PROGRAMS:
        rc, out = lab.guest.sh(f"./{name} -t 0 2>&1", check=False)
        lab.ok(rc == 2 and "Usage:" in out, f"{name}: a wrong command line is status 2", f"{rc}: {out}")


def configure(lab):
    """The nodes of the cards, in the order of their slots."""
    listed = json.loads(lab.guest.sh("udevadm settle; onictl --json list"))
    nodes = [c["node"] for c in sorted(listed, key=lambda c: c["by_path"])]
    lab.equal(len(nodes), 2, "two controllers")
    lab.guest.sh(f"onictl -d {nodes[0]} port a on -H hs64 && onictl -d {nodes[0]} enable rhd2164")
    return nodes


def delivered(sim):
    return sum(d["delivered"] for d in sim.frames().values())


def numbers(lab, pattern, out, what):
    m = re.search(pattern, out, re.M)
    if not lab.ok(m, f"{what}: prints its counts", out):
        raise labmod.LabError(f"{what} printed: {out}")
    return [int(g) for g in m.groups()]


def write(lab, node):
    out = lab.guest.sh(f"./write {node}")
    lab.match(r"batch of 4: .* Hz; divider 12500$", out, "write: the batch was executed and read back")
    lab.match(r"digital outputs 0xa5$", out, "write: the frame was sent")
    lab.equal(lab.sims[1].status().get("model.digital.out"), "0xa5", "write: the outputs of the card follow")
    rc, out = lab.guest.sh("./write oni9 2>&1", check=False)
    lab.ok(rc == 1 and "no such controller" in out, "write: no controller is explained", out)
    lab.guest.sh(f"onictl -d {node} enable memory-monitor")


def reads(lab, node):
    lab.sims[0].control("reset-counters")
    frames, size = numbers(lab, r"^read: (\d+) frames, (\d+) bytes$", lab.guest.sh(f"./read -t 2 {node}"), "read")
    lab.ok(0 < frames <= delivered(lab.sims[0]) and size > frames * 24, "read: frames came", f"{frames} frames, {size} bytes")
    out = lab.guest.sh(f"cd /tmp && /root/cat.sh {node} 100000")
    lab.match(r"^cat: 100000 bytes", out, "cat.sh: as many bytes as asked for")
    lab.match(r"^0000000( [0-9a-f]{2}){8} 0[01] 0[01] 00 00 (08|8e|0c) 00 00 00", out, "cat.sh: a frame stands at the beginning")


def drains(lab, node, name, count):
    """A reader that drains: not one frame more or less than the card has sent."""
    lab.sims[0].control("reset-counters")
    out = lab.guest.sh(f"./{name} -t 3 {node}")
    frames, _, *rest = numbers(lab, rf"^{name}: (\d+) frames, (\d+) bytes, {count}$", out, name)
    lab.ok(frames > 0, f"{name}: frames came", out)
    lab.equal(frames, delivered(lab.sims[0]), f"{name}: frames read = frames that the card delivered")
    return rest


def monitors(lab, nodes):
    """Beside a running reader: the same bytes, nothing missed, and the reader does not notice."""
    lab.sims[0].control("reset-counters")
    owner = lab.guest.start(f"./mmap -t 12 {nodes[0]}")
    lab.guest.sh(f"for i in $(seq 100); do onictl -d {nodes[0]} --json info | grep -q running && break; sleep 0.1; done")
    rc, out = lab.guest.sh(f"./read -t 1 {nodes[0]} 2>&1", check=False)
    lab.ok(rc == 1 and "busy" in out, "read: a controller in use is an error, said so", out)
    beside = lab.guest.start(f"./monitor -t 60 {nodes[0]}")
    out = lab.guest.sh(f"./epoll -t 2 {nodes[0]} {nodes[1]}")
    for node, kind in zip(nodes, ("monitor", "stream")):
        size, lost = numbers(lab, rf"^epoll: {node}: {kind}, (\d+) bytes, (\d+) lost$", out, f"epoll: {kind}")
        lab.ok(size > 10000 and lost == 0, f"epoll: bytes from the {kind}, none lost", out)
    owner.wait(60)
    beside.wait(60)
    frames, total, _, _ = numbers(lab, r"^mmap: (\d+) frames, (\d+) bytes, (\d+) blocks, (\d+) system calls$", owner.out, "mmap")
    lab.equal(frames, delivered(lab.sims[0]), "mmap: beside a monitor it misses nothing")
    seen, size, lost, skipped, first, position, head = numbers(
        lab, r"^monitor: (\d+) frames, (\d+) bytes, (\d+) lost, (\d+) skipped, first (\d+), position (\d+), head (\d+), ended, books balanced$",
        beside.out, "monitor")
    lab.ok(0 < seen < frames and first > 0, "monitor: it joined in the middle", beside.out)
    lab.equal((head, lost), (total, 0), "monitor: it has seen the end of what the owner read, and lost nothing")
    lab.equal(size + skipped, position - first, "monitor: every byte is accounted for")
    lab.ok(skipped < 400 and 0 <= head - position < 400, "monitor: less than a frame is skipped at either end", beside.out)
    rc, out = lab.guest.sh(f"./monitor {nodes[0]} 2>&1", check=False)
    lab.ok(rc == 1 and "nobody streams" in out, "monitor: without a stream it says so", out)


def run(lab):
    install(lab)
    nodes = configure(lab)
    write(lab, nodes[1])
    reads(lab, nodes[0])
    for name, count in (("poll", r"(\d+) wake-ups"), ("uring", r"(\d+) completions")):
        waits, = drains(lab, nodes[0], name, count)
        lab.ok(waits > 0, f"{name}: it was woken")
    blocks, calls = drains(lab, nodes[0], "mmap", r"(\d+) blocks, (\d+) system calls")
    lab.ok(blocks > 100 and calls * 4 < blocks, "mmap: less than one system call for four blocks", f"{calls} for {blocks}")
    monitors(lab, nodes)
