# SPDX-License-Identifier: MIT
"""kernel_lifetime - the card goes away and comes back under every kind of open file; modules come and go.

The test program asks for what only the holder of the card can do (ONI_LAB_CMD, see tests/lab/README.md).
"""

# A second to serve an interrupt, not the lab's five: the test of an unbind with a full ring waits 1.5 s for it.
OPTIONS = {"sims": [["--model", "seed=1", "--vector-timeout", "1000"]], "timeout": 900, "exclusive": True}


def run(lab):
    lab.run_tap("ONI_LAB_CMD=/usr/lib/oni-lab/ask /usr/lib/oni/lab/oni_lifetime", "oni_lifetime: ", timeout=800)
