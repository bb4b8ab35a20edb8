# SPDX-License-Identifier: MIT
"""lab - a simulated card, a guest that sees it, and the verdict about both.

Sim is a running onisim, Guest a running QEMU with the agent's port, QMP and console; Lab puts them together for one
scenario, counts results in TAP form and applies the rules that hold for every scenario: nothing bad on
the console, no access the card forbids, the success token, a clean power-off, all in time.

Files of a scenario are in build/lab/NAME/: console.log, qemu.log, onisim.log, truth.jsonl, dmesg.log, guest.log
(every command and its output), results.json, data/ (the data disk read back).

Threads: one reader thread per Guest for the agent's port and one per Qmp for its socket only append to queues; one per Guest serves what
test programs in the guest ask for (hot-plug, requests to onisim) while the caller waits. Everything else is the caller's.
"""
import base64
import ctypes
import fcntl
import itertools
import json
import os
import pathlib
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
BAD = re.compile(r"BUG:|WARNING:|\bOops\b|KASAN|KCSAN|UBSAN|possible .* detected|DMA-API|\bstall(s|ed)?\b|\bhung\b|blocked for more than"
                 r"|\bleak(s|ed)?\b|Kernel panic|general protection|refcount_t|Call Trace|suspicious RCU|Unknown symbol|disagrees about version")
# Each entry is a line of Debian's own kernel or of the emulation that means no harm, with the reason.
ALLOWED = [
]

DEFAULT_SIM = ["--model", "seed=1"]


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


def wait_for(what, seconds, condition):
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise LabError(f"{what}: nothing after {seconds} s")
        time.sleep(0.05)


class Sim:
    """One simulated card: an onisim process."""

    def __init__(self, args, directory, run_dir, name="onisim"):
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
        patience = ["--vector-timeout", "5000"]
        with open(self.out_path, "w", encoding="utf-8") as out:
            self.process = subprocess.Popen([binary, "--socket", self.socket, "--control", self.control_path,
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
                answer = self.answers.get(timeout=timeout)
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
        self.token = None
        self.interactive = interactive
        self.plugged = {n for n, sim in enumerate(sims) if sim}
        self._start(payload, options)

    def _disk(self, name, path, readonly, iothread=None):
        device = f"virtio-blk-pci,drive={name},serial={name}" + (f",iothread={iothread}" if iothread else "")
        return ["-drive", f"if=none,id={name},file={path},format=raw,cache=unsafe,aio=threads,discard=unmap"
                + (",readonly=on" if readonly else ""), "-device", device]

    def _arguments(self, payload, options):
        guest = image("guest")
        memory = options.get("memory", "1536M")
        append = "console=ttyS0 loglevel=6 panic=-1 oops=panic panic_on_warn=1 hung_task_panic=0 net.ifnames=0 " \
                 "systemd.show_status=0 rd.udev.log_level=3 random.trust_cpu=on mitigations=off audit=0 " + options.get("append", "")
        args = ["-nodefaults", "-no-user-config", "-no-reboot", "-display", "none", "-vga", "none", "-nic", "none",
                "-machine", "q35,memory-backend=mem,hpet=off,sata=off,i8042=off", "-accel", "tcg,thread=multi,tb-size=256", "-cpu", "max,svm=off", "-smp", "2", "-m", memory,
                "-object", f"memory-backend-memfd,id=mem,size={memory},share=on",
                "-object", "rng-random,id=rng0,filename=/dev/urandom", "-device", "virtio-rng-pci,rng=rng0",
                "-kernel", guest / "vmlinuz", "-initrd", guest / "initrd.img",
                # Native PCIe hot-plug, as on real slots, instead of ACPI's.
                "-global", "ICH9-LPC.acpi-pci-hotplug-with-bridge-support=off",
                "-qmp", f"unix:{self.run_dir}/qmp,server=on,wait=off",
                "-device", "virtio-serial-pci", "-chardev", f"socket,id=agent,path={self.run_dir}/agent,server=on,wait=off",
                "-device", "virtserialport,chardev=agent,name=org.oni.lab",
                "-chardev", f"socket,id=ask,path={self.run_dir}/ask,server=on,wait=off", "-device", "virtserialport,chardev=ask,name=org.oni.ask"]
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
            args += ["-device", f"pcie-root-port,id=slot{n},chassis={n + 1},slot={n + 1}"]
        for n, sim in enumerate(self.sims):
            if sim:
                args += ["-device", json.dumps(self._card(n))]
        return args + list(options.get("qemu", []))

    def _card(self, n):
        return {"driver": "vfio-user-pci", "id": f"card{n}", "bus": f"slot{n}",
                "socket": {"type": "unix", "path": str(self.sims[n].socket)}}

    def _make_data(self, size):
        self.data_image.unlink(missing_ok=True)
        subprocess.run(["truncate", "-s", size, self.data_image], check=True)
        subprocess.run(["/sbin/mke2fs", "-q", "-F", "-t", "ext4", "-L", "oni-data", "-m", "0", self.data_image], check=True)

    def _start(self, payload, options):
        command = [*qemu_command(), *self._arguments(payload, options)]
        self.started = time.monotonic()
        if self.interactive:
            self.process = subprocess.Popen(command, preexec_fn=end_with_parent(signal.SIGKILL))
        else:
            with open(self.directory / "qemu.log", "w", encoding="utf-8") as log:
                self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
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
        end = time.monotonic() + timeout
        while not self.ready.wait(0.2):
            if self.process.poll() is not None:
                raise LabError(f"QEMU ended with status {self.process.returncode} while booting: {self._qemu_log()}")
            if time.monotonic() > end:
                raise LabError(f"the guest did not boot within {timeout} s: see {self.console}")
        # The modules of the card are loaded by udev's coldplug, which multi-user does not wait for.
        self.sh("udevadm settle --timeout=60", 90)
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
        return self._request(text, op="run", cmd=text, timeout=timeout)

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
            request = line.strip()
            try:
                if request in words:
                    words[request]()
                else:
                    self.sims[0].control(request)
                answer = "ok"
            except (LabError, OSError) as e:
                answer = f"err {e}"
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
            self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            return False
        return self.token == token and self.process.returncode == 0

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


def console_complaints(text):
    return [line for line in text.splitlines() if BAD.search(line) and not any(a.search(line) for a in ALLOWED)]


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
        self.name, self.options = name, options
        self.directory = BUILD / "lab" / name
        shutil.rmtree(self.directory, ignore_errors=True)
        self.directory.mkdir(parents=True)
        self.results = []
        self.guest, self.sims = None, []
        self.run_dir = pathlib.Path(tempfile.mkdtemp(prefix="oni-lab-"))
        self.payload, self.interactive = payload, interactive
        self.data = self.directory / "data"

    @property
    def sim(self):
        return self.sims[0]

    def __enter__(self):
        try:
            cards = self.options.get("sims", [DEFAULT_SIM])
            for n, args in enumerate(cards):
                self.sims.append(None if args is None else
                                 Sim([str(a) for a in args], self.directory, self.run_dir, f"onisim{n or ''}"))
            self.guest = Guest(self.directory, self.run_dir, self.payload, self.sims, self.options, self.interactive)
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, *_):
        if self.guest:
            self.guest.stop()
        for sim in self.sims:
            if sim:
                sim.stop()
        shutil.rmtree(self.run_dir, ignore_errors=True)

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
        """Run a TAP program in the guest; a crash or a time-out is a failure of its own."""
        rc, out = self.guest.sh(command, timeout, check=False)
        self.tap(out, prefix)
        failed = re.search(r"^not ok", out, re.M)
        if rc != 0 and not (failed and rc == 1):
            self.ok(False, f"{prefix}exit status", f"'{command}' ended with {rc}: {out[-1500:]}")

    def check(self, what, script, *words):
        """Count one check of tests/check, run on the host, by its exit status."""
        done = subprocess.run(["/usr/bin/python3", TOP / "tests/check" / script, *map(str, words)], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, check=False)
        self.note(done.stdout)
        return self.ok(done.returncode == 0, what, done.stdout)

    def verdict(self):
        """The rules for every scenario; called when its own part is done."""
        guest = self.guest
        dmesg = guest.sh("dmesg", 60)
        (self.directory / "dmesg.log").write_text(dmesg)
        token = guest.finish()
        self.ok(token, "guest: success token and clean power-off", f"see {guest.console}")
        bad = console_complaints(guest.console.read_text(errors="replace"))
        bad += [line for line in console_complaints(dmesg) if line not in bad]
        self.ok(not bad, "kernel log is clean", "\n".join(bad[:40]))
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
    """The payload disk of this build, rebuilt unless told that it is fresh."""
    path = BUILD / "lab" / "payload.img"
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path.with_suffix(".lock"), "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if rebuild or not path.exists():
            done = subprocess.run([HERE / "payload", path], env=dict(os.environ, BUILD=str(BUILD)), check=False)
            if done.returncode:
                raise LabError("building the payload disk failed; see above")
    return path


def leave_cleanly_on_sigterm():
    """SIGTERM becomes SystemExit, so that guests and cards are stopped on the way out."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))


def fail(message):
    print(f"lab: {message}", file=sys.stderr)
    sys.exit(1)
