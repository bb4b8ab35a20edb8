# SPDX-License-Identifier: MIT
"""bench - the guest that the benchmarks measure in, the counters of both sides, tables and JSON.

The guest has one processor and runs under -icount shift=0: one nanosecond of a busy processor is one instruction, an idle one
follows the host's clock. A plugin in QEMU (insns.c) counts instructions, interrupts and register accesses exactly; the programs in the
guest mark the moments at which it writes its counters down (mark.h). Both sides must agree, or the run counts as failed.

Bench is a Lab (tests/lab): the same verdict about the kernel's log, the card's rules and the end of the guest.
Threads: those of Lab.
"""
import datetime
import json
import os
import pathlib
import platform
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "lab"))
import lab as labmod	# noqa: E402 (the path is set above)

TOP, BUILD = labmod.TOP, labmod.BUILD
OUT = BUILD / "bench"

# mark.h
MARK_SEEN, MARK_SEND, MARK_SENT, MARK_BEGIN, MARK_END = 1, 2, 3, 16, 17
LOAD_TESTER = 0x00b
# Nothing but the agent and udev runs in the guest: what runs beside the measured program costs instructions too, and a boot with systemd
# takes 10 thousand million of them. Under -icount the time stamp counter has one tick for each.
APPEND, COUNTED = "tsc=reliable ", "tsc_early_khz=1000000"
PROGRAMS = ("bench_stream", "bench_loop", "bench_usb")
FRAME_HEADER = 16


def build():
    """Everything that a benchmark needs; the tree's own parts by its own Makefile."""
    env = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MAKELEVEL")}
    log = OUT / "build.log"
    OUT.mkdir(parents=True, exist_ok=True)
    with open(log, "w", encoding="utf-8") as out:
        for words in (["-C", TOP, f"BUILD={BUILD}", "guest"], ["-C", HERE, f"O={OUT}", f"LIBDIR={BUILD}/userspace/lib"]):
            done = subprocess.run(["make", "--no-print-directory", f"-j{os.cpu_count() or 2}", *map(str, words)], env=env, stdout=out,
                                  stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, check=False)
            if done.returncode:
                raise labmod.LabError(f"the build failed: {log.read_text()[-3000:]}")


class BenchGuest(labmod.Guest):
    """options["counted"]: one processor, -icount and the plugin; otherwise the lab's two processors in real time."""

    def _arguments(self, payload_image, options):
        args = [str(a) for a in super()._arguments(payload_image, options)]
        if options["counted"]:
            args[args.index("-smp") + 1] = "1"
            args[args.index("-accel") + 1] = "tcg,thread=single,tb-size=256"
            plugin = f"{OUT}/insns.so,out={self.directory}/marks.jsonl"
            if options.get("profile"):
                plugin += f",profile={self.directory}/profile.txt"
            args += ["-icount", "shift=0,sleep=on", "-plugin", plugin]
        return args


class Bench(labmod.Lab):
    """One guest with one card; results go into a Report."""

    def __init__(self, name, sim_args, image, counted=True, profile=False):
        super().__init__(f"bench-{name}", {"sims": [["--model", "seed=1", *sim_args]], "append": APPEND + (COUNTED if counted else ""), "counted": counted,
                                           "profile": profile}, image)
        self.seen_marks = 0

    def __enter__(self):
        labmod.Guest = BenchGuest	# Lab.__enter__ makes one of whatever has this name
        super().__enter__()
        self.guest.wait_boot(300)
        for name in PROGRAMS:
            self.guest.put(f"/run/bench/{name}", (OUT / name).read_bytes(), 0o755)
        self.guest.put("/run/bench/oni_alt.ko", (OUT / "altmod/oni_alt.ko").read_bytes())
        self.guest.sh("for i in $(seq 100); do [ -e /dev/oni0 ] && exit 0; sleep 0.1; done; dmesg | tail; exit 1")
        self.note(f"booted Linux {self.guest.release} in {self.guest.boot_seconds:.0f} s")
        return self

    def program(self, command, timeout=300):
        """Run one of ours; its JSON object. The card's counters begin at 0."""
        self.sim.control("reset-counters")
        rc, out = self.guest.sh(f"/run/bench/{command}", timeout, check=False)
        if rc != 0:
            raise labmod.LabError(f"'{command}' ended with {rc}: {out.strip()[-1500:]}")
        return json.loads(out.strip().splitlines()[-1])

    def marks(self):
        """The plugin's lines since the last call."""
        lines = (self.directory / "marks.jsonl").read_text().splitlines()
        new = [json.loads(line) for line in lines[self.seen_marks:]]
        self.seen_marks = len(lines)
        return new

    def profile(self):
        """{function: instructions} of the last window."""
        path = self.directory / "profile.txt"
        symbols = []
        for line in self.guest.sh("cat /proc/kallsyms").splitlines():
            addr, kind, name, *module = line.split()
            if kind in "tT":
                symbols.append((int(addr, 16), " ".join([name, *module])))
        symbols.sort()
        counts = {}
        position = -1
        for addr, n in sorted((int(a, 16), int(n)) for a, n in (line.split() for line in path.read_text().splitlines())):
            while position + 1 < len(symbols) and symbols[position + 1][0] <= addr:
                position += 1
            name = symbols[position][1] if addr >> 63 else "(user space)"
            counts[name] = counts.get(name, 0) + n
        return counts


def window(marks):
    """The differences of the plugin's counters between the last MARK_BEGIN and the MARK_END after it."""
    begin = max(i for i, m in enumerate(marks) if m["mark"] == MARK_BEGIN)
    a = marks[begin]
    b = next(m for m in marks[begin:] if m["mark"] == MARK_END)
    out = {k: b[k] - a[k] for k in ("user", "kernel", "idle", "hlt", "switches", "rep", "syscalls", "io_reads", "io_writes", "lost_frames")}
    # count, cut, instructions, those of interrupts that came while a program ran
    out["irqs"] = {v: [n - o for n, o in zip(counts[:4], a["irqs"].get(v, [0] * 4))] for v, counts in b["irqs"].items()}
    out["insns"] = out["user"] + out["kernel"]
    irqs = sum(c[2] for c in out["irqs"].values())
    # Without the interrupts that came meanwhile.
    out["idle"] -= sum(c[2] - c[3] for c in out["irqs"].values())
    out["programs"] = out["insns"] - irqs - out["idle"]
    return out


def card_vector(win, interrupts):
    """The vector whose count is the one that the guest's kernel reports for the card."""
    vector = min(win["irqs"], key=lambda v: abs(win["irqs"][v][0] - interrupts))
    return vector, win["irqs"][vector][0]


class Report:
    """Rows of one benchmark, what it was measured on, and the checks that it did what it says."""

    def __init__(self, name, quick):
        self.name, self.quick = name, quick
        self.tables, self.checks, self.extra = [], [], {}

    def check(self, condition, what, detail=""):
        self.checks.append({"name": what, "ok": bool(condition), "detail": str(detail) if not condition else ""})
        if not condition:
            print(f"not ok - {what}: {detail}", flush=True)
        return bool(condition)

    def take(self, bench):
        """What the lab counted for a guest: its verdict."""
        for r in bench.results:
            self.checks.append({"name": f"{bench.name}: {r['name']}", "ok": r["ok"], "detail": r["detail"]})

    def table(self, title, columns, rows):
        """columns: (key, heading, format); a row without a key shows a dash."""
        self.tables.append({"title": title, "columns": [c[0] for c in columns], "rows": rows})
        cells = [[h for _, h, _ in columns]]
        for row in rows:
            cells.append(["-" if row.get(k) is None else format(row[k], f) for k, _, f in columns])
        widths = [max(len(c[i]) for c in cells) for i in range(len(columns))]
        print(f"\n{title}")
        for i, c in enumerate(cells):
            print("  " + "  ".join(t.rjust(w) if f not in ("", "s") else t.ljust(w) for t, w, (_, _, f) in zip(c, widths, columns)))
            if i == 0:
                print("  " + "  ".join("-" * w for w in widths))
        sys.stdout.flush()

    def save(self, seconds):
        def output(*command):
            done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=False)
            return done.stdout.strip().splitlines()[0] if done.returncode == 0 and done.stdout.strip() else "unknown"

        failed = [c for c in self.checks if not c["ok"]]
        OUT.mkdir(parents=True, exist_ok=True)
        data = {"benchmark": self.name, "quick": self.quick, "seconds": round(seconds, 1),
                "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
                "tree": output("git", "-C", str(TOP), "describe", "--always", "--dirty"),
                "guest_kernel": labmod.kernel.release,
                "qemu": output(*map(str, labmod.qemu_command()), "--version"), "host": f"{platform.machine()}, {os.cpu_count()} cores",
                "tables": self.tables, **self.extra, "checks": self.checks}
        (OUT / f"{self.name}.json").write_text(json.dumps(data, indent=1) + "\n")
        print(f"\n{OUT / self.name}.json; {len(self.checks) - len(failed)} checks passed, {len(failed)} failed", flush=True)
        return len(failed)


def percentile(values, p):
    """The smallest value that at least p percent of them do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * p // 100) - 1)]
