# SPDX-License-Identifier: MIT
"""selftests - every kselftest program, with the driver bound to a simulated card."""

OPTIONS = {
    "sims": [["--model", "seed=1"]],
    "data": "256M",
    "timeout": 900,
}

FOLDER = "/usr/lib/oni/selftests"
# Helpers of scenarios that live in the same folder and are no test programs by themselves.
HELPERS = {"oni_count"}


def run(lab):
    guest = lab.guest
    lab.ok(guest.sh("test -c /dev/oni0 && echo yes", check=False)[1].strip() == "yes", "udev made /dev/oni0 at boot")
    programs = [p for p in guest.sh(f"ls {FOLDER}").split() if p not in HELPERS]
    lab.ok(programs, "selftests are installed")
    for program in programs:
        lab.run_tap(f"cd {FOLDER} && ONI_LAB_CMD=/usr/lib/oni-lab/ask ./{program}", f"{program}: ", timeout=300)
