# SPDX-License-Identifier: MIT
"""dt_acpi - ceilings in ACPI tables are read as those of a device tree; a node that says nothing about stimulation bounds nothing."""
import _firmware

OPTIONS = {"sims": [["--model", f"seed={n}"] for n in range(3)], "acpi": ["tests/lab/tests/dt_acpi.asl"], "timeout": 200}

BOUNDS = _firmware.ZERO | {
    "stim_allowed": "1", "stim_hubs": "0x2", "areas_um2": "2000 0 2000 " + "0 " * 29 + "0", "amplitude_na": "20000", "charge_fc": "4000000",
    "shannon_pc2_um2": "316227", "node": "\\_SB.PCI0.S80.S00",
}


def run(lab):
    place = _firmware.slots(lab.guest)
    found = _firmware.wait_nodes(lab, 3)
    _firmware.check(lab, "ceilings in ACPI", _firmware.read(lab.guest, found[place[0]]), BOUNDS)
    _firmware.check(lab, "a node without", _firmware.read(lab.guest, found[place[1]]), {"stim_allowed": "1", "node": "\\_SB.PCI0.S88.S00"})
    _firmware.check(lab, "as the machine has it", _firmware.read(lab.guest, found[place[2]]), {"stim_allowed": "1", "node": "\\_SB.PCI0.S90.S00"})
    log = lab.guest.sh("dmesg")
    for name in ("stim-max-rate-hz", "stim-max-train-ms"):
        lab.match(rf"open-ephys,{name} makes no sense", log, f"the kernel log names {name}")
