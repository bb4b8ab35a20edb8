# SPDX-License-Identifier: MIT
"""path - what one block costs on its way from the card to a program, in instructions of the guest's processor.

Four ways to read (bench_stream.c): release and parse use the mapped ring, read is read(2), ioctl is a test module that works
as general drivers do, one blocking call per block. Two paces: as fast as the card is emptied, so that a block always waits; and in real
time at a rate that leaves the processor mostly idle.

Columns: all instructions per block, whoever executed them; of these: the card's interrupt (from its entry to its iretq), the reading
program with its system calls (without interrupts that came meanwhile), in brackets how much of all this is copying by string instructions
(one per byte in this emulation, far less in a processor), the rest (idle loop, timer tick); of the rest, what the guest
executes in that time when it has nothing to do. Then interrupts, register reads and writes, context switches of the program, wake-ups of the
processor, system calls, per block.
"""
import bench

# Every frame has this size; it must not be larger than the smallest block.
LOAD_WORDS = 64
FRAME = bench.FRAME_HEADER + 16 + 2 * LOAD_WORDS
# bench_guest.h
LOOPS, COPY = 10_000_000, 1_000_000
SIZES = (256, 1024, 4096, 16384, 65536)
# Block size: bytes per second of the paced runs. A register access takes the emulation tens of microseconds, so a
# small block cannot be had often.
PACED = {256: 200_000, 4096: 4_000_000, 65536: 8_000_000}

COLUMNS = [("mode", "way", "s"), ("block", "block", "d"), ("pace", "pace", "s"), ("insns", "insns", ".0f"), ("irq_insns", "in irq", ".0f"),
           ("reader_insns", "reader", ".0f"), ("rep_insns", "(copy)", ".0f"), ("rest_insns", "rest", ".0f"),
           ("background", "idle guest", ".0f"), ("insns_mb", "insns/MB", ".3g"), ("irqs", "irqs", ".3f"),
           ("mmio_reads", "reads", ".2f"), ("mmio_writes", "writes", ".2f"), ("switches", "switches", ".4f"),
           ("idle_exits", "cpu wakes", ".3f"), ("calls", "calls", ".4f"), ("blocks", "blocks", "d")]


def calibrate(b, report):
    """The plugin and the guest's clock against a loop whose length is known."""
    out = b.program("bench_stream -m loop")
    win = bench.window(b.marks())
    ns = out["end"]["mono_ns"] - out["begin"]["mono_ns"]
    report.check(0.99 < win["user"] / (2 * LOOPS) < 1.01, "a loop of known length counts right, plugin", f"{win['user']} instructions")
    report.check(0.99 < ns / (2 * LOOPS) < 1.01, "a loop of known length counts right, guest clock", f"{ns} ns")
    report.extra["calibration"] = {"instructions": 2 * LOOPS, "plugin": win["user"], "clock_ns": ns}
    b.program("bench_stream -m copy")
    report.extra["calibration"]["rep_movsb_per_byte"] = bench.window(b.marks())["insns"] / COPY


def background(b, report):
    """Instructions per second of the guest when it has nothing to do."""
    out = b.program("bench_stream -m idle -t 2")
    win = bench.window(b.marks())
    ns = out["end"]["mono_ns"] - out["begin"]["mono_ns"]
    report.extra["background_insns_per_s"] = round(win["insns"] * 1e9 / ns)


def conserved(b, report, out, tag):
    """Every frame that the card delivered was in the data, and nothing was lost or forbidden."""
    frames = b.sim.frames()
    status = b.sim.status()
    report.check(status["frames_lost"] == 0, f"{tag}: nothing lost in the card", status["frames_lost"])
    report.check(status["violations"] == 0, f"{tag}: no access that the card forbids", b.sim.violations()[:5])
    report.check(all(d["produced"] == d["delivered"] + d["left"] + d["lost"] for d in frames.values()),
                 f"{tag}: produced = delivered + left + lost", frames)
    report.check(out["position"] % out["block_bytes"] == 0 or out["load_frames"], f"{tag}: whole blocks", out["position"])
    delivered = {a: d["delivered"] for a, d in frames.items() if d["delivered"]}
    # Without the load tester only the heartbeat sends: an empty sample.
    size = sum(n * (FRAME if a == bench.LOAD_TESTER else bench.FRAME_HEADER + 8) for a, n in delivered.items())
    report.check(0 <= out["position"] - size < FRAME or (out["load_frames"] and out["position"] == size),
                 f"{tag}: bytes read = bytes of the frames delivered", f"read {out['position']}, delivered {size}: {delivered}")
    if out["load_frames"]:
        report.check(out["load_frames"] == delivered.get(bench.LOAD_TESTER), f"{tag}: frames read = frames delivered",
                     f"read {out['load_frames']}, delivered {delivered}")


def one(b, report, mode, block, pace, blocks):
    tag = f"{mode} {block} {pace}"
    rate = PACED[block] if pace == "paced" else 150_000_000
    # Between two wake-ups lie at least 16 blocks if they come one by one, 64 if they come fast, and at most a few thousand. (With the
    # default ring of 64 MiB it would be 256 of the largest, but of the smallest so many that no window has a wake-up.)
    ring = max(256 * 1024, min(64 * block, 4 * 1024 * 1024)) if pace == "paced" else max(256 * block, 4 * 1024 * 1024)
    skip = blocks // 10
    out = b.program(f"bench_stream -m {mode} -b {block} -l {LOAD_WORDS} -f {rate // FRAME} -r {ring} -s {skip} -n {blocks}")
    win = bench.window(b.marks())
    begin, end = out["begin"], out["end"]
    ns = end["mono_ns"] - begin["mono_ns"]
    n = (out["last"] - out["first"]) / block
    stats = out["stats"]
    # The driver's own count is read nearest to the window.
    interrupts = stats["interrupts"] if stats else end["interrupts"] - begin["interrupts"]
    vector, counted = bench.card_vector(win, interrupts)
    _, cut, irq_insns, _ = win["irqs"][vector]
    report.check(n >= 0.9 * blocks, f"{tag}: as many blocks as asked for", n)
    # A block arrives whenever the emulated processor is not in a handler, so the guest's counters, which are read a little before
    # and after the window, count some more. What happens per interrupt must agree.
    report.check(abs(counted - interrupts) <= 16 + 0.1 * counted, f"{tag}: guest and plugin agree on interrupts",
                 f"guest {interrupts}, plugin {counted}")
    if stats:
        for what, ours in (("mmio_reads", win["io_reads"]), ("mmio_writes", win["io_writes"]), ("blocks", n)):
            a, b_ = stats[what] / max(1, stats["interrupts"]), ours / max(1, counted)
            report.check(abs(a - b_) <= 0.02 * b_ + 0.02, f"{tag}: driver and plugin agree on {what} per interrupt",
                         f"driver {a:.3f}, plugin {b_:.3f}")
        report.check(stats["short_blocks"] == 0, f"{tag}: no short block", stats["short_blocks"])
    report.check(not win["lost_frames"] and cut <= 0.01 * counted + 2, f"{tag}: interrupts measured whole", f"{cut} of {counted} cut")
    conserved(b, report, out, tag)
    row = {"mode": mode, "block": block, "pace": pace, "blocks": round(n), "rate": rate if pace == "paced" else None,
           "insns": win["insns"] / n, "irq_insns": irq_insns / n, "reader_insns": win["programs"] / n, "user_insns": win["user"] / n,
           "rep_insns": win["rep"] / n,
           "rest_insns": (win["insns"] - irq_insns - win["programs"]) / n, "insns_mb": win["insns"] / (n * block / 1e6), "irqs": counted / n,
           "insns_per_irq": irq_insns / max(1, counted), "mmio_reads": win["io_reads"] / n, "mmio_writes": win["io_writes"] / n,
           "syscalls_all": win["syscalls"] / n, "switches": (end["own_switches"] - begin["own_switches"]) / n,
           "idle_exits": win["hlt"] / n, "calls": out["calls"] / n,
           "elapsed_ns": ns, "background": report.extra["background_insns_per_s"] * ns / 1e9 / n, "wakeups": stats["wakeups"] / n if stats else None,
           "ring_full": stats["ring_full"] if stats else None}
    if b.options["profile"]:
        row["profile"] = {k: round(v / n, 2) for k, v in sorted(b.profile().items(), key=lambda kv: -kv[1])[:60]}
    return row


def guest(image, report, pace, plan, profile):
    """One guest for the runs of a pace. The ioctl runs come last: they need the other module."""
    sim = ["--speed", "max", "--ram", "4M"] if pace == "max" else []
    rows = []
    with bench.Bench(f"path-{pace}", sim, image, profile=profile) as b:
        if pace == "max":
            calibrate(b, report)
        background(b, report)
        loaded = "oni_riffa"
        for mode, block, blocks in sorted(plan, key=lambda p: p[0] == "ioctl"):
            if mode == "ioctl" and loaded != "oni_alt":
                b.guest.sh("rmmod oni_riffa oni && insmod /run/bench/oni_alt.ko && udevadm settle && [ -e /dev/oni_alt ]")
                loaded = "oni_alt"
            rows.append(one(b, report, mode, block, pace, blocks))
            row = rows[-1]
            print(f"# {pace} {mode} {block}: {row['insns']:.0f} instructions per block", flush=True)
        b.verdict()
    report.take(b)
    return rows


def run(image, report, quick, profile=False):
    if quick:
        plans = {"max": [("release", 256, 2000), ("release", 4096, 1500), ("release", 65536, 300), ("read", 4096, 500),
                         ("ioctl", 4096, 500)]}
    else:
        plans = {"max": [(m, s, max(300, min(8000, (8 << 20) // s))) for m in ("release", "parse", "read", "ioctl") for s in SIZES],
                 "paced": [(m, s, max(200, min(1500, 2 * PACED[s] // s))) for m in ("release", "read", "ioctl") for s in PACED]}
    rows = []
    for pace, plan in plans.items():
        rows += guest(image, report, pace, plan, profile)
    report.table("Cost per block, instructions of the guest's processor", COLUMNS, rows)
    if profile:
        for row in rows:
            print(f"\n{row['mode']} {row['block']} {row['pace']}: instructions per block by function")
            for name, n in list(row["profile"].items())[:30]:
                print(f"  {n:9.1f}  {name}")
