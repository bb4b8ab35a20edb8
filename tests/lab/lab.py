# SPDX-License-Identifier: MIT
"""lab - a simulated card, a guest that sees it, and the verdict about both.

Sim is a running onisim, Guest a running QEMU with the agent's port, QMP and console; Lab puts them together for one
scenario, counts results in TAP form and applies the rules that hold for every scenario: nothing bad on
the console, no access the card forbids, the success token, a clean power-off, all in time.

Files of a scenario are in build/lab/NAME/ (NAME@KERNEL/ on another kernel than the guest's own): console.log, qemu.log, onisim.log, truth.jsonl, dmesg.log, guest.log
(every command and its output), results.json, data/ (the data disk read back).

Threads: one reader thread per Guest for the agent's port and one per Qmp for its socket only append to queues; one per Guest serves what
test programs in the guest ask for (hot-plug, requests to onisim) while the caller waits. Everything else is the caller's.
"""
import base64
import contextlib
import ctypes
import fcntl
import functools
import itertools
import json
import os
import pathlib
import platform
import queue
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
TOP = HERE.parent.parent
BUILD = pathlib.Path(os.environ.get("BUILD", TOP / "build")).resolve()

# What the kernel never says when all is well. Whole words, because "Installed" and "Leaky" are harmless.
BAD = re.compile(r"BUG:|WARNING:|\bOops\b|KASAN|KCSAN|UBSAN|possible .* detected|DMA-API|ODEBUG|\bstall(s|ed)?\b|\bhung\b|blocked for more than"
                 r"|\bleak(s|ed)?\b|kmemleak: (?!Kernel memory leak detector)|unreferenced object|Kernel panic|general protection|refcount_t|Call Trace"
                 r"|BUG kmalloc|corrupted|lockup|inconsistent lock state|circular locking|INFO: task|Invalid wait context|invalid context"
                 r"|suspicious RCU|Unknown symbol|disagrees about version"
                 # These have nothing else that is bad but a call trace.
                 r"|page allocation failure|invoked oom-killer|nobody cared|INFO: trying to register|cannot create duplicate filename"
                 r"|tried to init an initialized object|don't try to register things with the same name")
# Each entry is a line of the kernel or of the emulation that means no harm, with the reason.
ALLOWED = [
    re.compile(pattern) for pattern in (
        # Checkers of a debug kernel that say they are there.
        r"kmemleak: Kernel memory leak detector initialized", r"DMA-API: preallocated \d+ debug entries$", r"DMA-API: debugging enabled by kernel config$",
    )
]

# Whole reports about the kernel's own code, none of which may have a line of our modules. Lockdep says nothing more after its first
# report, so what does not unplug cards is the better test of locks.
KNOWN_REPORTS = [
    # pciehp of 6.1 takes reset_lock inside pci_rescan_remove_lock and the other way round when a slot is emptied.
    re.compile(r"^.*WARNING: possible circular locking dependency detected\n(?:.*\n){2,4}?.*is trying to acquire lock:\n"
               r".*\(&ctrl->reset_lock\).*pciehp_unconfigure_device.*\n(?:(?!.*\[oni).*\n)*?.*</TASK>$", re.M),
]
REPORT_HEAD = re.compile(r"BUG:|WARNING:|KASAN:|UBSAN:|ODEBUG:|DMA-API:|kmemleak: \d|refcount_t:|general protection|Kernel panic|vmalloc error:|INFO: task|rcu: INFO")
MARK = "> "	# of a bad line among its neighbours
KMEMLEAK = "/sys/kernel/debug/kmemleak"
DEFAULT_SIM = ["--model", "seed=1"]

# Where slots and the USB controller are on the first bus, for scenarios that describe them to the guest.
SLOT_ADDRESS, XHCI_ADDRESS = 0x10, 0x18

BOARD_LABELS = {"gpio": "/pl061@9030000"}
GPIO_REGISTERS = 0x9030000	# PL061: data from 0 to 0x3ff, bits 2 to 9 of the address are a mask; direction at 0x400

# An argument of the guest's kernel: no systemd, see guest/small-init.
SMALL_INIT = "init=/usr/lib/oni-lab/small-init "

# A guest that uses less of a processor than this in such a time, before its kernel has started a process, stands still.
STILL_USED, STILL_SECONDS = 0.5, 15
# The kernels that a guest can run instead of its own, and how much slower than that one they are under emulation: every time-out
# is multiplied by it (see patient).
SLOWNESS = {"debug-6.1": 4, "debug-6.12": 4, "debug-7.3": 4, "stock-6.12": 1, "stock-7.3": 1, "rt-6.1": 2, "arm64-6.1": 1}
# Of these, those on a machine of their own, with a device tree and a root without our tools: only scenarios that name them run there.
MACHINES = {"arm64-6.1": "aarch64"}


def end_with_parent(sig):
    """For Popen's preexec_fn: have the kernel send SIG to the child when its parent ends, however that ends."""
    libc = ctypes.CDLL(None)
    return lambda: libc.prctl(1, int(sig))	# PR_SET_PDEATHSIG


class LabError(Exception):
    """The scenario cannot go on: the guest died, a time-out, a card that does not answer."""


def image(name):
    done = subprocess.run([HERE / "images", name], stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise LabError(f"no {name} image; see above")
    return pathlib.Path(done.stdout.strip())


def qemu_command(program="qemu-system-x86_64"):
    """QEMU of the Debian 13 root, run by that root's own dynamic loader: needs no chroot and no mounts."""
    root = image("qemu") / "root"
    libs = root / "usr/lib/x86_64-linux-gnu"
    return [root / "usr/lib64/ld-linux-x86-64.so.2", "--library-path", libs,
            root / "usr/bin" / program, "-L", root / "usr/share/seabios", "-L", root / "usr/share/qemu"]


@contextlib.contextmanager
def kbuild_tree():
    """A copy of the driver's sources where the compilers and header tools of Debian 13 can build them: (its directory, function
    that gives the command for a header package and further words of make). A chroot with /proc, which objtool of 7.3 reads, in a
    mount namespace of its own: ends with the command, needs root."""
    root = image("kbuild") / "root"
    with tempfile.TemporaryDirectory(prefix="oni-", dir=root / "tmp") as tmp:
        tree = pathlib.Path(tmp) / "driver"
        shutil.copytree(TOP / "driver", tree)
        enter = ["unshare", "--mount", "sh", "-c", 'mount -t proc proc "$1/proc" && exec chroot "$@"', "sh", str(root)]
        yield tree, lambda headers, *words: [*enter, "make", "--no-print-directory", f"-j{os.cpu_count() or 2}", "-C", headers,
                                             f"M=/{tree.relative_to(root)}", "W=1", *words, "modules"]


@functools.lru_cache(maxsize=None)
def tsc_khz():
    """Of this machine: see tsc.c."""
    source, program = HERE / "tsc.c", BUILD / "lab" / "tsc"
    if not program.exists() or program.stat().st_mtime < source.stat().st_mtime:
        program.parent.mkdir(parents=True, exist_ok=True)
        fresh = program.with_suffix(f".{os.getpid()}")
        subprocess.run(["cc", "-std=gnu11", "-Wall", "-Wextra", "-Werror", "-O1", "-o", fresh, source], check=True)
        fresh.rename(program)
    return int(subprocess.run([program], stdout=subprocess.PIPE, text=True, check=True).stdout)


class Kernel:
    """What the guests of this process boot: the kernel of their own image, or the one with this name."""

    def __init__(self, name=None):
        if name and name not in SLOWNESS:
            raise LabError(f"no kernel {name}; there are: {' '.join(SLOWNESS)}")
        self.name, self.slowness = name, SLOWNESS.get(name, 1)
        self.suffix = f"@{name}" if name else ""	# of everything that is kept per kernel
        self.machine = MACHINES.get(name, "x86_64")
        debug = bool(name) and name.startswith("debug-")
        # The clock of the emulator is good, and looking for a better one takes long.
        self.append = "tsc=reliable no_timer_check watchdog_thresh=60 workqueue.watchdog_thresh=120 " if debug else ""
        # It takes minutes on a kernel that watches itself, and the root of other machines has none.
        self.systemd = not debug and self.machine == "x86_64"

    @property
    def directory(self):
        return self.root if self.machine != "x86_64" else image(self.name or "guest")

    @property
    def root(self):
        """The image with the root that its guests have."""
        return image("guest" if self.machine == "x86_64" else "guest-arm64")

    def machine_arguments(self, memory, dtb=None, dump=None):
        """QEMU's words for the board: processors, memory, and what else differs from machine to machine."""
        ram = ["-smp", "2", "-m", memory, "-object", f"memory-backend-memfd,id=mem,size={memory},share=on"]
        if self.machine == "x86_64":
            # Native PCIe hot-plug, as on real slots, instead of ACPI's.
            return ["-machine", "q35,memory-backend=mem,hpet=off,sata=off,i8042=off", "-cpu", "max,svm=off", *ram,
                    "-global", "ICH9-LPC.acpi-pci-hotplug-with-bridge-support=off"]
        board = "virt,gic-version=3,memory-backend=mem" + (f",dumpdtb={dump}" if dump else "")
        return ["-machine", board, "-cpu", "cortex-a72", *ram, *(["-dtb", dtb] if dtb else [])]

    @property
    def release(self):
        return (self.directory / "kver").read_text().strip()

    @property
    def modules(self):
        """Where our modules for it are built."""
        return BUILD / f"mod-{self.release}"

    def boot_files(self, run_dir):
        """(kernel, initrd): over the guest's initrd goes what this kernel wants to have loaded first."""
        initrd = self.root / "initrd.img"
        if self.name and self.machine == "x86_64":
            joined = run_dir / "initrd.img"
            joined.write_bytes(initrd.read_bytes() + (self.directory / "initrd.img").read_bytes())
            initrd = joined
        return self.directory / "vmlinuz", initrd

    def build_modules(self):
        """Our modules for it; those for the guest's own kernel are built by 'make guest'."""
        headers = self.directory / "headers"
        with open(BUILD / f"mod{self.suffix}.log", "w+", encoding="utf-8") as log:
            if headers.exists():
                with kbuild_tree() as (tree, make):
                    done = subprocess.run(make(headers.read_text().strip()), stdout=log, stderr=subprocess.STDOUT, check=False)
                    self.modules.mkdir(parents=True, exist_ok=True)
                    for ko in tree.glob("*.ko"):
                        shutil.copy(ko, self.modules)
            else:
                build, words, env = self.directory / "build", [], dict(os.environ, BUILD=str(BUILD))
                if self.machine == "aarch64":
                    cross = image("arm64-6.1")
                    build, words = cross / "build", ["ARCH=arm64", "CROSS_COMPILE=aarch64-linux-gnu-"]
                    env |= {"PATH": f"{cross}/usr/bin:{os.environ['PATH']}", "LD_LIBRARY_PATH": f"{cross}/usr/lib/x86_64-linux-gnu"}
                command = ["make", "--no-print-directory", f"-j{os.cpu_count() or 2}", "-C", TOP, "modules", f"KDIR={build}", *words]
                env.pop("MAKEFLAGS", None)
                done = subprocess.run([str(c) for c in command], stdout=log, stderr=subprocess.STDOUT, env=env, check=False)
            if done.returncode:
                log.seek(0)
                raise LabError(f"the modules do not build for {self.name}: {log.read()[-3000:]}")

    def payload(self, rebuild=True):
        """The payload disk of this build, rebuilt (and the modules, if the kernel is not the guest's own) unless told that it is fresh."""
        path = BUILD / "lab" / f"payload{self.suffix}.img"
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path.with_suffix(".lock"), "w", encoding="utf-8") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if rebuild or not path.exists():
                if self.name:
                    self.build_modules()
                # What was built for this machine is of no use on another one: there the modules are all.
                build = BUILD if self.machine == "x86_64" else BUILD / self.machine
                done = subprocess.run([HERE / "payload", path, self.directory, self.modules], env=dict(os.environ, BUILD=str(build)), check=False)
                if done.returncode:
                    raise LabError("building the payload disk failed; see above")
        return path


kernel = Kernel()


def use_kernel(name):
    """Choose the kernel for this process; before anything else."""
    global kernel	# one process runs one scenario on one kernel
    kernel = Kernel(name)


def patient(seconds):
    """A time-out that was chosen for the guest's own kernel, for the one in use."""
    return seconds * kernel.slowness


def threads(pid):
    """What each thread of a process is doing, and how long it has run: a machine that stands still looks unlike one that is slow."""
    out = []
    for task in sorted(pathlib.Path(f"/proc/{pid}/task").glob("*"), key=lambda t: int(t.name)):
        with contextlib.suppress(OSError):
            name, fields = (task / "stat").read_text().split("(", 1)[1].rsplit(")", 1)
            state, ticks = fields.split()[0], sum(map(int, fields.split()[11:13]))
            out.append(f"{name} {state} {ticks / os.sysconf('SC_CLK_TCK'):.1f} s {(task / 'wchan').read_text()}".rstrip(" 0"))
    return ", ".join(out) or "gone"


def processor_seconds(pid):
    """What a process has used; 0 if there is none."""
    with contextlib.suppress(OSError):
        return sum(map(int, pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[11:13])) / os.sysconf("SC_CLK_TCK")
    return 0


def user_space_began(console):
    """Whether the console of a guest has anything but lines of its kernel."""
    return bool(re.search(r"^(?!\[ *\d+\.\d+\]).*\S", console.replace("\r", ""), re.M))


def wait_for(what, seconds, condition):
    seconds = patient(seconds)
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise LabError(f"{what}: nothing after {seconds} s")
        time.sleep(0.05)


class Sim:
    """One simulated card, or USB board: an onisim process."""

    def __init__(self, args, directory, run_dir, name="onisim"):
        self.usb = "acq" in args
        self.socket = run_dir / f"{name}.card"
        self.control_path = run_dir / f"{name}.ctl"
        self.truth_path = directory / (name.replace("onisim", "truth") + ".jsonl")
        self.log_path = directory / f"{name}.log"
        self.out_path = directory / f"{name}.out"
        self.truth_path.unlink(missing_ok=True)
        binary = os.environ.get("ONISIM", str(BUILD / "sim/onisim"))
        if not os.access(binary, os.X_OK):
            raise LabError(f"{binary} is missing: build it with 'make sim'")
        # An interrupt must be served within this wall time; an emulated processor on a shared machine may not run at all for more
        # than the second that the simulator gives by default.
        patience = [] if self.usb else ["--vector-timeout", str(patient(5000))]
        with open(self.out_path, "w", encoding="utf-8") as out:
            self.process = subprocess.Popen([binary, "--usbredir" if self.usb else "--socket", self.socket, "--control", self.control_path,
                                             "--truth", self.truth_path, "--log", self.log_path, *patience, *args],
                                            stdout=out, stderr=subprocess.STDOUT, cwd=directory,
                                            preexec_fn=end_with_parent(signal.SIGTERM))
        self.returncode = None
        wait_for(f"{name} (see {self.out_path})", 30, self._listening)

    def _listening(self):
        if self.process.poll() is not None:
            raise LabError(f"onisim ended with status {self.process.returncode}: {self.out_path.read_text().strip()}")
        return self.socket.exists() and self.control_path.exists()

    def control(self, command, timeout=10):
        """One request; its answer lines without the closing ok. err raises."""
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(timeout)
            s.connect(str(self.control_path))
            s.sendall(command.encode() + b"\n")
            lines = []
            for line in s.makefile():
                line = line.rstrip("\n")
                if line == "ok":
                    return lines
                if line.startswith("err"):
                    raise LabError(f"onisim: {command}: {line}")
                lines.append(line)
        raise LabError(f"onisim: {command}: connection closed")

    def status(self):
        """All counters by name."""
        out = {}
        for line in self.control("status"):
            key, _, value = line.partition(" ")
            out[key] = int(value) if re.fullmatch(r"-?\d+", value) else value
        return out

    def frames(self):
        """{address: {produced, delivered, left, lost}} since power-on or reset-counters."""
        out = {}
        for key, value in self.status().items():
            m = re.fullmatch(r"frames\.0x([0-9a-fA-F]+)\.(\w+)", key)
            if m:
                out.setdefault(int(m.group(1), 16), {})[m.group(2)] = value
        return out

    def violations(self):
        return self.control("violations")

    def stim(self):
        """What each electrode got so far: one account per electrode."""
        return [json.loads(line) for line in self.control("stim")]

    def stim_log(self, first=0):
        """Every current that was delivered, from number FIRST on; charge in aC, time in ns of this machine's monotonic clock."""
        return [json.loads(line) for line in self.control(f"stim-log {first}", 60)]

    def truth(self):
        """The runs of the truth file, in order."""
        self.control("truth") if self.returncode is None else None
        if not self.truth_path.exists():
            return []
        return [json.loads(line) for line in self.truth_path.read_text().splitlines() if line.strip()]

    def stop(self):
        """SIGTERM; the exit status (0: no violation, 3: violations)."""
        if self.returncode is None:
            if self.process.poll() is None:
                self.process.terminate()
                try:
                    self.process.wait(20)
                except subprocess.TimeoutExpired:
                    self.process.kill()
                    self.process.wait()
            self.returncode = self.process.returncode
        return self.returncode


class Qmp:
    def __init__(self, path, timeout=60):
        self.sock = socket.socket(socket.AF_UNIX)
        wait_for("QMP socket", timeout, self._connect_to(path))
        self.answers, self.events = queue.Queue(), []
        self.lock = threading.Lock()	# one request and its answer at a time
        self.stream = self.sock.makefile("r")
        threading.Thread(target=self._read, daemon=True).start()
        self.execute("qmp_capabilities")

    def _connect_to(self, path):
        def attempt():
            try:
                self.sock.connect(str(path))
                return True
            except OSError:
                return False
        return attempt

    def _read(self):
        with contextlib.suppress(ConnectionResetError):	# how QEMU ends when it was told to quit
            for line in self.stream:
                msg = json.loads(line)
                if "event" in msg:
                    self.events.append(msg)
                elif "return" in msg or "error" in msg:
                    self.answers.put(msg)

    def execute(self, command, arguments=None, timeout=30):
        with self.lock:
            self.sock.sendall((json.dumps({"execute": command, "arguments": arguments or {}}) + "\n").encode())
            try:
                answer = self.answers.get(timeout=patient(timeout))
            except queue.Empty:
                raise LabError(f"QMP {command}: no answer") from None
        if "error" in answer:
            raise LabError(f"QMP {command}: {answer['error']['desc']}")
        return answer["return"]

    def wait_event(self, name, since, timeout=30, **data):
        """Wait for an event that is not among the first SINCE ones (len(qmp.events) taken before its cause)."""
        def seen():
            return any(e["event"] == name and all(e.get("data", {}).get(k) == v for k, v in data.items())
                       for e in self.events[since:])
        wait_for(f"QMP event {name}", timeout, seen)


class StandsStill(LabError):
    """An emulator that does nothing, before a first process ran: whatever is under test has not begun."""


class Command:
    """A command running in the guest."""

    def __init__(self, guest, ident, text):
        self.guest, self.ident, self.text = guest, ident, text
        self.out, self.rc = "", None
        self.changed = threading.Condition()

    def take(self, msg):
        with self.changed:
            self.out += msg.get("out", "")
            if "rc" in msg:
                self.rc = msg["rc"]
                self.data = msg.get("data")
            self.changed.notify_all()

    def _wait(self, what, condition, timeout):
        timeout = patient(timeout)
        end = time.monotonic() + timeout
        with self.changed:
            while not condition():
                if self.guest.dead:
                    raise LabError(f"the guest ended during '{self.text}': {self.guest.dead}")
                if time.monotonic() > end:
                    raise LabError(f"'{self.text}': {what} not seen within {timeout} s")
                self.changed.wait(0.2)

    def wait(self, timeout=120):
        """Its exit status; the output is in .out."""
        self._wait("end", lambda: self.rc is not None, timeout)
        return self.rc

    def wait_output(self, pattern, timeout=60):
        """Wait until the output matches; the match object."""
        self._wait(pattern, lambda: re.search(pattern, self.out, re.M) or self.rc is not None, timeout)
        m = re.search(pattern, self.out, re.M)
        if not m:
            raise LabError(f"'{self.text}' ended with {self.rc} without {pattern!r}: {self.out[-500:]}")
        return m

    def kill(self, sig=signal.SIGTERM):
        self.guest.send(op="kill", id=self.ident, sig=int(sig))


class Guest:
    """One QEMU. sims are the cards behind its root ports, in order; a port stays empty for None."""

    def __init__(self, directory, run_dir, payload, sims, options, interactive=False):
        self.directory, self.run_dir, self.sims = directory, run_dir, sims
        self.console = directory / "console.log"
        self.data_image = directory / "data.img"
        self.log = open(directory / "guest.log", "w", encoding="utf-8")
        self.dead = None
        self.ids = itertools.count(1)
        self.commands = {}
        self.ready = threading.Event()
        self.token, self.panicked = None, False
        self.interactive = interactive
        self.served = []	# (request, monotonic ns before, after) of what programs in the guest asked for
        self.plugged = {n for n, sim in enumerate(sims) if sim}
        self._start(payload, options)

    def _disk(self, name, path, readonly, iothread=None):
        device = f"virtio-blk-pci,drive={name},serial={name}" + (f",iothread={iothread}" if iothread else "")
        return ["-drive", f"if=none,id={name},file={path},format=raw,cache=unsafe,aio=threads,discard=unmap"
                + (",readonly=on" if readonly else ""), "-device", device]

    def _arguments(self, payload, options):
        guest = kernel.root
        vmlinuz, initrd = kernel.boot_files(self.run_dir)
        memory = options.get("memory", "1536M")
        console = "ttyS0" if kernel.machine == "x86_64" else "ttyAMA0"
        clock = f"tsc_early_khz={tsc_khz()} " if kernel.machine == platform.machine() == "x86_64" else ""
        small = not kernel.systemd or not (options.get("systemd") or self.interactive)
        append = f"console={console} loglevel=6 panic=-1 oops=panic panic_on_warn=1 hung_task_panic=0 net.ifnames=0 " \
                 "systemd.show_status=0 rd.udev.log_level=3 random.trust_cpu=on mitigations=off audit=0 " + clock + kernel.append + (SMALL_INIT if small else "") + options.get("append", "")
        args = ["-nodefaults", "-no-user-config", "-no-reboot", "-display", "none", "-vga", "none", "-nic", "none",
                *kernel.machine_arguments(memory, dtb=self._device_tree(memory, options)), "-accel", "tcg,thread=multi,tb-size=256",
                "-object", "rng-random,id=rng0,filename=/dev/urandom", "-device", "virtio-rng-pci,rng=rng0",
                "-kernel", vmlinuz, "-initrd", initrd,
                "-qmp", f"unix:{self.run_dir}/qmp,server=on,wait=off",
                "-device", "virtio-serial-pci", "-chardev", f"socket,id=agent,path={self.run_dir}/agent,server=on,wait=off",
                "-device", "virtserialport,chardev=agent,name=org.oni.lab",
                "-chardev", f"socket,id=ask,path={self.run_dir}/ask,server=on,wait=off", "-device", "virtserialport,chardev=ask,name=org.oni.ask"]
        if kernel.machine != "x86_64":
            args += ["-qtest", f"unix:{self.run_dir}/qtest,server=on,wait=off", "-qtest-log", "none"]
        if self.interactive:
            append += " oni_lab_shell"
            args += ["-serial", "mon:stdio"]
        else:
            args += ["-serial", f"file:{self.console}"]
        args += ["-append", append]
        args += self._disk("root", guest / "root.img", True) + self._disk("payload", payload, True)
        if options.get("data"):
            self._make_data(options["data"])
            args += ["-object", "iothread,id=io0"] + self._disk("data", self.data_image, False, "io0")
        for n in range(max(1, len(self.sims))):
            # Where a device tree or an ACPI table can find it.
            place = f",addr={SLOT_ADDRESS + n:x}.0" if kernel.machine != "x86_64" or "acpi" in options else ""
            args += ["-device", f"pcie-root-port,id=slot{n},chassis={n + 1},slot={n + 1}{place}"]
        if any(sim and sim.usb for sim in self.sims):
            args += ["-device", "qemu-xhci,id=xhci" + (f",addr={XHCI_ADDRESS:x}.0" if kernel.machine != "x86_64" else "")]
        for n, sim in enumerate(self.sims):
            if sim and sim.usb:
                args += ["-chardev", f"socket,id=usb{n},path={sim.socket}"]
            if sim:
                args += ["-device", json.dumps(self._card(n))]
        for source in options.get("acpi", ()):
            args += ["-acpitable", f"file={self._acpi_table(source)}"]
        return args + list(options.get("qemu", []))

    def _acpi_table(self, source):
        """A table of a scenario (ASL below the top of the tree), compiled."""
        table = self.directory / pathlib.Path(source).with_suffix("").name
        done = subprocess.run(["iasl", "-we", "-p", table, TOP / source], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        if done.returncode:
            raise LabError(f"{source} does not compile: {done.stdout}")
        return table.with_suffix(".aml")

    def _card(self, n):
        if self.sims[n].usb:
            return {"driver": "usb-redir", "id": f"card{n}", "bus": "xhci.0", "chardev": f"usb{n}"}
        return {"driver": "vfio-user-pci", "id": f"card{n}", "bus": f"slot{n}",
                "socket": {"type": "unix", "path": str(self.sims[n].socket)}}

    def _device_tree(self, memory, options):
        """That of the board with the scenario's overlays (files below the top of the tree) applied; None: the board's own."""
        overlays = options.get("overlays", ())
        if not overlays:
            return None
        board, merged = self.directory / "board.dtb", self.directory / "merged.dtb"
        compiled = [self.directory / f"overlay{n}.dtbo" for n in range(len(overlays))]
        commands = [[*qemu_command(f"qemu-system-{kernel.machine}"), "-nodefaults", "-display", "none",
                     *kernel.machine_arguments(memory, dump=board)],
                    *(["dtc", "-q", "-@", "-I", "dts", "-O", "dtb", "-o", out, TOP / source] for out, source in zip(compiled, overlays)),
                    # The board's tree has no labels, which an overlay needs to point at something.
                    *(["fdtput", "-p", "-t", "s", board, "/__symbols__", label, path] for label, path in BOARD_LABELS.items()),
                    ["fdtoverlay", "-i", board, "-o", merged, *compiled]]
        for command in commands:
            done = subprocess.run([str(c) for c in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
            if done.returncode:
                raise LabError(f"no device tree: '{command[0]}' ended with {done.returncode}: {done.stdout}")
        return merged

    def _make_data(self, size):
        self.data_image.unlink(missing_ok=True)
        subprocess.run(["truncate", "-s", size, self.data_image], check=True)
        subprocess.run(["/sbin/mke2fs", "-q", "-F", "-t", "ext4", "-L", "oni-data", "-m", "0", self.data_image], check=True)

    def _start(self, payload, options):
        command = [*qemu_command(f"qemu-system-{kernel.machine}"), *self._arguments(payload, options)]
        # What it was not linked with, such as usb-redir, it does not find beside its loader.
        env = dict(os.environ, QEMU_MODULE_DIR=str(image("qemu") / "root/usr/lib/x86_64-linux-gnu/qemu"))
        self.started = time.monotonic()
        if self.interactive:
            self.process = subprocess.Popen(command, env=env, preexec_fn=end_with_parent(signal.SIGKILL))
        else:
            with open(self.directory / "qemu.log", "w", encoding="utf-8") as log:
                self.process = subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
                                                preexec_fn=end_with_parent(signal.SIGKILL))
        try:
            self.qmp = Qmp(self.run_dir / "qmp", 60)
        except LabError as e:
            self.process.poll()
            raise LabError(f"{e}; QEMU said: {self._qemu_log()}") from None
        self.port, self.asked = socket.socket(socket.AF_UNIX), socket.socket(socket.AF_UNIX)
        self.port.connect(f"{self.run_dir}/agent")
        self.asked.connect(f"{self.run_dir}/ask")
        threading.Thread(target=self._read, daemon=True).start()
        threading.Thread(target=self._serve_requests, daemon=True).start()

    def _qemu_log(self):
        path = self.directory / "qemu.log"
        return path.read_text(errors="replace")[-2000:].strip() if path.exists() else "(on the terminal)"

    def _read(self):
        try:
            for line in self.port.makefile(encoding="utf-8", errors="replace"):
                msg = json.loads(line)
                if msg.get("ready"):
                    self.release = msg["release"]
                    self.ready.set()
                if msg.get("token"):
                    self.token = msg["token"]
                command = self.commands.get(msg["id"])
                if command:
                    self.log.write(msg.get("out", ""))
                    if "rc" in msg:
                        self.log.write(f"[{msg['id']}] -> {msg['rc']}\n")
                    self.log.flush()
                    command.take(msg)
        except (OSError, ValueError) as e:
            self.dead = f"agent's port: {e}"
        self.dead = self.dead or "QEMU closed the agent's port"
        for command in list(self.commands.values()):
            with command.changed:
                command.changed.notify_all()

    def wait_boot(self, timeout=180):
        timeout = patient(timeout)
        end = time.monotonic() + timeout
        used, since = 0, time.monotonic()
        while not self.ready.wait(0.2):
            now = time.monotonic()
            if self.process.poll() is not None:
                raise LabError(f"QEMU ended with status {self.process.returncode} while booting: {self._qemu_log()}")
            if processor_seconds(self.process.pid) > used + STILL_USED:
                used, since = processor_seconds(self.process.pid), now
            if now > since + patient(STILL_SECONDS) and not user_space_began(self.console.read_text(errors="replace")):
                raise StandsStill(f"QEMU has used {used:.1f} s of a processor, and none for {now - since:.0f} s")
            if now > end:
                raise LabError(f"the guest did not boot within {timeout} s: see {self.console}")
        # The modules of the card are loaded by udev's coldplug, which multi-user does not wait for.
        if kernel.machine == "x86_64":
            self.sh(f"udevadm settle --timeout={patient(60)}", 90)
        self.boot_seconds = time.monotonic() - self.started

    def send(self, **msg):
        try:
            self.port.sendall((json.dumps(msg) + "\n").encode())
        except OSError as e:
            raise LabError(f"the guest is gone ({e}): see {self.console}") from None

    def _request(self, text, **msg):
        command = Command(self, next(self.ids), text)
        self.commands[command.ident] = command
        self.log.write(f"[{command.ident} at {time.monotonic() - self.started:.1f} s] {text}\n")
        self.log.flush()
        self.send(id=command.ident, **msg)
        return command

    def start(self, text, timeout=600):
        """Start a bash command line; the Command."""
        return self._request(text, op="run", cmd=text, timeout=patient(timeout))

    def sh(self, text, timeout=60, check=True):
        """Run a bash command line and return its output; check=False: (status, output)."""
        command = self.start(text, timeout)
        rc = command.wait(timeout + 30)
        if not check:
            return rc, command.out
        if rc != 0:
            raise LabError(f"in the guest, '{text}' ended with {rc}: {command.out.strip()[-1500:]}")
        return command.out

    def put(self, path, data, mode=0o644):
        if isinstance(data, str):
            data = data.encode()
        command = self._request(f"(put {path})", op="put", path=path, mode=mode, data=base64.b64encode(data).decode())
        if command.wait(60):
            raise LabError(f"cannot write {path} in the guest: {command.out}")

    def get(self, path):
        command = self._request(f"(get {path})", op="get", path=path)
        if command.wait(60):
            raise LabError(f"cannot read {path} in the guest: {command.out}")
        return base64.b64decode(command.data)

    def gpio_driven(self):
        """{line: level} of the lines of the arm64 board's GPIO controller that are outputs, as its registers have them."""
        def read(offset):
            text = self.qmp.execute("human-monitor-command", {"command-line": f"xp /1wx {GPIO_REGISTERS + offset:#x}"})
            return int(text.split()[-1], 16)
        direction, data = read(0x400), read(0x3fc)
        return {line: data >> line & 1 for line in range(8) if direction >> line & 1}

    def gpio_drive(self, line, *levels):
        """Put a level on an input of it, from outside of the machine; of several, each is followed by the next before a processor could look."""
        base = "/machine/unattached"
        found = [c["name"] for c in self.qmp.execute("qom-list", {"path": base}) if c["type"] == "child<pl061>"]
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(patient(30))
            s.connect(str(self.run_dir / "qtest"))
            s.sendall("".join(f"set_irq_in {base}/{found[0]} unnamed-gpio-in {line} {level}\n" for level in levels).encode())
            reader = s.makefile()
            for level in levels:
                answer = reader.readline().strip()
                if answer != "OK":
                    raise LabError(f"GPIO line {line} cannot be driven to {level}: {answer}")

    def unplug(self, n=0, timeout=60):
        """Orderly hot-unplug: the slot's attention button, then power off by the guest."""
        since = len(self.qmp.events)
        self.qmp.execute("device_del", {"id": f"card{n}"})
        self.qmp.wait_event("DEVICE_DELETED", since, timeout, device=f"card{n}")
        self.plugged.discard(n)

    def plug(self, n=0):
        """Put a card (in its power-on state) into the slot, pulling a dead one first."""
        if n in self.plugged:
            self.unplug(n)
        self.qmp.execute("device_add", self._card(n))
        self.plugged.add(n)

    def _serve_requests(self):
        """Requests of test programs in the guest (see guest/ask): one line, answered by ok or err."""
        words = {"hot-remove": self.unplug, "hot-add": self.plug}
        for line in self.asked.makefile(encoding="utf-8", errors="replace"):
            request, since = line.strip(), time.monotonic_ns()
            try:
                if request in words:
                    words[request]()
                else:
                    self.sims[0].control(request)
                answer = "ok"
            except (LabError, OSError) as e:
                answer = f"err {e}"
            self.served.append((request, since, time.monotonic_ns()))
            self.log.write(f"[ask at {time.monotonic() - self.started:.1f} s] {request}: {answer}\n")
            try:
                self.asked.sendall(answer.encode() + b"\n")
            except OSError:
                return	# the guest ended while it waited

    def finish(self, timeout=120):
        """Ask for the success token and a power-off; True if both came."""
        token = os.urandom(8).hex()
        command = self._request("(finish)", op="finish", token=token)
        command.wait(30)
        try:
            self.process.wait(patient(timeout))
        except subprocess.TimeoutExpired:
            return False
        return self.token == token and self.process.returncode == 0

    def panic(self):
        """Have the kernel go down; it stands still from then on, if it was started with panic=0."""
        self.start("sleep 1; echo c >/proc/sysrq-trigger")
        wait_for("the end of the panic", 60, lambda: "end Kernel panic" in self.console.read_text(errors="replace"))
        self.panicked = True

    def stop(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    def read_back(self, target):
        """Copy the data disk to a directory (the guest must be off)."""
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir(parents=True)
        # Replays the journal if the guest did not unmount; 1 means "corrected".
        if subprocess.run(["/sbin/e2fsck", "-p", self.data_image], stdout=subprocess.DEVNULL, check=False).returncode > 1:
            raise LabError(f"{self.data_image} is damaged")
        subprocess.run(["/sbin/debugfs", "-R", f"rdump / {target}", self.data_image], check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


BEFORE, AFTER = 8, 25	# lines shown around the first bad line of a report
SHOWN = BEFORE + AFTER + 6	# of all of them: check prints the last 40 of a result


def bad_lines(lines):
    """Numbers of the lines that the kernel should not have written."""
    return [n for n, line in enumerate(lines) if BAD.search(line) and not any(a.search(line) for a in ALLOWED)]


def console_complaints(text, reports=(), known=()):
    """What should not be there, as lines for people; none: all is well. reports: patterns of whole reports that a scenario provokes;
    known: lines that were shown already.

    Each bad line is marked, and has around it what tells what it is about: the head of a report may be one that nobody thought of.
    """
    text = text.replace("\r", "")
    for report in [*KNOWN_REPORTS, *(re.compile(pattern, re.M) for pattern in reports)]:
        # What begins like one report and ends like another, or has a third one inside, hides something.
        text = report.sub(lambda m: m.group() if len(REPORT_HEAD.findall(m.group())) > 1 else "", text)
    lines, shown, out = text.splitlines(), 0, []
    bad = [n for n in bad_lines(lines) if MARK + lines[n] not in known]
    for first in bad:
        if first < shown:
            continue
        begin, shown = max(shown, first - BEFORE), min(len(lines), first + AFTER + 1)
        out += ["--"] * bool(out) + [(MARK if n in bad else "  ") + lines[n] for n in range(begin, shown)]
    return out


TAP_LINE = re.compile(r"^\s*(not )?ok\b\s*(\d+)?\s*(?:-\s*)?(.*)$")
TAP_PLAN = re.compile(r"^1\.\.(\d+)", re.M)


def parse_tap(text, prefix):
    """[(name, passed, detail)]: top-level results of a TAP stream; a missing plan, a short one, a skip all fail."""
    results, said = [], []
    for line in text.splitlines():
        m = TAP_LINE.match(line)
        if not m or line[:1].isspace():
            said.append(line)
            continue
        name, _, directive = m.group(3).partition(" # ")
        skipped = re.match(r"SKIP", directive.strip(), re.I) or re.match(r"#?\s*SKIP", m.group(3).strip(), re.I)
        detail = "skipped, which is not a pass: " + (directive or m.group(3)) if skipped else "\n".join(said[-20:])
        results.append((f"{prefix}{name.strip() or m.group(2)}", not m.group(1) and not skipped, detail))
        said = []
    plan = TAP_PLAN.search(text)
    if not plan:
        results.append((f"{prefix}plan", False, "the program printed no TAP plan"))
    elif int(plan.group(1)) != len(results):
        results.append((f"{prefix}plan", False, f"{plan.group(1)} planned, {len(results)} reported"))
    return results


class Lab:
    """What a scenario gets: lab.guest, lab.sim, lab.ok(), and its directory."""

    def __init__(self, name, options, payload, interactive=False):
        self.name, self.options = name + kernel.suffix, options
        self.directory = BUILD / "lab" / self.name
        shutil.rmtree(self.directory, ignore_errors=True)
        self.directory.mkdir(parents=True)
        self.results = []
        self.guest, self.sims, self.run_dir = None, [], None
        self.payload, self.interactive = payload, interactive
        self.data = self.directory / "data"
        self.state = "no guest"	# what QEMU and the cards were at, when something went wrong

    @property
    def sim(self):
        return self.sims[0]

    @property
    def slow(self):
        """Whether the guest's kernel watches itself: what is only more of the same may be left out."""
        return kernel.slowness > 2

    def __enter__(self):
        try:
            self._power_on()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, failure, *_):
        if failure and self.guest:
            self.state = self._what_all_do()
        self._power_off()

    def _power_on(self):
        self.run_dir = pathlib.Path(tempfile.mkdtemp(prefix="oni-lab-"))
        for n, args in enumerate(self.options.get("sims", [DEFAULT_SIM])):
            self.sims.append(None if args is None else Sim([str(a) for a in args], self.directory, self.run_dir, f"onisim{n or ''}"))
        self.guest = Guest(self.directory, self.run_dir, self.payload, self.sims, self.options, self.interactive)

    def _power_off(self):
        if self.guest:
            self.guest.stop()
        for sim in self.sims:
            if sim:
                sim.stop()
        if self.run_dir:
            shutil.rmtree(self.run_dir, ignore_errors=True)

    def _what_all_do(self):
        every = [("QEMU", self.guest.process.pid), *((f"card{n}", sim.process.pid) for n, sim in enumerate(self.sims) if sim)]
        return "; ".join(f"{name}: {threads(pid)}" for name, pid in every)

    def note(self, text):
        for line in str(text).rstrip("\n").splitlines():
            print(f"# {line}", flush=True)

    def ok(self, condition, what, detail=""):
        """Count one result. Every check of a scenario goes through here."""
        self.results.append({"name": what, "ok": bool(condition), "detail": str(detail)})
        print(f"{'ok' if condition else 'not ok'} {len(self.results)} - {what}", flush=True)
        if not condition and str(detail):
            self.note(detail)
        return bool(condition)

    def equal(self, got, expected, what):
        return self.ok(got == expected, what, f"got {got!r}, expected {expected!r}")

    def match(self, pattern, text, what):
        return self.ok(re.search(pattern, text, re.M), what, f"no match for {pattern!r} in: {text[-1500:]}")

    def tap(self, text, prefix=""):
        """Count every result of a TAP stream."""
        for name, passed, detail in parse_tap(text, prefix):
            self.ok(passed, name, detail)

    def run_tap(self, command, prefix="", timeout=120):
        """Run a TAP program in the guest; a crash or a time-out is a failure of its own. What it printed."""
        rc, out = self.guest.sh(command, timeout, check=False)
        self.tap(out, prefix)
        failed = re.search(r"^not ok", out, re.M)
        if rc != 0 and not (failed and rc == 1):
            self.ok(False, f"{prefix}exit status", f"'{command}' ended with {rc}: {out[-1500:]}")
        return out

    def check(self, what, script, *words):
        """Count one check of tests/check, run on the host, by its exit status."""
        done = subprocess.run(["/usr/bin/python3", TOP / "tests/check" / script, *map(str, words)], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, check=False)
        self.note(done.stdout)
        return self.ok(done.returncode == 0, what, done.stdout)

    def boot(self):
        """Wait for the guest and arm what its kernel has to watch itself with.

        About one boot in a hundred of a debug kernel was seen to stand still in its first second, with every thread of QEMU asleep. No code
        of ours runs in the guest by then. It is started anew, once, and that is told.
        """
        try:
            self.guest.wait_boot()
        except StandsStill as e:
            self.note(f"stood still, started anew: {e}; {self._what_all_do()}")
            self._power_off()
            self.guest.console.rename(self.guest.console.with_suffix(".still"))
            self.sims.clear()
            self._power_on()
            self.guest.wait_boot()
        self.note(f"booted Linux {self.guest.release} in {self.guest.boot_seconds:.0f} s")
        # An injected fault is no event; the stack dump that goes with each would look like a report.
        self.guest.sh("for f in /sys/kernel/debug/fail*/verbose; do [ ! -e $f ] || echo 0 >$f; done")
        if self._has_kmemleak():
            self.guest.sh(f"echo clear >{KMEMLEAK}")

    def _has_kmemleak(self):
        return self.guest.sh(f"test -e {KMEMLEAK} && echo yes || echo no").strip() == "yes"

    def _leaks(self):
        """Nothing that the modules allocated is left when they are gone. Two scans: the first one only takes checksums of what has no
        reference, the second one reports what still has none and is more than 5 s old (MSECS_MIN_AGE). A scan takes longer than that
        by itself here, and the sleep is for the guest in which it does not."""
        rc, out = self.guest.sh("modprobe -r oni_riffa oni_ft600 oni", 60, check=False)
        self.ok(rc == 0, "the modules can be unloaded", out)
        self.guest.sh(f"sleep 6 & echo scan >{KMEMLEAK}; wait; echo scan >{KMEMLEAK}", 120)
        report = self.guest.sh(f"cat {KMEMLEAK}").strip()
        self.ok(not report, "no leaked memory", report[:8000])

    def verdict(self):
        """The rules for every scenario; called when its own part is done."""
        guest = self.guest
        reports = self.options.get("reports", ())
        if self.options.get("panics"):
            dmesg = ""
            self.ok(guest.panicked, "guest: went down as it was told to", f"see {guest.console}")
            guest.qmp.execute("quit")
            guest.process.wait(patient(30))
        else:
            if self._has_kmemleak():
                self._leaks()
            dmesg = guest.sh("dmesg", 60)
            (self.directory / "dmesg.log").write_text(dmesg)
            token = guest.finish()
            self.ok(token, "guest: success token and clean power-off", f"see {guest.console}")
        # dmesg has also what is not important enough for the console, but begins anew when it is full.
        bad = console_complaints(dmesg, reports)
        bad += console_complaints(guest.console.read_text(errors="replace"), reports, known=bad)
        self.ok(not bad, "kernel log is clean", "\n".join(bad[:SHOWN]))
        for n, sim in enumerate(self.sims):
            if not sim:
                continue
            violations = sim.violations() if sim.process.poll() is None else ["onisim ended early"]
            status = sim.stop()
            self.ok(status == 0 and not violations, f"card{n}: no access that the hardware forbids",
                    f"onisim ended with {status}\n" + "\n".join(violations[:40]))
        if self.options.get("data"):
            guest.read_back(self.data)

    def save(self):
        (self.directory / "results.json").write_text(json.dumps(self.results, indent=1))
        return sum(not r["ok"] for r in self.results)


def payload_image(rebuild=True):
    """The payload disk for the kernel of this process."""
    return kernel.payload(rebuild)


def leave_cleanly_on_sigterm():
    """SIGTERM becomes SystemExit, so that guests and cards are stopped on the way out."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))


def fail(message):
    print(f"lab: {message}", file=sys.stderr)
    sys.exit(1)
