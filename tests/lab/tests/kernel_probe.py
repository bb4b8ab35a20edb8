# SPDX-License-Identifier: MIT
"""kernel_probe - only cards that match are claimed; another design with the same ids is left alone with one log line."""
import re

GOOD = ["--model", "seed=1"]
# What sits in the slots, and what the driver must say about it (None: nothing, it is not even looked at).
CARDS = [
    (["--pci-device", "10ee:7025", *GOOD], None, "another device id"),
    (["--pci-device", "1172:7024", *GOOD], None, "another vendor id"),
    (["--bar-size", "2048", *GOOD], r"BAR 0 has 2048 bytes", "a longer BAR"),
    (["--bar-size", "512", *GOOD], r"BAR 0 has 512 bytes", "a shorter BAR"),
    (["--info", "0xffffffff", *GOOD], r"core settings 0xffffffff", "INFO all ones"),
    (["--info", "0x00100803", *GOOD], r"core settings 0x001008", "a core with three channels"),
    (["--info", "0x00000884", *GOOD], r"core settings 0x000008", "a core without bus width"),
    (GOOD, None, "a real card"),
]
OPTIONS = {"long": True, "sims": [card for card, _, _ in CARDS], "timeout": 240}


def run(lab):
    guest = lab.guest
    nodes = guest.sh("ls -d /dev/oni[0-9]*").split()
    lab.equal(nodes, ["/dev/oni0", "/dev/oni0-stim", "/dev/oni0-stop"], "one card of eight is claimed")
    guest.sh("modprobe oni_riffa && udevadm settle")
    log = guest.sh("dmesg")
    bdfs = dict(re.findall(r"^(\d+) (\S+)$", guest.sh(
        'for s in /sys/bus/pci/slots/*; do echo "$(basename $s) $(cat $s/address).0"; done'), re.M))
    for slot, (_, pattern, what) in enumerate(CARDS, 1):
        bdf = bdfs.get(str(slot))
        lab.equal(guest.sh(f"test -d /sys/bus/pci/devices/{bdf} && echo yes || echo no").strip(), "yes", f"{what}: the guest has it")
        driver = guest.sh(f"basename $(readlink /sys/bus/pci/devices/{bdf}/driver || echo none)").strip()
        lab.equal(driver, "oni_riffa" if what == "a real card" else "none", f"{what}: driver bound to it")
        lines = re.findall(rf"oni_riffa {bdf}: .*left alone", log)
        if pattern:
            lab.ok(len(lines) == 1 and re.search(pattern, lines[0]), f"{what}: one log line that says why", lines)
        else:
            lab.equal(re.findall(rf"oni_riffa {bdf}: (?!enabling device).*", log), [], f"{what}: no log line")
        if what != "a real card":
            status = lab.sims[slot - 1].status()
            lab.equal((status["blocks"], status["running"]), (0, 0), f"{what}: nothing was started on it")
            if pattern is None or "BAR" in pattern:
                lab.equal((status["mmio_reads"], status["mmio_writes"]), (0, 0), f"{what}: no register was touched")
