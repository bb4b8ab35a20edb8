# SPDX-License-Identifier: MIT
"""card - the simulated card in its slot: enumeration, orderly hot-unplug and replug, surprise removal.

Needs no driver: it proves the bench (onisim, QEMU, hot-plug slot) by PCI configuration space alone.
"""

OPTIONS = {"sims": [["--model", "seed=1"]], "append": "modprobe.blacklist=oni_riffa", "timeout": 240}

IDS = "10ee:7024"


def slots(lab):
    return lab.guest.sh(f"lspci -n -d {IDS} | wc -l").strip()


def run(lab):
    guest = lab.guest
    lab.equal(slots(lab), "1", "the guest sees one card")
    text = guest.sh(f"lspci -vv -n -d {IDS}")
    lab.match(r"Region 0: Memory at \w+ \(32-bit, non-prefetchable\) .*\[size=1K\]", text, "BAR 0 is 1 KiB of 32-bit memory")
    lab.match(r"MSI: Enable. Count=1/1 Maskable. 64bit\+", text, "one MSI vector, 64-bit capable")
    lab.match(r"LnkSta:\s+Speed 5GT/s.*Width x4", text, "link is gen 2 x4")

    guest.unplug()
    guest.sh("udevadm settle")
    lab.equal(slots(lab), "0", "an orderly hot-unplug removes it")
    guest.plug()
    guest.sh(f"for i in $(seq 100); do lspci -n -d {IDS} | grep -q . && break; sleep 0.1; done; udevadm settle")
    lab.equal(slots(lab), "1", "plugging it again brings it back")

    guest.sh(f"setpci -d {IDS} 0.w")
    lab.sim.control("unplug")
    lab.equal(guest.sh("setpci -s $(lspci -n | awk '$3 == \"10ee:7024\" { print $1 }') 0.w", check=False)[1].strip(), "ffff",
              "after a surprise removal configuration space reads all ones")
