# SPDX-License-Identifier: MIT
"""kernel_conserve - every frame that the card delivered is in the ring, once, at small and at large blocks.

60 s in real time with every device on. A small reader of the ring counts frames per device; the card counts the frames
whose last byte it sent by DMA. Nothing in between may differ. On a machine that is too slow for the rate the rest comes out
of the card's memory, which can hold all of it, when the acquisition stops.

Half of that time is looked at for what a block costs, as the card counts it: register reads, writes, interrupts. ONI_CONSERVE_SECONDS: another time.

verifies: R19
"""
import json
import os
import time

import lab as labmod

import _kernel

OPTIONS = {"long": True, "sims": [["--ram", "1G", "--model", "seed=1", "--model", "source=0-63=ramp"]], "timeout": 1000}

SECONDS = int(os.environ.get("ONI_CONSERVE_SECONDS", "60"))
ACQ_HZ = 250e6	# the card's clock
# Rates with every device on (frames per second of the card's clock); the count must be near, so that a silent device is noticed.
RATES = {0x000: 250, 0x006: 100000, 0x007: 1000, 0x00a: 100, 0x00b: 2000, 0x100: 30000}


# What a block may cost while data flow: the vector, the length, and the length again when it is done; the three words that announce the list;
# an interrupt for the announcement and one for the end.
PER_BLOCK = {"mmio_reads": 3, "mmio_writes": 3, "msis": 2}
# A look at the hardware that no block asks for is one read, at most so often.
LOOKS_PER_S = 10


def cost(lab, tag, counting):
    """Count that no more accesses than that are made, by what the card counted in the middle of the run.

    One status is of one moment. At each end one block may be under way, whose accesses are on one side and which is counted on the other.
    """
    labmod.wait_for("blocks", 120, lambda: counting.rc is not None or lab.sim.status()["blocks"] > 100)
    before, began = lab.sim.status(), time.monotonic()
    time.sleep(SECONDS / 2)
    after, seconds = lab.sim.status(), time.monotonic() - began
    steady = before["running"] == after["running"] == 1 and counting.rc is None
    blocks = after["blocks"] - before["blocks"]
    # With fewer blocks one access more for each would be within what is allowed.
    lab.ok(steady and blocks > LOOKS_PER_S * seconds + 1 + max(PER_BLOCK.values()), f"{tag}: there was a steady state",
           f"{blocks} blocks in {seconds:.1f} s, running {before['running']}, {after['running']}")
    for name, most in PER_BLOCK.items():
        n = after[name] - before[name]
        allowed = most * (blocks + 1) + (LOOKS_PER_S * seconds + 1 if name == "mmio_reads" else 0)
        lab.ok(n <= allowed, f"{tag}: at most {most} {name} per block in steady state", f"{n} for {blocks} blocks in {seconds:.1f} s")
        lab.note(f"{tag}: {n / max(1, blocks):.3f} {name} per block in steady state")


def one_block_size(lab, block):
    tag = f"{block} byte blocks"
    lab.sim.control("reset-counters")
    counting = lab.guest.start(f"/usr/lib/oni/lab/oni_count -b {block} -t {SECONDS}", SECONDS * 6 + 60)
    cost(lab, tag, counting)
    rc = counting.wait(SECONDS * 6 + 60)
    out = counting.out
    lab.note(out)
    if not lab.ok(rc == 0, f"{tag}: every byte parses as frames", f"status {rc}: {out}"):
        return
    seen = json.loads(out.splitlines()[-1])
    truth = lab.sim.frames()
    counted = {int(a): n for a, n in seen["frames"].items() if n}
    delivered = {a: d["delivered"] for a, d in truth.items() if d["delivered"]}
    lab.equal(counted, delivered, f"{tag}: frames read = frames delivered, every device")
    _kernel.conserved(lab, tag)
    lab.equal(seen["bytes"], lab.sim.status()["bytes"], f"{tag}: bytes published = bytes delivered")
    left = sum(d["left"] for d in truth.values())
    lab.ok(left * 24 <= block + 960, f"{tag}: less than one block stays in the card", f"{left} frames")
    clocks = {d["addr"]: d for d in lab.sim.truth()[-1]["devices"]}
    for addr, rate in RATES.items():
        n, device = counted.get(addr, 0), clocks[addr]
        seconds = (device["last_clock"] - device["first_clock"]) / ACQ_HZ
        lab.ok(seconds > 0.9 * SECONDS and abs(n - rate * seconds) <= 0.01 * n + 2, f"{tag}: device 0x{addr:03x} ran at {rate}/s",
               f"{n} frames in {seconds:.2f} s of the card's clock")
    lab.equal(seen["short_blocks"], 0, f"{tag}: no short block")
    status = lab.sim.status()
    lab.equal(status["violations"], 0, f"{tag}: no access that the card forbids")
    blocks = max(1, seen["blocks"])
    lab.note(f"{tag}: per block {status['mmio_reads'] / blocks:.2f} register reads, {status['mmio_writes'] / blocks:.2f} "
             f"writes, {status['msis'] / blocks:.2f} interrupts; ring peak {seen['peak_bytes']} bytes")


def run(lab):
    for block in (4096, 65536):
        one_block_size(lab, block)
