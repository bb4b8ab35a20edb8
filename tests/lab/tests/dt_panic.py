# SPDX-License-Identifier: MIT
"""dt_panic - a kernel that goes down while something is armed takes the supply from the stimulators on its way."""
import _firmware
import dt_arm64
from _stim import ARMED

# The card that dt_arm64 arms, in the same slot.
OPTIONS = {
    **dt_arm64.OPTIONS, "sims": [None] * dt_arm64.SESSION + [dt_arm64.OPTIONS["sims"][dt_arm64.SESSION]],
    "append": "panic=0", "panics": True, "timeout": 200,
    "reports": [r"^.*sysrq: Trigger a crash\n(?:.*\n)*?.*Memory Limit: none$", r"^.*end Kernel panic - not syncing: sysrq triggered crash.*$"],
}


def run(lab):
    guest = lab.guest
    guest.sh("modprobe oni_riffa")
    node = next(iter(_firmware.wait_nodes(lab, 1).values()))

    def pin():
        return guest.gpio_driven().get(dt_arm64.SESSION_INHIBIT)

    guest.gpio_drive(dt_arm64.SESSION_KEY, 1)
    do = dt_arm64.Session(guest, node)
    said = do("start", "load", "arm")
    lab.equal((said["errno"], said["state"], pin()), (0, ARMED, dt_arm64.RELEASED), "armed, the inhibit line is released")
    guest.panic()
    # verifies: R43
    lab.equal(pin(), dt_arm64.ASSERTED, "kernel panic: the inhibit line is asserted")
