# SPDX-License-Identifier: MIT
"""usb_variants - what is not known of the chip, both ways: sessions, overlaps, short packets, speed, both kinds of credit; and suspend and reset of the bus."""
import _kernel
import _usb

# Bursts of a length that is no whole number of packets end with a short one, which ends a session or does not.
VARIANTS = {
    "KEEP": ["--session", "keep", "--overlap", "replace", "--burst", "5000"],
    "HIGH": ["--usb-speed", "high", "--burst", "3996"],
    "SLOW": ["--idle-short", "2000"],
}
OPTIONS = {"sims": [[*_usb.BOARD, "--serial", serial, *words] for serial, words in VARIANTS.items()], "timeout": 500,
           "append": "suspend.pm_test_delay=1", "kernels": _usb.KERNELS, "long": True}

STOPPED, RUNNING = 0x2, 0x1


def all_variants(lab, credit):
    for serial, sim in zip(VARIANTS, lab.sims):
        seen = _usb.count(lab, f"{credit}, {serial}", 2, "-b 4096", f"/dev/oni/by-id/oni_ft600-{serial}", sim)
        status = sim.status()
        lab.note({k: status[f"usb.session.{k}"] for k in ("reads", "streams", "overlaps")} | {"short blocks": seen and seen["short_blocks"]})


def pauses(lab, what, how):
    """An acquisition ends as stopped; nothing starts by itself; the next one works."""
    follow = _kernel.Follow(lab.guest, "-n 1", 200)
    follow.wait("start", 1)
    how()
    end = follow.wait("end", 1)[0]
    follow.command.wait(60)
    lab.ok(end["ok"] and (end["result"], end["flags"] & (STOPPED | RUNNING)) == (0, STOPPED), f"{what}: the stream ended as stopped, whole", end)
    node = end["node"].rpartition("/")[2]
    lab.equal(lab.guest.sh(f"cat /sys/class/oni/{node}/state").strip(), "idle", f"{what}: idle afterwards")
    _kernel.works(lab, what)


def bus_reset(guest):
    """Of the device that the first node belongs to."""
    guest.sh("""d=$(dirname $(readlink -f /sys/class/oni/oni0/device))
python3 - /dev/bus/usb/$(printf %03d/%03d $(cat $d/busnum $d/devnum)) <<'END'
import fcntl, os, sys
fcntl.ioctl(os.open(sys.argv[1], os.O_WRONLY), 0x5514, 0)	# USBDEVFS_RESET
END""")


def run(lab):
    guest = lab.guest
    for serial in VARIANTS:
        guest.sh(f"for i in $(seq 100); do test -e /dev/oni/by-id/oni_ft600-{serial} && exit; sleep 0.2; done; exit 1")
    all_variants(lab, "request")
    pauses(lab, "suspend", lambda: guest.sh("echo devices >/sys/power/pm_test && echo mem >/sys/power/state", 90))
    pauses(lab, "reset of the bus", lambda: bus_reset(guest))
    guest.sh("modprobe -r oni_ft600")
    rc, out = guest.sh("modprobe oni_ft600 credit=cash", check=False)
    lab.ok(rc != 0, "an unknown kind of credit is refused", out)
    guest.sh("modprobe oni_ft600 credit=stream && udevadm settle")
    all_variants(lab, "stream")
    for serial, sim in zip(VARIANTS, lab.sims):
        lab.equal(sim.violations(), [], f"{serial}: nothing that the chip forbids")
