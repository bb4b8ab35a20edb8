# SPDX-License-Identifier: MIT
"""usb_conserve - every frame that the board delivered is in the ring, once, and every one that found its memory full is known to be missing.

512 channels at 30 kHz first, which shows what this machine takes; then a minute at a rate that it takes, with short and empty packets and sessions
that end in between. Nothing here depends on how fast that is: frames that are made are read, lost in a board that was full and known by their
numbers to be missing, or still in the board, and which of these is what onisim says.

verifies: R19
"""
import json
import random
import time

import _kernel
import _usb

ALL_CHIPS = [word for line in ("a1", "a2", "b1", "b2", "c1", "c2", "d1", "d2") for word in ("--model", f"chip-{line}=rhd2164")]
OPTIONS = {"sims": [[*_usb.BOARD, *ALL_CHIPS, "--ram", "64M"]], "timeout": 500, "kernels": _usb.KERNELS, "long": True, "real_time": True}

RHYTHM, HZ = 0x101, 30000
STREAMS, CHANNELS = 16, 32
TRIAL_S, SECONDS = 10, 60
FAULTS = ("usb-short {n} {seed}", "usb-zlp 3", "usb-session-end 1", "usb-short 1 {seed}")


def frame_bytes(streams):
    return 16 + 40 + 72 * streams


def annoy(sim, counting):
    """Until it is over, something every half a second: how often each was carried out."""
    rng = random.Random(1)
    while counting.rc is None:
        sim.control("fault " + rng.choice(FAULTS).format(n=rng.randrange(1, 200), seed=rng.randrange(1, 1000)))
        time.sleep(0.5)
    sim.control("fault clear")
    return {k: v for k, v in sim.status().items() if k.startswith("fault.") and k.endswith(".done")}


def count(lab, what, streams, seconds, disturb=False):
    """One acquisition, and its account; the bytes per second that got through while it ran."""
    sim = lab.sim
    sim.control("reset-counters")
    counting = lab.guest.start(f"/usr/lib/oni/lab/oni_count -n -b 32768 -r 16777216 -c {streams} -t {seconds}", seconds + 300)
    done = annoy(sim, counting) if disturb else {}
    rc = counting.wait(seconds + 300)
    out = counting.out
    if not lab.ok(rc == 0, f"{what}: every byte parses as frames", f"status {rc}: {out}"):
        return 0
    seen, truth = json.loads(out.splitlines()[-1]), sim.frames()
    rhythm, account = seen["numbered"][str(RHYTHM)], truth[RHYTHM]
    read = {int(a): n for a, n in seen["frames"].items() if n}
    lab.equal(read, {a: f["delivered"] for a, f in truth.items() if f["delivered"]}, f"{what}: frames read = frames delivered, every device")
    lab.equal(seen["bytes"], sim.status()["bytes"], f"{what}: bytes published = bytes delivered")
    lab.ok(rhythm["first"] == 0 and read[RHYTHM] + rhythm["missing"] == rhythm["last"] + 1 and rhythm["missing"] <= account["lost"],
           f"{what}: every sample to the last one was read or is known to be missing", f"{rhythm}, {account}")
    # Samples behind the last one that was read are in the board, or found it full.
    behind = account["produced"] - (rhythm["last"] + 1)
    lab.equal(account["left"] + account["lost"] - rhythm["missing"], behind, f"{what}: those behind it are still in the board, or found it full")
    _kernel.conserved(lab, what, lost=any(f["lost"] for f in truth.values()))
    if disturb:
        lab.ok(len(done) >= 3 and all(done.values()), f"{what}: the board did annoy", done)
    rate = seen["bytes"] / max(seconds, read[RHYTHM] / HZ)
    lab.note(f"{what}: {read[RHYTHM]} samples of {streams * CHANNELS} channels read, {rhythm['missing']} missing in {rhythm['gaps']} gaps, "
             f"{rate / 1e6:.1f} MB/s of {frame_bytes(streams) * HZ / 1e6:.1f}; {done}")
    return rate


def run(lab):
    _usb.wait_node(lab.guest)
    rate = count(lab, "512 channels", STREAMS, TRIAL_S)
    # Half of what got through, so that disturbances can be made up for; all of it if nothing was lost.
    fits = [n for n in range(1, STREAMS) if frame_bytes(n) * HZ < rate / 2]
    streams = STREAMS if not lab.sim.frames()[RHYTHM]["lost"] else max(fits, default=1)
    count(lab, f"{streams * CHANNELS} channels, with faults", streams, SECONDS, disturb=True)
    lab.equal(lab.sim.violations(), [], "nothing that the chip forbids")
