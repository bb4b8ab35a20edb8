# SPDX-License-Identifier: MIT
"""usb_library - an Acquisition Board without a kernel driver: the tools read, configure and record it through libusb, and say who is in the way.

Frames read = frames that the board delivered, as with the driver. The driver's module is there but not loaded until the scenario loads it.
"""
import json
import signal

import lab as labmod

import _kernel
import _usb

FOREIGN = ["--product", "FTDI SuperSpeed-FIFO Bridge", "--serial", "FOREIGN"]
OPTIONS = {"sims": [_usb.BOARD, [*_usb.BOARD, *FOREIGN]], "append": "modprobe.blacklist=oni_ft600", "data": "400M", "timeout": 500}

USB = "onictl --backend usb"
GONE = 4	# exit code of onirec
# Frames of transfers that were complete, and whose end the guest did not see any more.
LOST_ON_THE_WAY = 512 * 1024 // 24


def js(lab, words, timeout=60):
    return json.loads(lab.guest.sh(f"{USB} --json {words} 2>/dev/null", timeout))


def refused(lab, command, pattern, name):
    """COMMAND fails with status 1 and one line that says why."""
    rc, out = lab.guest.sh(f"{command} 2>&1", 60, check=False)
    lab.ok(rc == 1, f"{name}: status 1", f"status {rc}: {out}")
    lab.match(pattern, out, f"{name}: said so")


def look(lab):
    guest = lab.guest
    labmod.wait_for("the board", 60, lambda: js(lab, "list"))
    lab.equal(guest.sh("lsmod | grep -c ^oni || true").strip(), "0", "no module of ours is loaded")
    entry, = js(lab, "list")
    lab.equal((entry["name"], entry["backend"], entry["transport"], entry["state"], entry["driver"]),
              ("usb:ONISIM0001", "usb", "libusb", "free", None), "list finds the board, and not the other product")
    lab.equal([e["name"] for e in json.loads(guest.sh("onictl --json list"))], ["usb:ONISIM0001"], "without --backend too")
    lab.equal(guest.sh(f"stat -c '%G %a' {entry['node']}").strip(), "oni 660", "the udev rules give its node to group oni")
    status = lab.sim.status()
    lab.equal((status["usb.vendor_requests"], status["usb.session.reads"]), (0, 0), "looking sends nothing to the board")
    info = js(lab, "info")
    lab.equal((info["transport"], info["state"], info["owned"], info["stimulators_safe"], info["port_power"]),
              ("libusb", "idle", False, True, False), "info")
    for name in ("usb:ONISIM0001", "ONISIM0001", info["bus"].partition(":")[0], entry["node"], "first"):
        lab.equal(js(lab, f"-d {name} info")["rows"], info["rows"], f"-d {name}")
    lab.equal(json.loads(guest.sh("onictl --json info"))["transport"], "libusb", "auto takes the board when there is no node")
    refused(lab, f"{USB} -d oni0 info", "there is no such controller", "a board that is not there")
    refused(lab, "onictl --backend kernel info", r"usb:ONISIM0001 is there, but no kernel driver has it.*modprobe.*--backend usb", "no driver")
    refused(lab, "setpriv --reuid nobody --regid nogroup --clear-groups " + f"{USB} info", r"group 'oni'.*EACCES", "a user without rights")
    return entry


def rhythm(guest):
    """Two streams at 30 kHz, until the board loses its power."""
    guest.sh(f"{USB} rhythm streams a1 a1+ && {USB} reg write rhythm 1 2 && {USB} enable rhythm")


def registers(lab):
    guest = lab.guest
    names = [d["name"] for d in js(lab, "devices")]
    lab.ok("rhythm" in names and len(names) > 5, "devices", names)
    guest.sh(f"{USB} reg write heartbeat 1 2500000")
    lab.match(r"2500000|0x2625a0", guest.sh(f"{USB} reg read heartbeat 1"), "a register holds what was written by a program before")
    refused(lab, f"{USB} reg write rhythm 23 0x200", "for safety", "a register that the guard of the driver refuses")
    refused(lab, f"{USB} reg read 0x0fe 99", "NACK", "a register that is not there")
    rhythm(guest)


def delivered(lab):
    return {a: f["delivered"] for a, f in lab.sim.frames().items() if f["delivered"]}


def count(lab, what, words=""):
    lab.sim.control("reset-counters")
    seen = json.loads(lab.guest.sh(f"{USB} --json start -t 3 {words} 2>/dev/null", 120))
    lab.equal({d["addr"]: d["frames"] for d in seen["devices"] if d["frames"]}, delivered(lab), f"{what}: frames read = frames delivered, every device")
    lab.ok(delivered(lab).get(0x101, 0) > 3000, f"{what}: rhythm ran", delivered(lab))


def record(lab, name):
    lab.sim.control("reset-counters")
    rc, out = lab.guest.sh(f"onirec --backend usb -q --json -o /var/lib/oni --name {name} -t 4", 120, check=False)
    if not lab.ok(rc == 0, f"{name}: onirec records", f"status {rc}: {out}"):
        return
    summary = json.loads(out[out.index("{"):])
    lab.equal({d["addr"]: d["frames"] for d in summary["devices"] if d["frames"]}, delivered(lab), f"{name}: frames read = frames delivered, every device")
    lab.equal([d["lost"] for d in summary["devices"] if d["lost"]], [], f"{name}: nothing lost, no gap")
    lab.ok(delivered(lab).get(0x101, 0) > 3000, f"{name}: rhythm ran", delivered(lab))


def in_the_way(lab, entry):
    """One program at a time; the driver that comes second gets nothing, and both say who has it."""
    guest = lab.guest
    lab.sim.control("reset-counters")
    recorder = guest.start("exec onirec --backend usb -o /var/lib/oni --name pulled 2>&1")
    recorder.wait_output(r"\b[1-9]\d*\.\d s .*MB/s", 120)
    refused(lab, f"{USB} info", r"another program uses the board through libusb.*EBUSY", "a second program")
    lab.equal([(e["state"], e["driver"]) for e in js(lab, "list")], [("taken", "usbfs")], "list shows that it is taken")
    guest.sh("modprobe oni_ft600 && udevadm settle")
    lab.equal(_usb.nodes(guest), [], "the driver leaves it alone while a program has it")
    refused(lab, "onictl --backend kernel info", r"another program uses the board usb:ONISIM0001.*oni_ft600/bind", "the driver's user")
    lab.sim.control("unplug")
    lab.equal(recorder.wait(60), GONE, "unplugged: onirec ends with its exit code for that")
    lab.match(r"(?i)unplugged|gone|removed", recorder.out, "unplugged: and says so")
    meta = json.loads(guest.sh("cat '/var/lib/oni/pulled/Record Node 100/experiment1/recording1/onirec/meta.json' 2>/dev/null || "
                               "cat $(find /var/lib/oni/pulled -name meta.json | head -1)"))
    unseen = _kernel.totals(lab.sim)["delivered"] - sum(d["frames"] for d in meta["devices"])
    lab.ok(0 <= unseen <= LOST_ON_THE_WAY, "unplugged: it was what the board delivered", f"{unseen} frames not read")
    _usb.plug(lab)
    path = json.loads(guest.sh("onictl --json info"))["bus"]
    refused(lab, f"{USB} info", r"the kernel driver oni_ft600 has the board: use its node /dev/oni0.*oni_ft600/unbind", "the driver has it")
    refused(lab, "onirec --backend usb -o /var/lib/oni -t 1", r"the kernel driver oni_ft600 has the board", "the driver has it, onirec")
    lab.equal([(e["state"], e["driver"]) for e in js(lab, "list")], [("taken", "oni_ft600")], "list shows the driver")
    lab.equal([e["name"] for e in json.loads(guest.sh("onictl --json list"))], ["oni0"], "without --backend a board is listed once")
    lab.equal(json.loads(guest.sh("onictl --json info"))["transport"], "oni_ft600", "auto takes the node when there is one")
    guest.sh(f"echo {path} >{_usb.DRIVER}/unbind")
    lab.equal(js(lab, "info")["transport"], "libusb", "unbound: as the message says")
    rhythm(guest)
    count(lab, "after the driver")
    lab.equal(_usb.nodes(guest), [], "the driver does not come back by itself")
    guest.sh(f"echo {path} >{_usb.DRIVER}/bind")
    _usb.wait_node(guest)
    _usb.count(lab, "the driver after the library", 2)
    guest.sh(f"echo {path} >{_usb.DRIVER}/unbind; modprobe -r oni_ft600")
    return entry


def hotplug(lab):
    """list --follow shows what comes and goes."""
    follow = lab.guest.start(f"exec {USB} list --follow 2>&1")
    follow.wait_output(r"usb:ONISIM0001 .*free", 30)
    lab.sim.control("unplug")
    follow.wait_output(r"No Acquisition Board found", 60)
    lab.sim.control("plug")
    follow.wait_output(r"(?s)No Acquisition Board found.*usb:ONISIM0001 .*free", 60)
    follow.kill()
    follow.wait(30)
    lab.ok(True, "list --follow shows it go and come")


def killed(lab):
    """What a program that was killed leaves running does not disturb the next."""
    run = lab.guest.start(f"exec {USB} start -t 60 2>&1")
    run.wait_output(r"Starting", 60)
    lab.guest.sh("sleep 1")
    lab.equal(lab.sim.status()["running"], 1, "killed: the acquisition ran")
    run.kill(signal.SIGKILL)
    run.wait(30)
    info = js(lab, "info")
    lab.equal((info["state"], lab.sim.status()["running"]), ("idle", 0), "killed: the next program finds it idle")
    # The kernel takes back the transfers of the dead, the oldest first, and of each that is left in its ring QEMU makes a request without a
    # length at the next start, which the board does not forgive. Only a new ring is free of them.
    replug(lab)
    rhythm(lab.guest)
    count(lab, "after that, in blocks of 32 KiB", "--block 32K")


def replug(lab):
    lab.sim.control("unplug")
    labmod.wait_for("the board gone", 60, lambda: not js(lab, "list"))
    lab.sim.control("plug")
    labmod.wait_for("the board", 60, lambda: js(lab, "list"))


def run(lab):
    entry = look(lab)
    registers(lab)
    count(lab, "blocks of 4 KiB")
    record(lab, "library")
    in_the_way(lab, entry)
    hotplug(lab)
    rhythm(lab.guest)
    killed(lab)
    status = lab.sims[1].status()
    lab.equal((status["usb.vendor_requests"], status["usb.session.reads"], status["usb.commands"]), (0, 0, 0),
              "another product with this chip: not one request")
    for sim in lab.sims:
        lab.equal(sim.violations(), [], "nothing that the chip forbids")


def after(lab):
    for name in ("library", "pulled"):
        lab.check(f"{name}: Neo opens it", "check_neo.py", lab.data / name)
