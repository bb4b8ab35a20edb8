# SPDX-License-Identifier: MIT
"""kernel_failnth - every allocation and every user copy of every call fails once; each failure has its errno, leaks nothing, leaves a good controller.

ONI_FAILNTH_ALL=1 leaves none out. Leaks show in the verdict: the modules must unload, and kmemleak must find nothing.
"""

import os

ALL = os.environ.get("ONI_FAILNTH_ALL", "0") == "1"
SECONDS = 1200 if ALL else 380
REPORTS = [
    # The kernel's own allocations fail as well. A new process that gets no stack is reported with all of memory,
    r"^.*vmalloc error: size .*\n(?:(?!.*\[oni).*\n)*?.* copy_process(?:(?!.*\[oni).*\n)*?.* pages reserved$",
    # a checker that cannot note something says so, a page fault is told to try again,
    r"^.*kmemleak: Cannot allocate a scan area, scanning the full object$", r"^.*Huh VM_FAULT_OOM leaked out to the #PF handler. Retrying PF$",
    # and a directory below /proc/irq that could only be filled in part is missed when the interrupt goes.
    r"^(?:.*\[ cut here \]-+\n)?.*\bname '\w+'\n.*WARNING: .*fs/proc/generic.c:\d+.* remove_proc_entry.*\n(?:.*\n)*?.* unregister_irq_proc(?:.*\n)*?"
    r".*\[ end trace .*$",
]
OPTIONS = {"sims": [["--model", "seed=1"]], "timeout": SECONDS + 20, "takes": 630, "kernels": ["debug-6.1", "debug-6.12", "debug-7.3"], "own_kernel": False,
           "append": "panic_on_warn=0", "reports": REPORTS}


def run(lab):
    lab.run_tap("/usr/lib/oni/lab/oni_failnth" + (" -a" if ALL else ""), "oni_failnth: ", timeout=SECONDS)
