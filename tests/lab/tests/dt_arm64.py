# SPDX-License-Identifier: MIT
"""dt_arm64 - what a device tree says about a controller is read, bounds stimulation, and allows nothing where it is silent.

Debian's arm64 kernel on QEMU's virt board with the overlay of dts/overlays, which describes the card in slot 0; dt_arm64.dtso
describes the others. What is read is seen in sysfs, lines are looked at and driven from outside of the machine. On one card a session
arms what is never fired: the inhibit line is released then, asserted by every end, and not released with the key off.
"""
import json
import pathlib
import re

import _firmware
import _stim
import _usb
from _firmware import ZERO, check, wait_nodes
from _stim import ARMED, CLAIMED, EPERM, FAULT, LOADED

CARDS = 7
SESSION = CARDS - 1	# the card that is armed
BOUNDLESS = 1	# one that may stimulate, and lacks most ceilings
HEADSTAGE = ["--model", "port-b=rhs2116"]
OPTIONS = {
    "sims": [*(["--model", f"seed={n + 1}", *(HEADSTAGE if n in (BOUNDLESS, SESSION) else [])] for n in range(CARDS)), _usb.BOARD],
    "overlays": ["dts/overlays/qemu-virt.dtso", "tests/lab/tests/dt_arm64.dtso"],
    "kernels": ["arm64-6.1"], "own_kernel": False, "timeout": 300, "memory": "768M",
}

FULL = {
    "stim_allowed": "1", "stim_hubs": "0x2", "areas_um2": "2000 " * 15 + "0 " * 17 + "2000000",
    "amplitude_na": "20000", "charge_fc": "4000000", "density_nc_cm2": "200000", "shannon_pc2_um2": "316227", "net_fc": "0",
    "width_ns": "400000", "gap_ns": "100000", "rate_mhz": "300000", "duty_ppm": "250000", "train_ns": "1000000000",
    "watchdog_ms": "100", "external": "0", "return_amplitude_na": "100000", "return_charge_fc": "20000000",
    "node": "/pcie@10000000/pcie@10,0/neural@0,0", "inhibit": "1", "key": "0", "port_a_max_uv": "5000000",
    "ring_bytes": "33554432", "ring_free_bytes": "33554432",	# its place, which the kernel chooses, is looked at by dt_ring
}
# Everything that is not one number, or a number that makes no sense, is worth what is missing is: nothing.
BROKEN = ZERO | {"stim_allowed": "1", "stim_hubs": "0x4", "areas_um2": "177 177 " + "0 " * 30 + "0", "amplitude_na": "10000", "width_ns": "200000",
                 "train_ns": "500000000", "external": "1", "node": "/pcie@10000000/pcie@11,0/neural@0,0"}
DISABLED = ZERO | {"stim_allowed": "0", "stim_hubs": "0x2", "amplitude_na": "10000", "inhibit": "1", "ring_bytes": "0",
                    "node": "/pcie@10000000/pcie@13,0/neural@0,0"}
RECORDS = ZERO | {"stim_allowed": "0", "stim_hubs": "0x0", "key": "0", "port_b_max_uv": "0",
                  "node": "/pcie@10000000/pcie@14,0/neural@0,0"}
TWO_PORTS = ZERO | {"stim_allowed": "1", "stim_hubs": "0x6", "areas_um2": "100 200 " + "0 " * 30 + "0", "amplitude_na": "10000", "watchdog_ms": "100",
                    "node": "/pcie@10000000/pcie@15,0/neural@0,0"}
BOARD = ZERO | {"stim_allowed": "0", "stim_hubs": "0x0", "inhibit": "1", "node": "/pcie@10000000/usb@18,0/board@1"}

# Lines of the board's controller, as the overlays use them.
SESSION_KEY, SESSION_INHIBIT, USB_INHIBIT, INHIBIT, KEY, OTHER_INHIBIT = 1, 2, 4, 5, 6, 7
ASSERTED, RELEASED = 0, 1	# active low
INHIBITED = 76	# ONI_STIM_INHIBITED
AMPLITUDE, FIRMWARE = 1, 2	# ONI_STIM_AMPLITUDE, ONI_STIM_BY_FIRMWARE
ERANGE = 34

# struct oni_port_power; prints the errno and the largest voltage that would be accepted.
PORT_POWER = """
import fcntl, os, struct, sys
fd = os.open(sys.argv[1], os.O_RDWR)
fcntl.ioctl(fd, 0xB902, bytearray(struct.pack("<2I", 8, 0)))
arg = bytearray(struct.pack("<12I", 48, 0, int(sys.argv[2]), 2, 99, 0, 0, 0, 0, 0, 0, 0))
try:
    fcntl.ioctl(fd, 0xB909, arg)
    print("0")
except OSError as e:
    print(e.errno, struct.unpack("<12I", arg)[8])
"""


def run(lab):
    guest = lab.guest
    lab.equal(guest.gpio_driven(), {}, "no line is driven before there is a driver")

    guest.sh("modprobe oni_riffa")
    place = _firmware.slots(guest)
    found = wait_nodes(lab, CARDS - 1)
    lab.equal(sorted(found), sorted(place[n] for n in range(1, CARDS)), "a card waits for the driver of its supply, the others do not")
    # The kernel may not even have called the driver; then the pull-up or pull-down of the line has to hold it.
    lab.ok(guest.gpio_driven().get(INHIBIT) in (None, 0), "nobody drives the inhibit line of the one that waits inactive")
    log = guest.sh("dmesg")
    guest.sh("modprobe fixed")
    found = wait_nodes(lab, CARDS)
    lab.equal(len(found), CARDS, "it is there when its supply is")

    full = found[place[0]]
    shown = _firmware.read(guest, full)
    lab.match("^0x[0-9a-f]+$", shown.pop("ring_base", ""), "described card: ring_base")
    check(lab, "described card", shown, FULL)
    check(lab, "broken properties", _firmware.read(guest, found[place[1]]), BROKEN)
    check(lab, "no node", _firmware.read(guest, found[place[2]]), {"stim_allowed": "1"})
    check(lab, "disabled", _firmware.read(guest, found[place[3]]), DISABLED)
    lost = _firmware.read(guest, found[place[4]])
    check(lab, "records only, key lost", lost, RECORDS)
    # verifies: R44
    lab.equal(lost.get("key"), "0", "a key that cannot be had counts as off")
    check(lab, "two ports", _firmware.read(guest, found[place[5]]), TWO_PORTS)

    for name in ("return-area-square-micrometers", "stim-max-phase-picocoulombs", "stim-max-charge-density-nanocoulombs-per-square-cm",
                 "stim-shannon-k-centi", "stim-max-rate-hz", "stim-max-duty-percent"):
        lab.match(rf"pcie@11,0/neural@0,0/port@1: open-ephys,{name} makes no sense", log, f"the kernel log names {name}")
    lab.match(r"pcie@11,0/neural@0,0/port@4: no such port", log, "and a port that does not exist")
    lab.match(r"open-ephys,stim-key-gpios: -\d+, no stimulation", log, "and a key that cannot be had")
    lab.match(r"port-b-supply: -\d+, the port stays off", log, "and a supply that cannot be had")
    lab.match(r"pcie@13,0/neural@0,0: memory-region is not what the kernel has reserved from /reserved-memory; no ring can be made", log,
              "and something else than memory for a ring")
    lab.ok("watchdog" not in log, "a property that is missing is not worth a line")

    lines(lab, full)
    supplies(lab, place[0], full, found[place[4]])
    board(lab)
    ceilings(lab, found[place[BOUNDLESS]], found[place[SESSION]])
    session(lab, found[place[SESSION]])

    guest.sh("rmmod oni_riffa oni_ft600 oni")
    driven = guest.gpio_driven()
    # verifies: R10
    lab.equal({n: driven.get(n) for n in (USB_INHIBIT, INHIBIT, OTHER_INHIBIT, SESSION_INHIBIT)},
              {USB_INHIBIT: 1, INHIBIT: 0, OTHER_INHIBIT: 1, SESSION_INHIBIT: ASSERTED},
              "lines stay asserted when the driver goes")
    lab.ok(f"{place[0]}-port-a" not in guest.sh("cat /sys/kernel/debug/regulator/regulator_summary"), "and the supply is given back")


def lines(lab, node):
    guest = lab.guest
    driven = guest.gpio_driven()
    # verifies: R10
    lab.equal(driven.get(INHIBIT), 0, "inhibit, active low: asserted at the pin")
    lab.equal(driven.get(OTHER_INHIBIT), 1, "inhibit, active high: asserted at the pin")
    lab.ok(KEY not in driven, "the key is an input")
    listed = guest.sh("cat /sys/kernel/debug/gpio")
    lab.match(r"open-ephys,stim-inhi\S*\s*\) out lo ACTIVE LOW", listed, "the kernel's list of lines says the same")
    for level in (1, 0, 1):
        guest.gpio_drive(KEY, level)
        lab.equal(guest.sh(f"cat /sys/class/oni/{node}/firmware/key").strip(), str(level), f"the key at {level} is seen")
    lab.equal(guest.sh(f"cat /sys/class/oni/{node}/firmware/inhibit").strip(), "1", "a key alone does not release the inhibit line")


def supplies(lab, bus, node, lost):
    guest = lab.guest
    guest.put("/tmp/port.py", PORT_POWER)
    # Headstage-64 is the one with the highest window.
    errno, most = map(int, guest.sh(f"python3 /tmp/port.py /dev/{node} 1").split())
    # verifies: R21
    lab.equal((errno, most), (ERANGE, 50), "port A is not set to more than its supply of 5 V gives")
    errno, most = map(int, guest.sh(f"python3 /tmp/port.py /dev/{node} 2").split())
    lab.ok(errno == ERANGE and most > 50, "port B, which has none, is bound by the window of the headstage only", f"{errno}, {most}")
    errno, most = map(int, guest.sh(f"python3 /tmp/port.py /dev/{lost} 2").split())
    lab.equal((errno, most), (ERANGE, 0), "a port whose supply cannot be had stays off")
    lab.match(rf"^\s+{bus}-port-a\s+1\s", guest.sh("cat /sys/kernel/debug/regulator/regulator_summary"), "the supply of port A is switched on")


def board(lab):
    guest = lab.guest
    guest.sh("modprobe oni_ft600; modprobe xhci_pci")
    found = wait_nodes(lab, CARDS + 1)
    usb = [node for bus, node in found.items() if re.match(r"\d+-\d+:", bus)]
    if lab.equal(len(usb), 1, "the USB board is there"):
        check(lab, "USB board", _firmware.read(guest, usb[0]), BOARD)
        lab.equal(guest.gpio_driven().get(USB_INHIBIT), 1, "its inhibit line is asserted")


class Session:
    """_stim_session running in the guest."""

    def __init__(self, guest, node):
        self.guest, self.asked, self.pipe = guest, 0, "/tmp/stim.pipe"
        guest.sh(f"rm -f {self.pipe}")
        guest.put("/tmp/stim_session.py", pathlib.Path(__file__).with_name("_stim_session.py").read_text())
        self.command = guest.start(f"exec python3 /tmp/stim_session.py /dev/{node} {self.pipe}")
        self.command.wait_output("^ready$")

    def __call__(self, *words):
        """Have it do these; what it says about the last one."""
        for word in words:
            self.asked += 1
            self.guest.sh(f"echo {word} >{self.pipe}")
            said = json.loads(self.command.wait_output(rf'^{{"n": {self.asked}, .*}}$', 180).group(0))
        return said

    def kill(self):
        self.command.kill(9)
        self.command.wait()


class Trace:
    """What the kernel did to lines and registers meanwhile."""
    EVENTS = "/sys/kernel/tracing/events"

    def __init__(self, guest):
        self.guest, self.text = guest, ""

    def switch(self, on):
        self.guest.sh(f"for e in gpio/gpio_value oni/oni_reg; do echo {on} >{self.EVENTS}/$e/enable; done")

    def __enter__(self):
        self.guest.sh("mountpoint -q /sys/kernel/tracing || mount -t tracefs none /sys/kernel/tracing; echo >/sys/kernel/tracing/trace")
        self.switch(1)
        return self

    def __exit__(self, *what):
        self.switch(0)
        self.text = self.guest.sh("cat /sys/kernel/tracing/trace")


def ended(said, because, state):
    return (said["because"], said["state"]) == (_stim.BECAUSE[because], state)


def ceilings(lab, boundless, described):
    """No policy raises a ceiling of the device tree, and one that is missing allows nothing."""
    do = Session(lab.guest, described)
    said = do("load_strong")
    # verifies: R28
    lab.equal([said[key] for key in ("errno", "code", "contact", "asked", "allowed", "source", "state")],
              [ERANGE, AMPLITUDE, 0, 25000, 20000, FIRMWARE, CLAIMED], "25 uA, which the policy allows, is refused by the 20 uA of the device tree")
    lab.equal(do("load")["errno"], 0, "10 uA is not")
    do.kill()
    do = Session(lab.guest, boundless)
    said = do("load")
    # verifies: R28
    lab.equal([said[key] for key in ("errno", "allowed", "source", "state")], [ERANGE, 0, FIRMWARE, CLAIMED], "a ceiling that is missing allows nothing, whatever the policy says")
    do.kill()


def session(lab, node):
    """The line is released while something is armed, at no other time, and not with the key off."""
    guest, card = lab.guest, lab.sims[SESSION]

    def pin():
        return guest.gpio_driven().get(SESSION_INHIBIT)

    guest.gpio_drive(SESSION_KEY, 0)
    do = Session(guest, node)
    lab.equal((do("start")["state"], pin()), (CLAIMED, ASSERTED), "a session and an acquisition do not release the inhibit line")
    said = do("load")
    lab.equal((said["errno"], said["state"], pin()), (0, LOADED, ASSERTED), "nor does a program that is loaded")
    said = do("arm")
    # verifies: R44
    lab.equal((said["errno"], said["code"], said["state"]), (EPERM, INHIBITED, LOADED), "key off: ARM is refused")
    # verifies: R43, R44
    lab.equal(pin(), ASSERTED, "key off: the inhibit line stays asserted")

    def arm(*words):
        said = do(*words, "arm")
        lab.equal((said["errno"], said["code"], said["state"], pin()), (0, 0, ARMED, RELEASED), f"{' '.join([*words, 'arm'])}: armed, the inhibit line is released")

    guest.gpio_drive(SESSION_KEY, 1)
    lab.equal((do("state")["state"], pin()), (LOADED, ASSERTED), "turning the key on arms nothing")
    arm()
    guest.gpio_drive(SESSION_KEY, 0)
    said = do("ended")
    # verifies: R44
    lab.ok(ended(said, "key", LOADED), "turning the key off ends what is armed", said)
    # verifies: R43, R44
    lab.equal(pin(), ASSERTED, "turned off: the inhibit line is asserted")
    said = do("arm")
    # verifies: R44
    lab.equal((said["errno"], said["code"]), (EPERM, INHIBITED), "turned off: it cannot be armed again")
    guest.gpio_drive(SESSION_KEY, 1)

    arm()
    guest.gpio_drive(SESSION_KEY, 0, 1)
    said = do("ended")
    # verifies: R44
    lab.ok(ended(said, "key", LOADED), "a key that was off for a moment only ends it as well", said)
    lab.match(r"^ *\d+: +[1-9].* oni stim-key$", guest.sh("cat /proc/interrupts"), "it is told by an interrupt")

    arm()
    with Trace(guest) as trace:
        said = do("disarm")
    lab.ok(ended(said, "owner", LOADED), "DISARM ends it", said)
    # verifies: R43
    lab.equal(pin(), ASSERTED, "DISARM: the inhibit line is asserted")
    # Of the one that called; the driver's own thread looks at the key and at the link whenever it is time.
    order = re.findall(r"^ *python3-\d+ .*: (gpio_value: \d+ set|oni_reg: \w+)", trace.text, re.M)
    # verifies: R43
    lab.ok(order[:1] and order[0].endswith(" set") and "oni_reg: write" in order, "DISARM: the line comes before the first register", trace.text[-4000:])
    arm()
    said = do("stop")
    lab.ok(ended(said, "stop", CLAIMED), "the stop node ends it", said)
    # verifies: R43
    lab.equal(pin(), ASSERTED, "stop node: the inhibit line is asserted")
    arm("load")
    said = do("halt")
    lab.ok(ended(said, "acquisition", LOADED), "the end of the acquisition ends it", said)
    # verifies: R43
    lab.equal(pin(), ASSERTED, "acquisition stopped: the inhibit line is asserted")
    arm("start", "load")	# START after STOP resets the card
    said = do("silent", "ended")
    lab.ok(ended(said, "watchdog", FAULT), "an owner that says nothing is a fault", said)
    # verifies: R43
    lab.equal(pin(), ASSERTED, "watchdog: the inhibit line is asserted")
    said = do("ack", "claim", "load")
    lab.equal((said["errno"], said["state"], pin()), (0, LOADED, ASSERTED), "the way back from a fault does not release it")
    arm()
    do.kill()
    # verifies: R43
    lab.equal(pin(), ASSERTED, "owner killed: the inhibit line is asserted")
    lab.equal(guest.sh(f"cat /dev/{node}-stop").strip(), "safe", "and the session has ended")

    do = Session(guest, node)
    arm("start", "load")
    card.control("model port b detach")
    said = do("ended")
    lab.ok(ended(said, "link", FAULT) or ended(said, "hub-reset", FAULT), "a headstage that cannot be reached is a fault", said)
    # verifies: R43
    lab.equal(pin(), ASSERTED, "headstage gone, so that no register of it can be written: the inhibit line is asserted")
    do.kill()
    card.control("model port b attach")
    electrodes = [e for e in card.stim() if e["addr"] >> 8 == 2]
    lab.ok(electrodes and not any(e["phases"] for e in electrodes), "and nothing was ever delivered", electrodes)
