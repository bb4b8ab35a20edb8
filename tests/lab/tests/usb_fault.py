# SPDX-License-Identifier: MIT
"""usb_fault - short and empty packets, halted pipes, sessions that end, late and cut replies: an acquisition goes on or ends with an error, a reset cures.

Nothing is lost without a word: what was read are whole frames without a gap, whatever happened to the transfers.
"""
import time

import lab as labmod

import _kernel
import _usb

OPTIONS = {"sims": [_usb.BOARD], "timeout": 400, "kernels": _usb.KERNELS, "long": True}

EIO = 5
# The reader does not read while it stops. What the driver has taken from the board then, and has no room for, is dropped.
WAITING = 512 * 1024 // 24


def spent(lab, kind):
    """Was the order carried out?"""
    try:
        lab.sim.control(f"fault spent {kind}")
        return True
    except labmod.LabError:
        return False


def order(lab, text):
    """Have the fault carried out: whether it was in time."""
    lab.sim.control(f"fault {text}")
    kind = text.split()[0]
    for _ in range(100):
        if spent(lab, kind):
            return True
        time.sleep(0.1)
    return False


def errors(lab):
    return int(_kernel.attributes(lab.guest, "stats/link_errors")[0])


def goes_on(lab, what, *faults):
    """An acquisition with these faults in it ends at its stop, whole."""
    before, delivered = errors(lab), _kernel.totals(lab.sim)["delivered"]
    follow = _kernel.Follow(lab.guest, "-n 1", 120)
    follow.wait("start", 1)
    done = all(order(lab, fault) for fault in faults)
    time.sleep(1.5)
    follow.stop()
    end = follow.events("end")[-1]
    lab.ok(done, f"{what}: happened", [line for line in lab.sim.control("status") if "fault" in line])
    lab.ok(end["ok"] and end["result"] == 0, f"{what}: the acquisition went on, whole, to its stop", end)
    unseen = _kernel.totals(lab.sim)["delivered"] - delivered - end["frames"]
    lab.ok(0 <= unseen <= WAITING, f"{what}: frames read = frames delivered, but for what found the ring full at the stop",
           f"{unseen} frames were not read")
    lab.equal(errors(lab), before, f"{what}: no link error")
    return end


def ends(lab, what, provoke, replug=False):
    """An acquisition in which PROVOKE is called ends with EIO; the next one works, after a reset."""
    before = errors(lab)
    follow = _kernel.Follow(lab.guest, "-n 1", 120)
    follow.wait("start", 1)
    provoke()
    end = follow.wait("end", 1)[-1]
    lab.ok(end["ok"] and end["result"] == EIO, f"{what}: the acquisition ended with EIO, whole up to there", end)
    lab.ok(errors(lab) > before, f"{what}: a link error was counted")
    follow.command.wait(60)
    lab.sim.control("fault clear")
    if replug:
        _usb.pull(lab)
        _usb.plug(lab)
    else:
        lab.guest.sh("onictl reset")
    _kernel.works(lab, f"{what}, then {'a replug' if replug else 'a reset'}")


def one_halt(lab):
    """Cleared once without a word. QEMU's xHCI goes on with what is queued behind a halt; if that takes long there are more halts than one."""
    follow = _kernel.Follow(lab.guest, "-n 1", 120)
    follow.wait("start", 1)
    happened = order(lab, "usb-stall 1")
    time.sleep(2)
    if not follow.events("end"):
        follow.command.kill()
    end = follow.wait("end", 1)[-1]
    follow.command.wait(60)
    lab.ok(happened and end["ok"] and end["result"] in (0, EIO), "a halt: whole, to the stop or to EIO", end)
    lab.note(f"a halt: ended with {end['result']}")
    _usb.pull(lab)
    _usb.plug(lab)


def halts(lab):
    one_halt(lab)
    # After so many the kernel's xHCI driver has lost its place in QEMU's: only a replug helps there.
    ends(lab, "a pipe that halts again and again", lambda: lab.sim.control("fault usb-stall 1000"), replug=True)

    def command():
        lab.sim.control("fault usb-out-stall 1 ch=3")
        lab.guest.sh("onictl reg read 0 1", check=False)

    ends(lab, "a command pipe that halts", command)


def replies(lab):
    """The dialogue of registers."""
    guest = lab.guest

    def read():
        rc, out = guest.sh("onictl reg read 0 1", 60, check=False)
        return rc, out

    for kind in ("usb-reply-split 40", "usb-reply-garbage 7 3", "usb-reply-late 1 300"):
        lab.sim.control(f"fault {kind}")
        rc, out = read()
        lab.ok(rc == 0 and spent(lab, kind.split()[0]) or kind.startswith("usb-reply-split"), f"{kind}: the register was read", out)
        lab.sim.control("fault clear")
    lab.sim.control("fault usb-reply-late 1 4000")
    began = time.monotonic()
    rc, out = read()
    lab.ok(rc != 0, "an answer that does not come in 2 s is an error", out)
    lab.equal(_kernel.attributes(guest, "state")[0], "fault", "and the link is in fault, since it may come later")
    time.sleep(4)
    guest.sh("onictl reset")
    rc, out = read()
    lab.ok(rc == 0, "a reset cures it", out)
    lab.note(f"{time.monotonic() - began:.1f} s")


def run(lab):
    goes_on(lab, "300 short packets", "usb-short 300 7")
    goes_on(lab, "an empty packet", "usb-zlp 1")
    goes_on(lab, "1000 empty packets in a row", "usb-zlp 1000")
    goes_on(lab, "a session that ends without a word", "usb-session-end 1")
    replies(lab)
    halts(lab)
    _kernel.works(lab, "after all faults")
    _kernel.conserved(lab, "after all faults")
