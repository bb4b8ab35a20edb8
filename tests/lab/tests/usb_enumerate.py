# SPDX-License-Identifier: MIT
"""usb_enumerate - the simulated Acquisition Board on an emulated xHCI: what the guest's kernel makes of its descriptors; pulling and plugging it.

Needs no driver: it proves the bench (onisim, usb-redir, QEMU) by sysfs alone.
"""

OPTIONS = {"sims": [["--board", "acq", "--model", "seed=1"]], "append": "modprobe.blacklist=oni_ft600", "timeout": 240}

PRODUCT = "Open Ephys FT600 USB board"
ENDPOINTS = {	# address: interface, type, packet, interval
    "ep_01": (0, "Bulk", 1024, "00"), "ep_81": (0, "Interrupt", 64, "09"), "ep_02": (1, "Bulk", 1024, "00"),
    "ep_82": (1, "Bulk", 1024, "00"), "ep_03": (1, "Bulk", 1024, "00"), "ep_83": (1, "Bulk", 1024, "00"),
}
FIND = "for d in /sys/bus/usb/devices/*; do [ \"$(cat $d/idVendor 2>/dev/null):$(cat $d/idProduct 2>/dev/null)\" = 0403:601e ] && echo $d; done; true"


def find(guest, wanted):
    """The board's directory in sysfs, or an empty string; waits for it to come or go."""
    return guest.sh(f"for i in $(seq 150); do d=$({FIND}); [ {'-n' if wanted else '-z'} \"$d\" ] && break; sleep 0.1; done; echo \"$d\"").strip()


def run(lab):
    guest = lab.guest
    board = find(guest, True)
    if not lab.ok(board, "the guest's kernel found the board", guest.sh("dmesg | tail -30")):
        return

    def attribute(name):
        return guest.sh(f"cat {board}/{name}").strip()

    for name, value in (("speed", "5000"), ("version", "3.10"), ("bcdDevice", "0000"), ("bDeviceClass", "ef"), ("bDeviceProtocol", "01"), ("bMaxPacketSize0", "9"),
                        ("bNumInterfaces", "2"), ("bConfigurationValue", "1"), ("bMaxPower", "96mA"),
                        ("manufacturer", "Open Ephys"), ("product", PRODUCT), ("serial", "ONISIM0001")):
        lab.equal(attribute(name), value, f"{name} is {value}")

    # Of the attributes, e0, QEMU's usb-redir takes away that the device can wake its host.
    raw = bytes.fromhex(guest.sh(f"od -An -v -tx1 {board}/descriptors"))
    lab.equal(len(raw), 18 + 113, "device and configuration descriptor have 18 and 113 bytes")
    lab.equal(raw[18:27].hex(), "09027100020100c00c", "the configuration is self powered and takes 96 mA")
    for ep, (interface, kind, packet, interval) in ENDPOINTS.items():
        got = guest.sh(f"cd {board}/*:1.{interface}/{ep} && cat type wMaxPacketSize bInterval").split()
        lab.equal((got[0], int(got[1], 16), got[2]), (kind, packet, interval), f"interface {interface} has {ep}")
    lab.equal(guest.sh(f"ls -d {board}/*:1.*/ep_* | wc -l").strip(), str(len(ENDPOINTS)), "there is no other endpoint")
    lab.equal(lab.sim.status()["usb.configuration"], 1, "the board is configured")

    lab.sim.control("unplug")
    lab.equal(find(guest, False), "", "a pulled cable removes it")
    lab.sim.control("plug")
    board = find(guest, True)
    lab.ok(board, "plugging it again brings it back", guest.sh("dmesg | tail -30"))
    lab.equal(attribute("product"), PRODUCT, "and it is the same")
