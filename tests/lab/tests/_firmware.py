# SPDX-License-Identifier: MIT
"""_firmware - what the dt_* scenarios share: cards by their slot, and what was read about each."""
import re

BY_BUS = "for d in /sys/class/oni/oni*; do [ -e $d ] && echo $(basename $(readlink -f $d/device)) ${d##*/}; done; true"
# A card that is described without a ceiling. 32 contacts and the return.
ZERO = {"amplitude_na": "0", "charge_fc": "0", "density_nc_cm2": "0", "shannon_pc2_um2": "0", "net_fc": "0", "width_ns": "0", "gap_ns": "0",
        "rate_mhz": "0", "duty_ppm": "0", "train_ns": "0", "watchdog_ms": "0", "external": "0", "return_amplitude_na": "0",
        "return_charge_fc": "0", "areas_um2": "0 " * 32 + "0"}


def wait_nodes(lab, n):
    """{bus address: node} when there are n, or after a while. A card's address is that in its slot, the USB board's an interface."""
    for _ in range(100):
        found = dict(line.split() for line in lab.guest.sh(BY_BUS).splitlines())
        if len(found) >= n:
            break
        lab.guest.sh("sleep 0.3")
    return found


def slots(guest):
    """{slot: bus address} of the cards: root ports are at device 0x10 and up."""
    out = guest.sh("for d in /sys/bus/pci/devices/*:00:1[0-7].0/*:00.0; do [ -e $d ] && echo $d; done; true")
    return {int(re.search(r":00:1([0-7])\.0/", line).group(1)): line.rsplit("/", 1)[1] for line in out.split()}


def read(guest, node):
    """Everything in its firmware/ folder."""
    out = guest.sh(f"cd /sys/class/oni/{node}/firmware && grep -H . * || true")
    return dict(line.split(":", 1) for line in out.splitlines())


def check(lab, what, got, expected):
    for name in sorted(set(got) | set(expected)):
        lab.equal(got.get(name), expected.get(name), f"{what}: {name}")
