# SPDX-License-Identifier: MIT
"""kernel_fragmented - memory is in pieces of a few pages, as on a machine that has run for long: a stream is made of them and works.

Fault injection refuses a program everything larger than 16 KiB in one piece.
"""
import _kernel

OPTIONS = {"sims": [["--model", "seed=1"]], "timeout": 200, "kernels": ["debug-6.1", "debug-6.12", "debug-7.3"], "own_kernel": False}

FAIL = "/sys/kernel/debug/fail_page_alloc"
LARGEST_ORDER, TIMES = 2, 1000000


def run(lab):
    lab.guest.sh(f"cd {FAIL} && echo Y >task-filter && echo N >ignore-gfp-wait && echo 0 >verbose && echo {LARGEST_ORDER + 1} >min-order "
                 f"&& echo {TIMES} >times && echo 100 >probability")
    rc, out = lab.guest.sh(f"echo 1 >/proc/self/make-it-fail && exec {_kernel.FOLLOW} -q -t 2", 90, check=False)
    lab.guest.sh(f"echo 0 >{FAIL}/probability")
    left = int(lab.guest.sh(f"cat {FAIL}/times"))
    lab.ok(left < TIMES, "memory in larger pieces was refused", f"{TIMES - left} times")
    lab.ok(rc == 0 and '"ok": true' in out, "an acquisition works, with a mapped ring", f"status {rc}: {out}")
    _kernel.conserved(lab, "in pieces")
    _kernel.published(lab, "in pieces")
