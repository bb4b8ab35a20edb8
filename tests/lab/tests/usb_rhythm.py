# SPDX-License-Identifier: MIT
"""usb_rhythm - onictl rhythm finds the chips of an Acquisition Board and sets rate, bandwidth and fast settle; onirec records them sample by sample.

All of it goes through the guard of the driver. What was set is what the simulated board and its chips say that they hold.
"""
import json

import _kernel
import _usb

CHIPS = {"a1": "rhd2164", "a2": "rhd2132", "b1": "none", "c2": "rhd2216", "d1": "rhd2132"}
CABLES = {"a": 6, "b": 5, "c": 11, "d": 3}
MODEL = [f"chip-{line}={kind}" for line, kind in CHIPS.items()] + [f"cable-{port}={delay}" for port, delay in CABLES.items()] + ["source=0-511=ramp"]
OPTIONS = {"sims": [[*_usb.BOARD, *(a for word in MODEL for a in ("--model", word))]], "data": "500M", "timeout": 500}

FOUND = ["A1", "A1+", "A2", "C2", "D1"]
STREAMS = ["A1", "A1+", "A2"]
SOURCES = "0-63,64-95"	# what the simulator calls their channels: 64 for each line
SECONDS = 10
RHYTHM, HUB = 0x101, 0x1fe


def js(lab, command):
    return json.loads(lab.guest.sh(f"onictl --json {command} 2>/dev/null", 120))


def refused(lab, command, what, text="refuses the register for safety", status=1):
    rc, out = lab.guest.sh(f"onictl {command}", check=False)
    lab.ok(rc == status and text in out, what, f"status {rc}: {out}")


def register(lab, number):
    return lab.sim.status()[f"model.rhythm.reg.{number}"]


def chips(lab):
    """{line: [registers 0-21]} as the chips hold them."""
    prefix = "model.rhythm.chip."
    return {key[len(prefix):]: list(bytes.fromhex(value[2:])) for key, value in lab.sim.status().items() if key.startswith(prefix)}


def look(lab):
    info = js(lab, "info")
    lab.equal((info["port_power"], info["write_frames"]), (False, True), "the board has no port power, and takes write frames")
    lab.ok("port power" not in lab.guest.sh("onictl info; onictl list"), "nor do info and list say so")
    lab.match(r"oni0 .* 2\.0\.0 ", lab.guest.sh("onictl list"), "list has the firmware with its three numbers")
    lab.match(r"^  firmware +2\.0\.0$", lab.guest.sh("onictl info"), "so does info")
    lab.equal(js(lab, "rhythm"), {"rate_hz": 30000.0, "delays": [0, 0, 0, 0], "streams": []}, "status at power-on")


def scan(lab):
    rc, out = lab.guest.sh("onictl rhythm scan 2>&1", 180, check=False)
    lab.equal(rc, 0, "scan ends well")
    for line, chip in CHIPS.items():
        if chip != "none":
            lab.match(rf"^{line.upper()}: {chip.upper()}, \d+ channels", out, f"scan finds the {chip} on {line}")
    lab.ok(not any(f"{line}: " in out for line in ("B1", "B2", "C1", "D2")), "and nothing where nothing is", out)
    status = js(lab, "rhythm status")
    lab.equal(status["streams"], FOUND, "every line with a chip is a stream, both halves of an rhd2164")
    delays = [register(lab, 3) >> 4 * n & 15 for n in range(4)]
    lab.equal((delays[0], delays[2], delays[3]), (CABLES["a"], CABLES["c"], CABLES["d"]), "the board has the right delay of each cable")
    lab.equal(status["delays"], delays, "and status tells what it has")
    lab.equal((register(lab, 15), register(lab, 13)), (0x1f, 0x65180), "the board has the streams")
    lab.equal({line: regs[5:8] for line, regs in chips(lab).items()}, {line: [0, 0, 0] for line in ("a1", "a2", "c2", "d1")},
              "no impedance test is on")


def rate(lab):
    for hz, wanted, hub_hz in (("1000", 1000, 2800000), ("20000", 20000, 56000000), ("3333", 10000 / 3, 9333333), ("30000", 30000, 84000000)):
        lab.ok(abs(js(lab, f"rhythm rate {hz}")["rate_hz"] - wanted) < 0.01, f"rate {hz}")
        lab.equal(lab.sim.status()["model.rhythm.hub_hz"], hub_hz, f"the clock of the board: {hub_hz} Hz")
    refused(lab, "rhythm rate 12345", "a rate that the board does not have", "has no rate", 2)
    refused(lab, f"reg write {HUB:#x} 0x2000 0x7d", "a divider that no rate has is refused by the driver")


def bandwidth(lab):
    """Settings of 250 Hz to 5 kHz, and what the data sheet says for 30 kHz."""
    js(lab, "rhythm bandwidth 250 5000 --dsp=1")
    want = [0xde, 0x42, 4, 2, 0x9c, 0, 0, 0, 33, 0x80, 37, 0x80, 17, 0x80] + 8 * [0xff]
    lab.equal(chips(lab), {line: want for line in ("a1", "a2", "c2", "d1")}, "every chip has the bandwidth, register by register")
    js(lab, "rhythm bandwidth 0.1 7500")
    lab.equal({line: regs[4:14] for line, regs in chips(lab).items()},
              {line: [0x80, 0, 0, 0, 22, 0x80, 23, 0x80, 16, 0x80 | 60 | 0x40] for line in ("a1", "a2", "c2", "d1")},
              "and another one, without offset filter")
    for how, value in (("on", 0xfe), ("off", 0xde)):
        lab.equal(js(lab, f"rhythm settle {how}"), {"settle": how == "on"}, f"settle {how}")
        lab.equal({line: regs[0] for line, regs in chips(lab).items()}, {line: value for line in ("a1", "a2", "c2", "d1")},
                  f"every chip: settle {how}")


def guarded(lab):
    """What could put out current or drive a pin does not get into the memory of commands."""
    before = chips(lab)
    for command, what in ((0x8501, "impedance test on"), (0x8680, "impedance test DAC"), (0x8701, "impedance test channel"),
                          (0x8300, "digital output of a chip"), (0x9600, "a register that no chip has"),
                          (0x4000, "a command that no data sheet has"), (0x18500, "more than a command")):
        refused(lab, f"reg write {RHYTHM:#x} 0x4000 {command:#x}", f"{what}: refused")
    for reg, value in ((17, 0x10), (21, 1), (23, 0x400), (31, 0), (39, 0), (1, 0x8)):
        refused(lab, f"reg write {RHYTHM:#x} {reg} {value:#x}", f"register {reg}: refused")
    lab.guest.sh(f"onictl reg write {RHYTHM:#x} 16 0x13 && onictl reg write {RHYTHM:#x} 16 0")
    lab.equal(chips(lab), before, "no chip has heard of it")


def record(lab):
    lab.guest.put("/tmp/onirec.conf", f"[rhythm]\nstreams = {' '.join(STREAMS).lower()}\n")
    rc, out = lab.guest.sh(f"onirec -c /tmp/onirec.conf -o /var/lib/oni --name rhythm -t {SECONDS} --json 2>/tmp/err", SECONDS * 12 + 60, check=False)
    lab.equal(rc, 0, "onirec ends well: " + lab.guest.sh("tail -2 /tmp/err").strip())
    summary = json.loads(out)
    lab.ok(summary["seconds"] >= SECONDS, f"{SECONDS} s of acquisition clock", summary["seconds"])
    lab.equal(sum(d["lost"] for d in summary["devices"]), 0, "no frame was lost")
    rhythm = [d for d in summary["devices"] if d["addr"] == RHYTHM]
    lab.equal(summary["stream"]["block_bytes"], 32768, "at this rate a block is the largest that the board can")
    lab.ok(rhythm and rhythm[0]["frames"] >= SECONDS * 30000, "30000 samples a second", rhythm)
    lab.note(f"{summary['stream']} {summary['card']}")
    rc, out = lab.guest.sh("onirec -c none -o /tmp --block 64K -t 1 2>&1", check=False)
    lab.ok(rc == 1 and "a multiple of 1024 from 1024 to 32768" in out, "a block that the board cannot do: the error says what it can",
           f"status {rc}: {out}")


def run(lab):
    _usb.wait_node(lab.guest)
    look(lab)
    scan(lab)
    rate(lab)
    bandwidth(lab)
    guarded(lab)
    record(lab)
    _kernel.conserved(lab, "at the end")


def after(lab):
    session = lab.data / "rhythm"
    lab.check("frames produced = delivered = recorded for every device, nothing lost", "check_frames.py", session, lab.sim.truth_path)
    lab.check(f"every sample of {' '.join(STREAMS)} is bit-exact on disk", "check_ramp.py", session, "--channels", SOURCES)
    lab.check("Neo opens it", "check_neo.py", session, "--channels", 96, "--min-seconds", SECONDS - 0.1)
