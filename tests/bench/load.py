# SPDX-License-Identifier: MIT
"""load - the highest rate of the load tester that reaches a program without loss on this machine, by block size.

In real time on the lab's guest with two processors and no counting of instructions. The program looks at every frame's header. The card has
8 MiB of RAM only, so that what cannot be sustained is lost within seconds and not hidden in it. The rate is doubled until
frames are lost, then bisected; the answer is the highest rate that passed a run of full length. It says more about the emulation (a register access
takes tens of microseconds, the simulator needs a processor of its own) than about the driver; compare it between two trees on one
idle machine, and with nothing else.
"""
import bench

RAM = 8 << 20
RING = 16 << 20
WATERMARK = 256 << 10
FRAME_MAX = 2048
MB = 1_000_000


def attempt(b, report, block, rate, seconds):
    """One run: its row, with "ok" if nothing was lost and the card made as much as it was asked for."""
    frame = min(block, FRAME_MAX)
    words = (frame - bench.FRAME_HEADER - 16) // 2
    hz = max(1, round(rate / frame))
    out = b.program(f"bench_stream -m parse -b {block} -l {words} -f {hz} -r {RING} -w {WATERMARK} -s 1 -t {seconds}", seconds + 60)
    status, frames = b.sim.status(), b.sim.frames()
    load = frames[bench.LOAD_TESTER]
    tag = f"{block} at {rate / MB:.1f} MB/s"
    report.check(status["violations"] == 0, f"{tag}: no access that the card forbids", b.sim.violations()[:5])
    report.check(load["delivered"] == out["load_frames"], f"{tag}: frames read = frames delivered", f"{out['load_frames']}, {load}")
    report.check(load["produced"] == load["delivered"] + load["left"] + load["lost"], f"{tag}: produced = delivered + left + lost", load)
    begin, end = out["begin"], out["end"]
    ns = end["mono_ns"] - begin["mono_ns"]
    got = (out["last"] - out["first"]) * 1e9 / ns
    return {"block": block, "asked_mb_s": hz * frame / MB, "got_mb_s": got / MB, "seconds": ns / 1e9, "lost": status["frames_lost"],
            "ok": status["frames_lost"] == 0 and got > 0.97 * hz * frame, "cpu": 1 - (end["idle_ns"] - begin["idle_ns"]) / (2 * ns),
            "blocks_s": got / block, "card_ram_peak": status["ram_peak_bytes"] / 1024, "ring_peak": out["peak_bytes"] / 1024,
            "irqs_per_block": out["stats"]["interrupts"] / max(1, out["stats"]["blocks"])}


def search(b, report, block, step, final, rounds):
    """The highest rate that passes: doubling, bisection, and a run of full length that goes down until it passes."""
    tried, low, high = [], 0, None
    rate = 1 * MB

    def passes(rate):
        """The machine may have been busy with something else for a moment: a failure is believed the second time."""
        for _ in range(2):
            tried.append(attempt(b, report, block, rate, step))
            if tried[-1]["ok"]:
                return True
        return False

    while high is None and rate < 2000 * MB:
        low, high, rate = (rate, None, 2 * rate) if passes(rate) else (low, rate, rate)
    for _ in range(rounds):
        middle = (low + (high or 2 * low)) / 2
        low, high = (middle, high) if passes(middle) else (low, middle)
    rate = low
    while rate > 0.1 * MB:
        row = attempt(b, report, block, rate, final)
        tried.append(row)
        if row["ok"]:
            break
        rate *= 0.85
    report.check(tried[-1]["ok"], f"{block}: some rate is sustained", tried[-1])
    return tried[-1], tried


def run(image, report, quick):
    blocks, step, final, rounds = ((4096,), 1, 2, 2) if quick else ((1024, 4096, 16384, 65536), 2, 10, 4)
    rows = []
    with bench.Bench("load", ["--ram", str(RAM)], image, counted=False) as b:
        for block in blocks:
            row, tried = search(b, report, block, step, final, rounds)
            rows.append(row)
            report.extra.setdefault("tried", []).extend(tried)
            print(f"# {block}: {row['got_mb_s']:.1f} MB/s", flush=True)
        b.verdict()
    report.take(b)
    report.table("Highest rate without loss, real time", [("block", "block", "d"), ("got_mb_s", "MB/s", ".1f"), ("blocks_s", "blocks/s", ".0f"),
                 ("cpu", "cpu of both", ".0%"), ("irqs_per_block", "irqs/block", ".2f"), ("card_ram_peak", "card RAM peak KiB", ".0f"),
                 ("ring_peak", "ring peak KiB", ".0f"), ("seconds", "seconds", ".1f")], rows)
