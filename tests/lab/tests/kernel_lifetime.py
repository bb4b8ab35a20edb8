# SPDX-License-Identifier: MIT
"""kernel_lifetime - the card goes away and comes back under every kind of open file.

The selftest runs in the guest and asks for what only the holder of the card can do: pull it without a word, power its slot
off and on. Requests are lines of a file that the host follows; the answer is a file as well.
"""
import re
import time

import lab as labmod

OPTIONS = {"sims": [["--model", "seed=1"]], "timeout": 900, "exclusive": True}

FOLDER = "/run/oni-lab"
ASK = f"""#!/bin/sh
# ask WHAT - have the host do it; exit status 0 when it is done
printf '%s %s\\n' $$ "$1" >>{FOLDER}/requests
for i in $(seq 600); do
	[ -s {FOLDER}/done.$$ ] && exit "$(cat {FOLDER}/done.$$)"
	sleep 0.1
done
exit 1
"""


def serve(lab, what):
    """One request; 0 if it was done."""
    try:
        if what == "unplug":
            lab.sim.control("unplug")
        elif what == "hot-remove":
            lab.guest.unplug()
        elif what == "hot-add":
            lab.guest.plug()
        else:
            raise labmod.LabError("unknown request")
    except labmod.LabError as e:
        lab.note(f"{what}: {e}")
        return 1
    return 0


def follow(lab, program, timeout):
    """Serve requests until the program ends; its finished command."""
    guest = lab.guest
    guest.sh(f"mkdir -p {FOLDER} && : >{FOLDER}/requests")
    guest.put(f"{FOLDER}/ask", ASK, 0o755)
    requests = guest.start(f"tail -n +1 -f {FOLDER}/requests", timeout + 60)
    command = guest.start(f"ONI_LAB_CMD={FOLDER}/ask {program}", timeout)
    end = time.monotonic() + timeout
    served = 0
    while command.rc is None and time.monotonic() < end and not guest.dead:
        lines = re.findall(r"^(\d+) (\S+)\n", requests.out, re.M)
        for pid, what in lines[served:]:
            guest.put(f"{FOLDER}/done.{pid}", str(serve(lab, what)))
            served += 1
        time.sleep(0.05)
    requests.kill()
    return command


def run(lab):
    command = follow(lab, "/usr/lib/oni/lab/oni_lifetime", 700)
    rc = command.wait(5)
    lab.tap(command.out, "oni_lifetime: ")
    if rc:
        lab.note(command.out[-4000:])
    lab.ok(rc in (0, 1), "oni_lifetime came to its end", f"status {rc}")
