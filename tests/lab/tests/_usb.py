# SPDX-License-Identifier: MIT
"""_usb - what the usb_* scenarios share: the board by its place on the bus, counts of frames, unplug and replug."""
import json

import lab as labmod

BOARD = ["--board", "acq", "--model", "seed=1"]
DRIVER = "/sys/bus/usb/drivers/oni_ft600"
# Whatever knows USB 3 and has our transport. The kernels of others than the guest are for kernel_* scenarios unless listed.
KERNELS = ["debug-6.1", "debug-6.12", "debug-7.3", "stock-6.12", "stock-7.3"]
# Frames of transfers that were complete when the board left, and whose end the guest did not see any more.
LOST_ON_THE_WAY = 512 * 1024 // 24


def interfaces(guest):
    """{number: name} of the interfaces that the driver has."""
    names = guest.sh(f"cd {DRIVER} && ls -d *:*.* 2>/dev/null || true").split()
    return {int(name.rpartition(".")[2]): name for name in names}


def nodes(guest):
    """The nodes there are. A number is given again when nothing of the old one is left, so a board that comes back may have another."""
    return guest.sh("ls -d /dev/oni[0-9]* 2>/dev/null || true").split()


def wait_node(guest, there=True):
    """Until a node is there, or none is."""
    labmod.wait_for(f"a node {'there' if there else 'gone'}", 30, lambda: bool(nodes(guest)) == there)
    guest.sh("udevadm settle")


def pull(lab):
    lab.sim.control("unplug")
    wait_node(lab.guest, False)


def plug(lab):
    lab.sim.control("plug")
    wait_node(lab.guest)


def count(lab, what, seconds, options="", device=None, sim=None):
    """Count that an acquisition of all devices delivers every frame that the board delivered, once; what oni_count says."""
    sim, device = sim or lab.sim, device or nodes(lab.guest)[0]
    sim.control("reset-counters")
    rc, out = lab.guest.sh(f"ONI_DEVICE={device} /usr/lib/oni/lab/oni_count -n -t {seconds} {options}", seconds + 90, check=False)
    if not lab.ok(rc == 0, f"{what}: every byte parses as frames", f"status {rc}: {out}"):
        return None
    seen = json.loads(out.splitlines()[-1])
    delivered = {a: f["delivered"] for a, f in sim.frames().items() if f["delivered"]}
    lab.equal({int(a): n for a, n in seen["frames"].items() if n}, delivered, f"{what}: frames read = frames delivered, every device")
    lab.equal(seen["bytes"], sim.status()["bytes"], f"{what}: bytes published = bytes delivered")
    lab.ok(sum(delivered.values()) > 1000 * seconds, f"{what}: devices ran", delivered)
    return seen
