# SPDX-License-Identifier: MIT
"""onirec_errors - wrong words, wrong configuration, wrong hardware, unplug: one sentence with the remedy and the right exit code."""

import json
import time

OPTIONS = {"sims": [["--model", "seed=6"]], "timeout": 400}


def refused(lab, words, status, text, what):
    rc, out = lab.guest.sh(f"onirec {words} 2>&1 </dev/null", 100, check=False)
    lab.ok(rc == status and text in out, what, f"status {rc}: {out}")
    lab.ok(out.count("\n") <= 4, f"{what}: in a few words", out)


def config(lab, text):
    lab.guest.put("/tmp/c", text)
    return "-c /tmp/c -o /tmp/rec"


def words(lab):
    refused(lab, "-t -3", 2, "--duration wants seconds above 0", "a negative duration")
    refused(lab, "-t inf", 2, "--duration", "an infinite duration")
    refused(lab, "--size 10X", 2, "--size wants", "a size with a wrong ending")
    refused(lab, "--size 99999999999999999999", 2, "--size", "a size that overflows")
    refused(lab, "--threshold 0", 2, "--threshold wants", "a threshold of zero")
    refused(lab, "--frobnicate", 2, "--help", "an unknown option")
    refused(lab, "surplus", 2, "surplus", "a surplus word")
    refused(lab, config(lab, "[record]\nseconds = 5\nfoo = 1\n"), 2, "line 3: key 'foo' is not known in [record]", "an unknown key")
    refused(lab, config(lab, "[detect]\nthreshold = lots\n"), 2, "line 2: threshold must be noise sigmas", "a value that is no number")
    refused(lab, config(lab, "[colour]\nred = 1\n"), 2, "section [colour] is not known", "an unknown section")
    refused(lab, config(lab, "[port a]\nvolts = 6\n"), 2, "volts but no headstage", "volts without a headstage")
    refused(lab, config(lab, "[port a]\nheadstage = teapot\n"), 2, "headstage 'teapot' is not known", "an unknown headstage")
    refused(lab, "-c /nowhere", 2, "/nowhere", "a configuration that is not there")


def hardware(lab):
    refused(lab, "-c none -o /tmp/rec -d oni7", 1, "cannot open oni7", "a controller that is not there")
    refused(lab, config(lab, "[port a]\nheadstage = hs64\nvolts = 9.5\n"), 1, "outside the window of headstage-64, 5.5 to 8.0 V",
            "a voltage outside the window")
    refused(lab, config(lab, "[port a]\nheadstage = rhs2116\nvolts = 6.0\n"), 1, "found headstage-64", "the wrong headstage")
    refused(lab, "-c none -o /tmp/rec --devices rhd2164", 1, "'rhd2164' is not in the device table", "a device without power")
    refused(lab, "-c none -o /proc/nowhere", 3, "cannot make the folder", "an output that cannot be written")
    lab.equal(json.loads(lab.guest.sh("onictl --json info"))["state"], "idle", "nothing is left running")
    lab.equal(lab.guest.sh("ls -A /tmp/rec"), "", "nothing is left behind")


def unplug(lab):
    guest = lab.guest
    guest.put("/tmp/c", "[port a]\nheadstage = hs64\n")
    rec = guest.start("onirec -c /tmp/c -o /var/lib/oni --name gone 2>&1", 100)
    rec.wait_output("/var/lib/oni/gone", 60)
    time.sleep(2)
    lab.sim.control("unplug")
    lab.equal(rec.wait(60), 4, "unplug while recording: exit code 4")
    lab.match("onirec: .*(unplugged|gone)", rec.out, "and a sentence")
    lab.match('"reason": "hardware gone"', guest.sh("cat /var/lib/oni/gone/*/experiment1/recording1/onirec/meta.json"), "meta.json says so")
    lab.equal(guest.sh("ls /var/lib/oni/gone/*/experiment1/recording1/structure.oebin | wc -l").strip(), "1", "the recording is whole")


def run(lab):
    lab.guest.sh("udevadm settle")
    words(lab)
    hardware(lab)
    unplug(lab)
