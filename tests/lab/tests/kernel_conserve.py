# SPDX-License-Identifier: MIT
"""kernel_conserve - every frame that the card delivered is in the ring, once, at small and at large blocks.

60 s in real time with every device on. A small reader of the ring counts frames per device; the card counts the frames
whose last byte it sent by DMA. Nothing in between may differ.
"""
import json

OPTIONS = {"sims": [["--model", "seed=1", "--model", "source=0-63=ramp"]], "timeout": 400, "exclusive": True}

SECONDS = 60
# Rates with every device on (frames per second); the count must be near, so that a silent device is noticed.
RATES = {0x000: 250, 0x006: 100000, 0x007: 1000, 0x00a: 100, 0x00b: 2000, 0x100: 30000}


def one_block_size(lab, block):
    tag = f"{block} byte blocks"
    lab.sim.control("reset-counters")
    rc, out = lab.guest.sh(f"/usr/lib/oni/lab/oni_count -b {block} -t {SECONDS}", SECONDS + 60, check=False)
    lab.note(out)
    if not lab.ok(rc == 0, f"{tag}: every byte parses as frames", f"status {rc}: {out}"):
        return
    seen = json.loads(out.splitlines()[-1])
    truth = lab.sim.frames()
    counted = {int(a): n for a, n in seen["frames"].items() if n}
    delivered = {a: d["delivered"] for a, d in truth.items() if d["delivered"]}
    lab.equal(counted, delivered, f"{tag}: frames read = frames delivered, every device")
    lab.equal({hex(a): d["lost"] for a, d in truth.items() if d["lost"]}, {}, f"{tag}: nothing lost in the card")
    lab.ok(all(d["produced"] == d["delivered"] + d["left"] + d["lost"] for d in truth.values()),
           f"{tag}: produced = delivered + left + lost", truth)
    left = sum(d["left"] for d in truth.values())
    lab.ok(left * 24 <= block + 960, f"{tag}: less than one block stays in the card", f"{left} frames")
    for addr, rate in RATES.items():
        n = counted.get(addr, 0)
        lab.ok(0.97 * rate * SECONDS < n < 1.10 * rate * SECONDS, f"{tag}: device 0x{addr:03x} ran at {rate}/s",
               f"{n} frames in {SECONDS} s")
    lab.equal(seen["short_blocks"], 0, f"{tag}: no short block")
    status = lab.sim.status()
    lab.equal(status["violations"], 0, f"{tag}: no access that the card forbids")
    blocks = max(1, seen["blocks"])
    lab.note(f"{tag}: per block {status['mmio_reads'] / blocks:.2f} register reads, {status['mmio_writes'] / blocks:.2f} "
             f"writes, {status['msis'] / blocks:.2f} interrupts; ring peak {seen['peak_bytes']} bytes")


def run(lab):
    for block in (4096, 65536):
        one_block_size(lab, block)
