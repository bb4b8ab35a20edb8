# SPDX-License-Identifier: MIT
"""usb - what a megabyte of an Acquisition Board costs, by the kernel driver and through libusb, in one guest, one after the other.

One program (bench_usb.c) reads the same board by the same library; only the backend differs. The board delivers in real time. Columns, all per
megabyte: instructions of the guest's processor, whoever executed them; of these: those of interrupts, those of programs with their system
calls, in brackets those spent in user space, and those of all this that are copies by string instructions (one per byte in this emulation, far
less in a processor); the rest (idle loop), a difference that may come out a little below zero when interrupts came in the idle loop. Then interrupts of all kinds, system calls, switches of
tasks, wake-ups of the processor, and how often the reader was woken.
"""
import bench

ALL = [("kernel", 4096), ("kernel", 32768), ("usb", 4096), ("usb", 32768)]
DRIVER = "/sys/bus/usb/drivers/oni_ft600"
BYTES = 8 << 20

COLUMNS = [("backend", "backend", "s"), ("block", "block", "d"), ("insns", "insns/MB", ".0f"), ("irq_insns", "in irq", ".0f"),
           ("program_insns", "programs", ".0f"), ("user_insns", "(user)", ".0f"), ("rep_insns", "(copy)", ".0f"),
           ("rest_insns", "rest", ".0f"), ("irqs", "irqs", ".1f"),
           ("syscalls", "calls", ".1f"), ("switches", "switches", ".1f"), ("hlt", "cpu wakes", ".1f"), ("wakeups", "reader wakes", ".1f")]


def one(b, report, backend, block):
    tag = f"{backend} {block}"
    out = b.program(f"bench_usb -B {backend} -b {block} -n {BYTES}", 600)
    win = bench.window(b.marks())
    delivered = {str(a): f["delivered"] for a, f in b.sim.frames().items() if f["delivered"]}
    report.check(out["frames"] == delivered, f"{tag}: frames read = frames delivered", f"read {out['frames']}, delivered {delivered}")
    report.check(out["head"] == b.sim.status()["bytes"], f"{tag}: bytes published = bytes delivered")
    report.check(BYTES <= out["window"] < 2 * BYTES, f"{tag}: the window has its size", out["window"])
    mb = out["window"] / 1e6
    irqs = sum(c[2] for c in win["irqs"].values())
    row = {"insns": win["insns"], "irq_insns": irqs, "program_insns": win["programs"], "user_insns": win["user"], "rep_insns": win["rep"],
           "rest_insns": win["insns"] - irqs - win["programs"], "irqs": sum(c[0] for c in win["irqs"].values()), "syscalls": win["syscalls"],
           "switches": win["switches"], "hlt": win["hlt"], "wakeups": out["wakeups"]}
    return {"backend": backend, "block": block, "window": out["window"], "ns": out["ns"], **{k: v / mb for k, v in row.items()}}


def run(image, report, quick):
    rows = []
    with bench.Bench("usb", ["--board", "acq"], image) as b:
        away = False
        for backend, block in [r for r in ALL if not quick or r[1] == 32768]:
            if backend == "usb" and not away:
                # As the tools say to somebody whose board the driver has.
                b.guest.sh(f"cd {DRIVER} && for i in *:*.1; do echo $i >unbind; done; udevadm settle; [ ! -e /dev/oni0 ]")
                away = True
            rows.append(one(b, report, backend, block))
            print(f"# {backend} {block}: {rows[-1]['insns']:.0f} instructions per MB", flush=True)
        b.verdict()
    report.take(b)
    report.table("Cost per megabyte of an Acquisition Board (two RHD2164 streams, 30 kHz)", COLUMNS, rows)
