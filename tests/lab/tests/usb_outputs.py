# SPDX-License-Identifier: MIT
"""usb_outputs - the digital and analog outputs of an Acquisition Board belong to the owner, and are at 0 whenever there is none.

The board is found as other software may leave it: every output on, DACs and comparators set to drive them. What the outputs are is the
simulated board's own account, never the driver's.

verifies: R38
"""
import contextlib
import errno
import json
import re
import signal

import lab as labmod

import _kernel
import _usb

OPTIONS = {"sims": [[*_usb.BOARD, "--model", "left-driven=1"]], "timeout": 400, "kernels": _usb.KERNELS, "long": True, "append": "suspend.pm_test_delay=1"}

TTL, DAC, RHYTHM = 0x102, 0x103, 0x101
CHANNELS, ZERO_VOLT = 16, 0x8000
MODE, DIGOUT, DAC_SEL = 1, range(17, 21), range(23, 31)
COMPARATORS, CONTINUOUS = 0x8, 0x2
CODES = [0x1000 + 0x101 * n for n in range(CHANNELS)]

# Runs in the guest, with the uAPI's numbers and nothing else. A step prints its name and the errno; "hold" waits for the end that is
# chosen for it.
OWNER = r"""
import array, fcntl, os, struct, sys, time

def call(nr, *words):
    arg = array.array("I", words)
    fcntl.ioctl(fd, 0xb900 | nr, arg, True)

def frame(addr, payload):
    return struct.pack("<2I", int(addr, 0), len(payload) // 4) + payload

STEPS = {
    "claim": lambda: call(0x02, 8, 0), "release": lambda: call(0x03, 8, 0), "reset": lambda: call(0x04, 8, 0),
    "reg": lambda dev, reg, value: call(0x06, 24, 0, int(dev, 0), int(reg, 0), int(value, 0), 0),
    "words": lambda addr, *words: os.write(fd, frame(addr, struct.pack(f"<{len(words)}I", *(int(w, 0) for w in words)))),
    "codes": lambda addr, *codes: os.write(fd, frame(addr, struct.pack(f"<{len(codes)}H", *(int(c, 0) for c in codes)))),
    "read": lambda: os.read(fd, 4096), "close": lambda: os.close(fd), "fork": lambda: os.fork() or time.sleep(1000), "hold": lambda: time.sleep(1000),
}
fd = os.open(sys.argv[1], os.O_RDWR)
for step in sys.argv[2:]:
    name, *words = step.replace(",", " ").split()
    print("begin", step, flush=True)
    try:
        STEPS[name](*words)
        print("end", step, 0, flush=True)
    except OSError as e:
        print("end", step, e.errno, flush=True)
"""
DRIVE = [f"words,{TTL:#x},0xa5c3", "codes," + ",".join(map(str, [hex(DAC), *CODES]))]


def run_owner(lab, *steps):
    """The steps and what became of them."""
    out = lab.guest.sh(f"python3 /root/owner.py {_usb.nodes(lab.guest)[0]} {' '.join(steps)}", 120)
    return [int(line.split()[-1]) for line in out.splitlines() if line.startswith("end")]


def ends(command, sig=signal.SIGTERM):
    """The owner by a signal; it is gone afterwards."""
    command.kill(sig)
    command.wait(60)


@contextlib.contextmanager
def owner(lab, *steps, node=None):
    """An owner that has done the steps and stays."""
    command = lab.guest.start(f"exec python3 /root/owner.py {node or _usb.nodes(lab.guest)[0]} {' '.join(steps)} hold", 300)
    command.wait_output(r"^begin hold$", 120)
    wrong = [line for line in command.out.splitlines() if line.startswith("end") and not line.endswith(" 0")]
    lab.equal(wrong, [], f"an owner did {', '.join(s.split(',')[0] for s in steps)}")
    yield command


def outputs(lab):
    status = lab.sim.status()
    return int(status["model.ttl.out"], 16), [status[f"model.dac.{n}"] for n in range(CHANNELS)]


def driven(lab, what):
    lab.equal(outputs(lab), (0xa5c3, CODES), f"{what}: the outputs are as the owner set them")


AT_REST = (0, [ZERO_VOLT] * CHANNELS)


def rest(lab, what):
    """At 0, and nothing but a frame can change them."""
    try:
        labmod.wait_for("outputs at 0", 30, lambda: outputs(lab) == AT_REST)
    except labmod.LabError:
        pass
    status = lab.sim.status()
    lab.equal(outputs(lab), AT_REST, f"{what}: every output is at 0")
    lab.equal([n for n in (*DIGOUT, *DAC_SEL) if status[f"model.rhythm.reg.{n}"]], [], f"{what}: no headstage pin and no DAC follows anything")
    lab.equal((status["model.rhythm.reg.1"] & COMPARATORS, status["model.ttl.mode"]), (0, 1), f"{what}: TTL lines take frames, at once")


def found(lab):
    rest(lab, "after the probe")
    lab.equal(lab.sim.status()["model.rhythm.reg.1"], 0x10, "what else was in MODE is still there: the LEDs")
    lab.equal(_kernel.attributes(lab.guest, "stim_safe"), ["1"], "the driver says so")


def belong_to_the_owner(lab):
    guarded = int(_kernel.attributes(lab.guest, "stats/guarded")[0])
    lab.equal(run_owner(lab, *DRIVE), [errno.EPERM] * 2, "nobody who has not claimed sends frames")
    rest(lab, "who has not claimed")
    with owner(lab, "claim", *DRIVE) as first:
        driven(lab, "an owner")
        lab.equal(run_owner(lab, "claim", *DRIVE), [errno.EBUSY, errno.EPERM, errno.EPERM], "a second one is refused")
        driven(lab, "a second one that tried")
        ends(first, signal.SIGKILL)
    rest(lab, "SIGKILL")
    bad = [f"words,{TTL:#x},0x10000", f"words,{TTL:#x},0,0x80000000", f"reg,{RHYTHM:#x},1,0x8", f"reg,{RHYTHM:#x},17,0x10",
           f"reg,{RHYTHM:#x},23,0x600", f"reg,{TTL:#x},1,2", f"reg,{TTL:#x},0,1", f"reg,{DAC:#x},1,1"]
    lab.equal(run_owner(lab, "claim", *bad), [0] + [errno.EPERM] * len(bad),
              "bits that TTL lines do not have, and registers that drive outputs, are refused")
    lab.equal(run_owner(lab, "claim", f"words,{DAC:#x},0,0"), [0, errno.EINVAL], "half a frame to the analog outputs is no frame")
    lab.equal(int(_kernel.attributes(lab.guest, "stats/guarded")[0]), guarded + len(bad), "each was counted as guarded")
    rest(lab, "refused frames and registers")


def leaving(lab):
    """Every way to go, with the outputs on."""
    for end in ("close", "release"):
        lab.equal(run_owner(lab, "claim", *DRIVE, end), [0] * 4, f"an owner ends with {end}")
        rest(lab, end)
    with owner(lab, "claim", f"reg,{TTL:#x},1,0", f"words,{TTL:#x},0xa5c3") as waiting:
        lab.equal(outputs(lab)[0], 0, "a frame that waits for a sample waits while nothing runs")
        ends(waiting)
    rest(lab, "end with a frame that waits")
    run_owner(lab, "claim", "read")
    rest(lab, "an acquisition after it")
    with owner(lab, "claim", "reg,0,0,1", f"reg,{RHYTHM:#x},1,{CONTINUOUS}", f"reg,{RHYTHM:#x},0,1", "reset", "read", *DRIVE) as streaming:
        labmod.wait_for("the outputs", 30, lambda: outputs(lab) != AT_REST)
        driven(lab, "an acquisition")
        lab.equal(lab.sim.status()["running"], 1, "it runs")
        ends(streaming, signal.SIGKILL)
    rest(lab, "SIGKILL in an acquisition")
    lab.equal(lab.sim.status()["model.rhythm.reg.1"], CONTINUOUS, "what the owner chose in MODE stays")
    with owner(lab, "claim", *DRIVE, "reset") as command:
        rest(lab, "reset")
        ends(command)


def driver_goes(lab):
    guest = lab.guest
    name = _usb.interfaces(guest)[1]
    with owner(lab, "claim", *DRIVE) as command:
        driven(lab, "before unbind")
        guest.sh(f"echo {name} >{_usb.DRIVER}/unbind")
        rest(lab, "unbind")
        ends(command)
    guest.sh(f"echo {name} >{_usb.DRIVER}/bind && udevadm settle")
    with owner(lab, "claim", *DRIVE) as command:
        guest.sh("echo devices >/sys/power/pm_test && echo freeze >/sys/power/state", 90)
        rest(lab, "suspend")
        ends(command)
    with owner(lab, "claim", *DRIVE) as command:
        _usb.pull(lab)
        ends(command)
    _usb.plug(lab)
    rest(lab, "plugged in again")


def cannot(lab):
    """A board that does not fetch the frames: the driver resets the link and tries again; if that is no help it says so."""
    guest = lab.guest
    failures = int(_kernel.attributes(guest, "stats/stim_safe_failures")[0])
    for times in (1, 1000):
        with owner(lab, "claim", *DRIVE) as command:
            lab.sim.control(f"fault usb-out-stall {times} ch=2")
            ends(command)
        if times == 1:
            rest(lab, "a write pipe that halts once")
            lab.equal(_kernel.attributes(guest, "stim_safe"), ["1"], "a write pipe that halts once: safe")
    lab.equal(_kernel.attributes(guest, "stim_safe"), ["0"], "a write pipe that halts again and again: stim_safe is 0")
    lab.equal(int(_kernel.attributes(guest, "stats/stim_safe_failures")[0]), failures + 1, "counted once")
    lab.equal(len(re.findall(r"outputs did not take their 0", guest.sh("dmesg"))), 1, "and once in the log")
    lab.sim.control("fault clear")
    lab.equal(json.loads(guest.sh("onictl --json reset 2>/dev/null"))["stimulators_safe"], True, "a reset cures it")
    rest(lab, "a reset")


def hangs(lab):
    """The board stops in the middle of everything and goes on later: no frame is sent to where it is lost, which a claim would not notice."""
    lab.sim.process.send_signal(signal.SIGSTOP)
    try:
        tried = run_owner(lab, "claim", "reset", *DRIVE)
    finally:
        lab.sim.process.send_signal(signal.SIGCONT)
    lab.ok(tried[0] == 0 and all(tried[1:]), "a board that hangs: only the claim succeeds", tried)
    lab.equal(_kernel.attributes(lab.guest, "stim_safe"), ["0"], "a board that hung: stim_safe is 0")
    again = run_owner(lab, "claim", *DRIVE)
    lab.ok(again[0] == 0 and all(again[1:]), "and no frame is taken for sent before a reset has worked", again)
    lab.guest.sh("onictl reset")
    lab.equal(_kernel.attributes(lab.guest, "stim_safe"), ["1"], "a reset cures it: stim_safe is 1")
    rest(lab, "a reset of a board that hung")


def run(lab):
    _usb.wait_node(lab.guest)
    lab.guest.put("/root/owner.py", OWNER)
    found(lab)
    belong_to_the_owner(lab)
    leaving(lab)
    driver_goes(lab)
    cannot(lab)
    hangs(lab)
    _kernel.works(lab, "at the end")
    _kernel.conserved(lab, "at the end")
