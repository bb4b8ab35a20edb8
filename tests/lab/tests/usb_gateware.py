# SPDX-License-Identifier: MIT
"""usb_gateware - analog outputs whose frames have another size: those of gateware 1 are known, any other takes none and is not called safe."""
import errno

import _usb
import usb_outputs

GATEWARE_1, UNKNOWN = ["--serial", "GATEWARE1", "--model", "dac-bytes=16"], ["--serial", "UNKNOWN", "--model", "dac-bytes=64"]
OPTIONS = {"sims": [[*_usb.BOARD, "--model", "left-driven=1", *more] for more in (GATEWARE_1, UNKNOWN)], "timeout": 300}

TTL, DAC, LEFT = usb_outputs.TTL, usb_outputs.DAC, 0xffff


def steps(lab, serial, *steps):
    """What became of the steps of an owner of that board."""
    out = lab.guest.sh(f"python3 /root/owner.py /dev/oni/by-id/oni_ft600-{serial} {' '.join(steps)}", 120)
    return [int(line.split()[-1]) for line in out.splitlines() if line.startswith("end")]


def analog(sim):
    status = sim.status()
    return [status[f"model.dac.{n}"] for n in range(usb_outputs.CHANNELS)]


def safe(lab, serial):
    return lab.guest.sh(f"cat /sys/class/oni/$(basename $(readlink -f /dev/oni/by-id/oni_ft600-{serial}))/stim_safe").strip()


def run(lab):
    first, unknown = lab.sims
    lab.guest.sh("for i in $(seq 300); do [ $(ls /dev/oni/by-id/ 2>/dev/null | wc -l) = 2 ] && break; sleep 0.1; done; udevadm settle")
    lab.guest.put("/root/owner.py", usb_outputs.OWNER)
    lab.equal((analog(first)[:4], safe(lab, "GATEWARE1")), ([0x8000] * 4, "1"), "gateware 1: four outputs at 0 V after the probe, safe")
    lab.equal(steps(lab, "GATEWARE1", "claim", f"words,{DAC:#x},1,2,3,0x10000"), [0, errno.EPERM], "a code of more than 16 bits is refused")
    with usb_outputs.owner(lab, "claim", f"words,{DAC:#x},1,2,3,0xffff", node="/dev/oni/by-id/oni_ft600-GATEWARE1") as command:
        lab.equal(analog(first)[:4], [1, 2, 3, 0xffff], "the owner sets them")
        usb_outputs.ends(command)
    lab.equal(analog(first)[:4], [0x8000] * 4, "and they are at 0 V after it")

    lab.equal((unknown.status()["model.ttl.out"], analog(unknown)), ("0x0000", [LEFT] * 16), "unknown frames: none is sent; what is known is at 0")
    lab.equal(safe(lab, "UNKNOWN"), "0", "and it is not called safe")
    lab.match(r"outputs did not take their 0: -95", lab.guest.sh("dmesg"), "the log says so")
    tried = steps(lab, "UNKNOWN", "claim", "codes," + ",".join([hex(DAC)] + ["0"] * 32), f"words,{TTL:#x},1")
    lab.equal(tried, [0, errno.EPERM, 0], "frames of that size are refused, TTL frames are not")
    lab.equal(unknown.status()["model.ttl.out"], "0x0000", "and TTL lines go to 0 after them")
    lab.equal([s.status().get("model.bad_write_frames") for s in lab.sims], [0, 0], "no board got a frame that it does not take")
