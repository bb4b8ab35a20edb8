# SPDX-License-Identifier: MIT
"""kernel_iommu - the card behind an IOMMU that maps every page by itself and takes it away at once: no fault, nothing left mapped.

The IOMMU has to be there before the card, so the card is plugged again before the driver is loaded.
"""
import json
import re

import _kernel

OPTIONS = {
    "sims": [["--model", "seed=1", "--model", "source=0-63=ramp"]],
    "append": "intel_iommu=on iommu.strict=1 modprobe.blacklist=oni_riffa",
    "qemu": ["-device", "intel-iommu,caching-mode=on,intremap=off"],
    "timeout": 400,
    "long": True,
}

SECONDS = 8
RING = 16 << 20


def mapped(lab):
    """(number, bytes) of the DMA mappings that the IOMMU has given the card."""
    status = lab.sim.status()
    return status["dma_maps"], status["dma_map_bytes"]


def device(guest):
    return guest.sh("basename $(readlink -f /sys/class/oni/oni*/device)").strip()


def count(lab):
    """Every frame of every device through 4 KiB mappings: what the card delivered is what was read."""
    lab.sim.control("reset-counters")
    rc, out = lab.guest.sh(f"/usr/lib/oni/lab/oni_count -r {RING} -t {SECONDS}", SECONDS + 60, check=False)
    if not lab.ok(rc == 0, "streaming: every byte parses as frames", f"status {rc}: {out}"):
        return
    counted = {int(a): n for a, n in json.loads(out.splitlines()[-1])["frames"].items() if n}
    delivered = {a: f["delivered"] for a, f in lab.sim.frames().items() if f["delivered"]}
    lab.equal(counted, delivered, "streaming: frames read = frames delivered, every device")
    _kernel.conserved(lab, "streaming")


def removals(lab, bdf, base):
    """Each way to leave, while streaming; the reader goes on with what comes back."""
    guest, driver = lab.guest, "/sys/bus/pci/drivers/oni_riffa"
    follow = _kernel.Follow(guest, "")
    for number, (what, leave, back) in enumerate((
            ("unbind", lambda: guest.sh(f"echo {bdf} >{driver}/unbind"), lambda: guest.sh(f"echo {bdf} >{driver}/bind")),
            ("slot power off", lambda: guest.sh("echo 0 >/sys/bus/pci/slots/1/power"), guest.plug),
            ("surprise removal", lambda: lab.sim.control("unplug"),
             lambda: (guest.sh("echo 0 >/sys/bus/pci/slots/1/power"), guest.plug())),
    ), 1):
        follow.wait("start", number)
        leave()
        end = follow.wait("end", number)[-1]
        lab.ok(end["ok"] and end["result"] == 19, f"{what}: the life ended as gone, with all it had published", end)
        if what == "unbind":
            lab.equal(mapped(lab), base, "unbind under an open stream: no mapping is left")
        back()
    follow.wait("start", 4)
    rc, bye = follow.stop()
    lab.ok(rc == 0 and bye["ends"] == 4, "the reader went through all of it", bye)


def run(lab):
    guest = lab.guest
    _kernel.slots_by_guest(guest)
    guest.sh("echo 0 >/sys/bus/pci/slots/1/power")
    guest.plug()
    guest.sh("for i in $(seq 100); do lspci -n -d 10ee:7024 | grep -q . && break; sleep 0.1; done; udevadm settle")
    base = mapped(lab)
    guest.sh("modprobe oni_riffa && udevadm settle")
    bdf = device(guest)
    lab.match(r"DMAR: Intel\(R\) Virtualization Technology for Directed I/O", guest.sh("dmesg"), "the IOMMU is in use")
    lab.equal(guest.sh(f"cat /sys/bus/pci/devices/{bdf}/iommu_group/type").strip(), "DMA", "the card's domain translates, strictly")

    lab.note(f"mappings: {base} without a driver, {mapped(lab)} with an idle one")
    lab.ok(mapped(lab)[1] > base[1], "the driver's own memory is mapped", f"{base}, then {mapped(lab)}")
    count(lab)
    lab.run_tap("/usr/lib/oni/selftests/oni_control", "oni_control: ", timeout=240)
    removals(lab, bdf, base)

    guest.sh("modprobe -r oni_riffa")
    lab.equal(mapped(lab), base, "driver unloaded: no mapping is left")
    guest.sh("modprobe oni_riffa && udevadm settle")
    _kernel.works(lab, "bound once more")
    log = guest.sh("dmesg")
    lab.equal(re.findall(r".*(?:DMAR:.*fault|DMAR:.*DRHD: handling|DMA (?:Write|Read).*fault).*", log), [], "no DMA fault")
    lab.equal(lab.sim.status().get("violation.dma-fault", 0), 0, "the card was never told an address that is not mapped for it")
