# SPDX-License-Identifier: MIT
"""usb_probe - an Acquisition Board on USB is found, read and streamed; other products and broken boards are left alone; it may leave at any time."""
import json
import re
import time

import _kernel
import _usb

FOREIGN = ["--product", "FTDI SuperSpeed-FIFO Bridge", "--serial", "FOREIGN"]
OPTIONS = {"sims": [_usb.BOARD, [*_usb.BOARD, *FOREIGN]], "timeout": 400, "kernels": _usb.KERNELS, "long": True}

GONE, ENODEV = 0x4, 19


def identity(lab):
    guest = lab.guest
    _usb.wait_node(guest)
    info = json.loads(guest.sh("onictl info --json"))
    lab.equal(_kernel.attributes(guest, "transport", "state", "stim_safe"), ["oni_ft600", "idle", "1"], "transport, state, safe state")
    lab.equal(sorted(_usb.interfaces(guest)), [0, 1], "both interfaces belong to the driver")
    lab.ok(info["rows"] > 5 and info["acq_clock_hz"], "the device table and the clocks were read", info)
    status = lab.sim.status()
    lab.equal((status["usb.gpio"], status["usb.priority"]), (0, "0x0a0a0000"), "the FIFOs are out of reset, the priority is set")


def foreign(lab):
    """Bound by nobody, and nothing was said to it but by the bus."""
    log, status = lab.guest.sh("dmesg"), lab.sims[1].status()
    lab.equal(re.findall(r"oni_ft600 .*", log), [], "no line in the log about either board")
    lab.equal((status["usb.vendor_requests"], status["usb.session.reads"], status["usb.commands"]), (0, 0, 0),
              "another product with this chip: not one request")
    lab.equal(_usb.nodes(lab.guest), ["/dev/oni0"], "one board of two is claimed")


def registers(lab):
    guest = lab.guest
    guest.sh("onictl reg write 0 1 2500000")
    lab.match(r"2500000|0x2625a0", guest.sh("onictl reg read 0 1"), "a device register holds what was written")
    rc, out = guest.sh("onictl reg read 0x0fe 99", check=False)
    lab.ok(rc != 0, "a register that is not there is refused", out)


def broken(lab, kind, pattern):
    """Ordered before it is plugged: left alone with one line that says why."""
    _usb.pull(lab)
    lab.sim.control(f"fault usb-{kind}")
    lab.guest.sh("dmesg -C")
    lab.sim.control("plug")
    lab.guest.sh("for i in $(seq 100); do dmesg | grep -q 'left alone' && break; sleep 0.1; done; udevadm settle")
    lines = re.findall(r"oni_ft600 .*", lab.guest.sh("dmesg"))
    lab.ok(len(lines) == 1 and re.search(pattern, lines[0]), f"usb-{kind}: one line that says why", lines)
    lab.equal(_usb.interfaces(lab.guest), {}, f"usb-{kind}: no interface is bound")
    lab.sim.control("fault clear")
    lab.sim.control("unplug")
    lab.guest.sh("for i in $(seq 300); do [ $(ls -d /sys/bus/usb/devices/*-* | grep -vc :) -le 1 ] && break; sleep 0.1; done")
    _usb.plug(lab)


def leaves(lab, follow, n, before, what, how, back):
    """One life of the board, ended by HOW; its reader gets all and is told. What the board has delivered by then."""
    follow.wait("start", n)
    time.sleep(0.3)
    how()
    end = follow.wait("end", n)[-1]
    lab.ok(end["ok"] and end["result"] == ENODEV and end["flags"] & GONE, f"{what}: ENODEV and GONE, all that was published was read, whole", end)
    delivered = _kernel.totals(lab.sim)["delivered"]
    unseen = delivered - before - end["frames"]
    lab.ok(0 <= unseen <= (_usb.LOST_ON_THE_WAY if what == "unplugged" else 0), f"{what}: it was what the board delivered",
           f"{delivered - before} frames delivered, {end['frames']} read")
    back()
    return delivered


def departures(lab):
    guest, seen = lab.guest, _kernel.totals(lab.sim)["delivered"]
    follow = _kernel.Follow(guest, "", 300)
    follow.wait("start", 1)
    rc, out = guest.sh("rmmod oni_ft600", check=False)
    lab.ok(rc != 0 and "in use" in out, "rmmod says that it is in use", out)
    name = _usb.interfaces(guest)

    def unbind(number):
        return lambda: guest.sh(f"echo {name[number]} >{_usb.DRIVER}/unbind")

    def bind():
        lab.equal((_usb.interfaces(guest), lab.sim.status()["usb.gpio"]), ({}, 1), "both interfaces are free, the FIFOs are in reset")
        guest.sh(f"echo {name[1]} >{_usb.DRIVER}/bind")

    ways = (("unplugged", lambda: lab.sim.control("unplug"), lambda: _usb.plug(lab)), ("interface 1 unbound", unbind(1), bind),
            ("interface 0 unbound", unbind(0), bind))
    for n, (what, how, back) in enumerate(ways, 1):
        seen = leaves(lab, follow, n, seen, what, how, back)
    follow.wait("start", 4)
    rc, bye = follow.stop()
    lab.ok(rc == 0 and bye["ends"] == 4, "the reader went through all of it", bye)
    guest.sh("modprobe -r oni_ft600 && modprobe oni_ft600 && udevadm settle")
    _kernel.works(lab, "after a reload of the module")


def run(lab):
    identity(lab)
    foreign(lab)
    registers(lab)
    for block in (4096, 32768):
        lab.note(_usb.count(lab, f"{block} byte blocks", 3, f"-b {block}"))
    for kind, pattern in (("desc-type", "endpoints"), ("desc-missing", "endpoints"), ("fifo-mode", r"mode 0"), ("vendor-short", r"does not tell")):
        broken(lab, kind, pattern)
    departures(lab)
    _kernel.conserved(lab, "at the end")
