# SPDX-License-Identifier: MIT
"""kernel_shutdown - a machine that goes down while it streams leaves a quiet card: stopped, stimulators safe, no bus master.

Nobody stops the reader first: the reboot is forced. After a kexec, which resets no device, the next kernel finds the card as it was left;
at a power-off QEMU pauses, and the card is looked at in that moment.
"""
import re

import _kernel
import lab as labmod

OPTIONS = {"long": True, "sims": [["--model", "seed=1"]], "timeout": 400}

KEXEC = """
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
kernel, initrd, line = os.open(sys.argv[1], os.O_RDONLY), os.open(sys.argv[2], os.O_RDONLY), sys.argv[3].encode() + b"\\0"
if libc.syscall(320, kernel, initrd, ctypes.c_ulong(len(line)), line, 0):
    sys.exit(f"kexec_file_load: {os.strerror(ctypes.get_errno())}")
"""
COMMAND_MASTER = 0x4


def streaming(lab):
    """Start a reader with powered stimulators; what they had been sent by then."""
    follow = _kernel.Follow(lab.guest, "-p")
    follow.wait("start", 1)
    lab.equal(lab.sim.status()["running"], 1, "an acquisition runs")
    return _kernel.stim_writes(lab.sim)


def expect_quiet(lab, what, before):
    status = lab.sim.status()
    lab.equal(status["running"], 0, f"{what}: the acquisition is stopped")
    _kernel.made_safe(lab, before, 1, what)


def bus_master(lab, base):
    """Bit of the command register as QEMU reads it, by the memory-mapped configuration space at BASE; the card is on bus 1."""
    text = lab.guest.qmp.execute("human-monitor-command", {"command-line": f"xp /1hx {base + (1 << 20) + 4:#x}"})
    return int(text.split()[-1], 16) & COMMAND_MASTER


def put_large(guest, path, data, piece=200000):
    """As Guest.put, in pieces: the agent takes a request as one line."""
    for n in range(0, len(data), piece):
        guest.put(f"{path}.{n:09}", data[n:n + piece])
    guest.sh(f"cat {path}.* >{path} && rm {path}.*")


def kexec(lab):
    guest, image = lab.guest, labmod.image("guest")
    guest.put("/root/kexec.py", KEXEC)
    put_large(guest, "/root/vmlinuz", (image / "vmlinuz").read_bytes())
    put_large(guest, "/root/initrd.img", (image / "initrd.img").read_bytes())
    line = guest.sh("cat /proc/cmdline").strip() + " modprobe.blacklist=oni_riffa lab_kexec"
    guest.sh(f"python3 /root/kexec.py /root/vmlinuz /root/initrd.img '{line}'", 120)
    before = streaming(lab)
    guest.ready.clear()
    guest.start("sync; python3 -c 'import ctypes; ctypes.CDLL(None).reboot(0x45584543)'")
    guest.wait_boot()
    lab.match(r"lab_kexec", guest.sh("cat /proc/cmdline"), "kexec: the next kernel runs")
    expect_quiet(lab, "kexec", before)
    command = guest.sh("setpci -d 10ee:7024 COMMAND.w").strip()
    lab.equal(int(command, 16) & COMMAND_MASTER, 0, "kexec: the next kernel finds that the card is no bus master")
    guest.sh("modprobe oni_riffa && udevadm settle")
    lab.equal(_kernel.attributes(guest, "state", "stim_safe"), ["idle", "1"], "kexec: the next driver takes the card over")
    _kernel.works(lab, "kexec")


def power_off(lab):
    guest, qmp = lab.guest, lab.guest.qmp
    base = int(re.search(r"MMCONFIG .*\[mem 0x([0-9a-f]+)-", guest.sh("dmesg")).group(1), 16)
    before = streaming(lab)
    lab.equal(bus_master(lab, base), COMMAND_MASTER, "the card is bus master meanwhile")
    qmp.execute("set-action", {"shutdown": "pause"})
    since = len(qmp.events)
    guest.start("sync; systemctl poweroff --force --force")
    qmp.wait_event("STOP", since, 90)
    expect_quiet(lab, "power-off", before)
    lab.equal(bus_master(lab, base), 0, "power-off: bus mastering is off")
    # On with a new life, for the verdict.
    qmp.execute("set-action", {"shutdown": "poweroff", "reboot": "reset"})
    guest.ready.clear()
    qmp.execute("system_reset")
    qmp.execute("cont")
    guest.wait_boot()
    _kernel.works(lab, "power-off and on again")
    qmp.execute("set-action", {"reboot": "shutdown"})


def run(lab):
    kexec(lab)
    power_off(lab)
    _kernel.conserved(lab, "after all of it")
