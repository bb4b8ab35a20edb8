# SPDX-License-Identifier: MIT
"""loop - the closed loop in instructions and in the guest's microseconds: how soon a program sees a block, how soon its answer leaves.

Legs of one event, in instructions: from the entry of the card's interrupt that published the block to the program's first look at the new
head; from the call of write(2) to the register write that makes the card fetch the frame; from the call to its return. In guest
microseconds: from the block's descriptor (mono_ns) to the program's clock when it looked; and the whole, to the return of write(2).
In the card's time: from the frame's hub clock to the arrival of the answer, as the load tester reports it. That one is real time and holds
all of the emulation's delays.
"""
import bench

FIELDS = [("irq_to_seen_insns", "interrupt to visible", "insns", ".0f"), ("write_to_doorbell_insns", "write(2) to card", "insns", ".0f"),
          ("write_insns", "write(2) whole call", "insns", ".0f"), ("irq_to_seen_us", "block's time to visible", "guest us", ".1f"),
          ("irq_to_sent_us", "block's time to answered", "guest us", ".1f"), ("card_us", "frame to answer, card's clock", "real us", ".0f")]
CLOCKS_PER_US = 250
# Slow enough for the emulation to be idle between two blocks on a busy machine.
HZ = 100


def legs(b, report, out, tag):
    """{leg: [values]} of the events, from the program's and the plugin's lines."""
    marks = b.marks()
    begin = max(i for i, m in enumerate(marks) if m["mark"] == bench.MARK_BEGIN)
    marks = marks[begin:]
    win = bench.window(marks)
    events = out["events"]
    vector, counted = bench.card_vector(win, out["interrupts"])
    report.check(abs(counted - out["interrupts"]) <= 4 + 0.01 * counted, f"{tag}: guest and plugin agree on interrupts",
                 f"guest {out['interrupts']}, plugin {counted}: {win['irqs']}")
    values = {k: [] for k, *_ in FIELDS}
    seen = [m for m in marks if m["mark"] == bench.MARK_SEEN]
    send = [m for m in marks if m["mark"] == bench.MARK_SEND]
    sent = [m for m in marks if m["mark"] == bench.MARK_SENT]
    report.check(len(seen) == len(send) == len(sent) == len(events), f"{tag}: a line of the plugin for every mark",
                 f"{len(seen)}, {len(send)}, {len(sent)}, {len(events)}")

    def insns(m):
        return m["user"] + m["kernel"]

    # A block that came before the answer to the last one had been sent was not waited for; it says nothing about this leg.
    waited, before = 0, insns(marks[0])
    for a, s, t, (irq_ns, seen_ns, sent_ns, blocks, clocks) in zip(seen, send, sent, events):
        if a["irqs"][vector][4] > before and blocks == 1:
            waited += 1
            values["irq_to_seen_insns"].append(insns(a) - a["irqs"][vector][4])
            values["irq_to_seen_us"].append((seen_ns - irq_ns) / 1000)
            values["irq_to_sent_us"].append((sent_ns - irq_ns) / 1000)
        before = insns(t)
        values["write_to_doorbell_insns"].append(t["doorbell"] - insns(s))
        values["write_insns"].append(insns(t) - insns(s))
        values["card_us"].append(clocks / CLOCKS_PER_US)
    report.check(all(0 < d <= w for d, w in zip(values["write_to_doorbell_insns"], values["write_insns"])),
                 f"{tag}: every write(2) reached the card before it returned", min(values["write_to_doorbell_insns"]))
    report.check(waited >= 0.25 * len(events), f"{tag}: enough blocks were waited for", f"{waited} of {len(events)}")
    return values


def one(b, report, mode, block, hz, n):
    tag = f"{mode} {block}"
    out = b.program(f"bench_loop -m {mode} -b {block} -f {hz} -n {n} -L 1")
    status, frames = b.sim.status(), b.sim.frames()
    report.check(status["frames_lost"] == 0 and status["violations"] == 0, f"{tag}: nothing lost, nothing forbidden",
                 f"lost {status['frames_lost']}, {b.sim.violations()[:5]}")
    report.check(frames[bench.LOAD_TESTER]["delivered"] == out["load_frames"], f"{tag}: frames read = frames delivered",
                 f"{out['load_frames']}, {frames[bench.LOAD_TESTER]}")
    report.check(status["write_frames"] == out["sent"], f"{tag}: answers sent = answers the card got", f"{out['sent']}, {status['write_frames']}")
    rows = []
    for key, values in legs(b, report, out, tag).items():
        _, name, unit, _ = next(f for f in FIELDS if f[0] == key)
        rows.append({"wait": mode, "block": block, "events": len(values), "leg": name, "unit": unit, "p50": bench.percentile(values, 50),
                     "p99": bench.percentile(values, 99), "max": max(values)})
    return rows


def run(image, report, quick):
    n = 200 if quick else 2000
    rows = []
    with bench.Bench("loop", [], image) as b:
        for mode in ("epoll", "spin"):
            rows += one(b, report, mode, 256, HZ, n)
            print(f"# {mode}: done", flush=True)
        b.verdict()
    report.take(b)
    report.table("Closed loop, one block per event", [("wait", "wait", "s"), ("block", "block", "d"), ("leg", "leg", "s"), ("unit", "unit", "s"),
                 ("p50", "p50", ".0f"), ("p99", "p99", ".0f"), ("max", "max", ".0f"), ("events", "events", "d")], rows)
