# SPDX-License-Identifier: MIT
"""onistim - policies, dry runs and stimulation from the command line; the card's log of delivered currents decides."""

import json
import signal

OPTIONS = {"sims": [["--model", "seed=1", "--model", "port-b=rhs2116"]], "timeout": 500}

POLICIES = "/usr/share/oni/policies"
HEAD = "[policy]\nname = lab\nhs64 = 1us pause\nduty_window_ms = 1000\nrequire_audit = no\n"
CLASS = ("[class %s]\ncontacts = %s\narea_um2 = 1000000\namplitude_ua = %s\ncharge_nc = 1000\ndensity_uc_cm2 = 1000\nshannon_k = 3\nnet_pc = 0\n"
         "width_us = 5000\ngap_us = 1000\nrate_hz = 1000\nduty_percent = 100\ntrain_ms = 10000\nwatchdog_ms = 10000\nexternal = no\n")
STIMULUS = "[stimulus]\nheadstage = rhs2116\nstep_ua = %s\nwatchdog_ms = 5000\n"
# The second channel begins in the middle of the first one's phase.
PAIR = STIMULUS + ("[pulse p]\ncontacts = 3, 20\nstagger_us = 99.36\nphases = -20 uA 198.72 us, 0 uA 66.24 us, +20 uA 198.72 us\n"
                   "pulses = 10\nperiod_us = 9936\n")
LONG = STIMULUS + "[pulse p]\ncontacts = 3\nphases = -20 uA 198.72 us, +20 uA 198.72 us\npulses = 100\nperiod_us = 99360\n"
HS64 = ("[stimulus]\nheadstage = hs64\nreading = 1us pause\nwatchdog_ms = 5000\n"
        "[pulse p]\ncontacts = 0\nphases = -500 uA 200 us, +500 uA 200 us\npulses = 5\nperiod_us = 20000\n")


def put(lab, name, text):
    lab.guest.sh(f"cat >/tmp/{name} <<'END'\n{text}\nEND")


def js(lab, command):
    return json.loads(lab.guest.sh(f"onistim --json {command} 2>/dev/null"))


def refused(lab, command, status, text, what):
    rc, out = lab.guest.sh(f"{command} 2>&1", check=False)
    lab.ok(rc == status and text in out, what, f"status {rc}: {out}")


def electrodes(lab):
    """{(device, channel): what it got} of every electrode that got anything."""
    out = [json.loads(line) for line in lab.sim.control("stim")]
    return {(e["addr"], e["channel"]): e for e in out if e["phases"] and not e["light"]}


class Delivered:
    """What was delivered since the last look, by the card's own account."""

    def __init__(self, lab):
        self.lab, self.before = lab, electrodes(lab)

    def check(self, expected, what):
        """@expected: {electrode: (currents, charge of one polarity in aC)}; all balanced."""
        now = electrodes(self.lab)
        got = {}
        for key, e in now.items():
            old = self.before.get(key, {"phases": 0, "positive_ac": 0, "negative_ac": 0})
            if e["phases"] != old["phases"]:
                got[key] = (e["phases"] - old["phases"], e["positive_ac"] - old["positive_ac"])
        self.before = now
        self.lab.equal(got, expected, what)
        self.lab.ok(all(e["net_ac"] == 0 and e["now_na"] == 0 for e in now.values()), f"{what}: nothing is left, nothing flows", now)


def policy_of(amplitude):
    """Contact 0 is that of headstage-64 as well, which has few round currents."""
    return HEAD + CLASS % ("rest", "1-31", amplitude) + CLASS % ("zero", "0", "500") + CLASS % ("return", "return", "1000")


def nodes(lab):
    lab.guest.sh("udevadm settle")
    lab.equal(lab.guest.sh("stat -c '%a %U %G' /dev/oni0-stim /dev/oni0-stop").split("\n")[:2], ["660 root oni-stim", "666 root root"],
              "udev gives stim to its group and stop to everybody")
    lab.equal(lab.guest.sh("su nobody -s /bin/sh -c 'onistim stop'").strip(), "stopped, and the hardware has acknowledged",
              "nobody may stop")
    refused(lab, "su nobody -s /bin/sh -c 'onistim status'", 1, "group oni-stim", "nobody may not look further, and is told why")
    state = js(lab, "status")
    lab.equal((state["state"], state["owner"], state["has_policy"], state["confirmed"]), ("SAFE", 0, False, True), "safe at the beginning")
    refused(lab, "onistim ack", 3, "would have to be FAULT", "there is no fault to acknowledge")


def policy(lab):
    put(lab, "pair.ini", PAIR % "0.1")
    refused(lab, "onictl policy show", 1, "no policy was loaded", "no policy at the beginning")
    refused(lab, "onistim run /tmp/pair.ini --acquire", 3, "no policy was loaded", "no policy, no stimulation")
    refused(lab, "onistim check /tmp/pair.ini", 3, "no policy was loaded", "nor a check against one")
    put(lab, "bad.ini", HEAD + CLASS % ("all", "0-31, 4", "100"))
    refused(lab, "onictl policy load /tmp/bad.ini", 1, "/tmp/bad.ini:7: [class all]: contacts: contact 4 is already in", "a mistake is named")
    refused(lab, "onictl policy show", 1, "no policy was loaded", "and nothing of the file was loaded")
    put(lab, "lab.ini", policy_of("100"))
    refused(lab, "su nobody -s /bin/sh -c 'onictl policy load /tmp/lab.ini'", 1, "oni-stim", "only root loads a policy")
    lab.match("loaded \"lab\", 3 electrode classes", lab.guest.sh("onictl policy load /tmp/lab.ini"), "root does")
    shown = json.loads(lab.guest.sh("onictl --json policy show"))
    lab.equal([c["contacts"] for c in shown["classes"]], ["1-31", "0", "return"], "classes are shown")
    lab.equal(shown["classes"][0]["limits"]["amplitude_ua"], {"max": 100000, "text": "100 uA", "source": "policy"}, "so is a bound and its source")
    put(lab, "more.ini", policy_of("101"))
    refused(lab, "onictl policy load /tmp/more.ini", 1, "ceilings only go down", "a bound cannot be raised")


def bounds(lab):
    for name in ("utah", "micro-ecog", "clinical-ecog", "dbs", "hs64-bench"):
        lab.guest.sh(f"onictl policy check {POLICIES}/{name}.ini")
    lab.match("Accepted", lab.guest.sh(f"onistim check /usr/share/doc/oni/stimuli/rhs2116-pair.ini --policy {POLICIES}/utah.ini --png /tmp/pair.png"), "a dry run with a file")
    lab.equal(lab.guest.sh("head -c 8 /tmp/pair.png | od -An -tx1").strip(), "89 50 4e 47 0d 0a 1a 0a", "with a picture")
    lab.match("Accepted", lab.guest.sh("onistim check /tmp/pair.ini"), "a dry run with the bounds in force")
    put(lab, "strong.ini", PAIR.replace("20 uA", "120 uA") % "1")
    refused(lab, "onistim check /tmp/strong.ini", 3, "120 uA is asked for, 100 uA is allowed by the policy: 20 uA (20.0 %) too much",
            "too much is refused")


def own_acquisition(lab, seen):
    refused(lab, "onistim run /tmp/pair.ini --acquire", 4, "power its port", "no headstage yet")
    lab.guest.sh("onictl port a on -H hs64 && onictl port b on -H rhs2116")
    # Signs of life and reports come with blocks: enough data to fill them, and no more, or a busy machine lags behind.
    lab.guest.sh("onictl enable memory-monitor && onictl reg write memory-monitor CLK_DIV 250000")
    refused(lab, "onistim run /tmp/pair.ini", 1, "no acquisition runs", "without data nothing can be armed")
    refused(lab, "onistim run /tmp/strong.ini --acquire", 3, "120 uA is asked for", "the driver refuses what is too strong")
    seen.check({}, "nothing was delivered so far")
    done = js(lab, "run /tmp/pair.ini --acquire -n 3 --period 0.5")
    lab.equal((done["fired"], done["commanded_total"]), (3, 3), "three trains with an acquisition of its own")
    lab.ok(done["kicks"] >= 1 and done["delivered_total"] == 3, "signs of life were given, and the hardware has reported each train", done)
    # 20 uA for 198.72 us, ten times, three trains
    seen.check({(0x200, 3): (60, 30 * 3974400000), (0x201, 4): (60, 30 * 3974400000)}, "staggered channels, exactly")
    lab.equal(js(lab, "status")["state"], "SAFE", "safe when it has ended")


def beside_a_recording(lab, seen):
    rec = lab.guest.start("onictl start -t 300 --block 4096")
    rec.wait_output("Starting the acquisition", 30)
    put(lab, "hs64.ini", HS64)
    lab.guest.sh("until [ $(cat /sys/class/oni/oni0/state) = running ]; do sleep 0.1; done")
    done = js(lab, "run /tmp/hs64.ini")
    lab.equal(done["fired"], 1, "headstage-64 while another program records")
    seen.check({(0x103, 0): (10, 5 * 100000000000)}, "two currents of 100 nC in each of five pulses")
    put(lab, "other.ini", PAIR % "0.2")
    refused(lab, "onistim run /tmp/other.ini", 3, "run this with --acquire", "another step needs a reset")
    put(lab, "story", "load /tmp/pair.ini\narm 20\nfire\nwait 0.3\nfire\nwait 0.3\nstatus\ndisarm\nquit")
    out = lab.guest.sh("onistim session </tmp/story").splitlines()
    lab.equal([line.split()[1] for line in out], ["session", "loaded", "armed", "fired", "waited", "fired", "waited", "status", "disarmed", "quit"],
              "a session from a script")
    seen.check({(0x200, 3): (40, 20 * 3974400000), (0x201, 4): (40, 20 * 3974400000)}, "what the script fired")
    put(lab, "story", "load /tmp/pair.ini\nfire\nload /tmp/pair.ini")
    refused(lab, "onistim session </tmp/story", 3, "would have to be ARMED", "a script ends with its first error")
    refused(lab, "printf 'frobnicate\\n' | onistim session", 1, "is no command", "and with a word that is none")
    rec.kill(signal.SIGINT)
    rec.wait()


def ends(lab, seen):
    put(lab, "long.ini", LONG % "0.1")
    lab.equal(js(lab, "status")["faults"], 0, "no fault so far")
    for sig, why in ((signal.SIGINT, 1), (signal.SIGTERM, 1), (signal.SIGKILL, 3)):
        job = lab.guest.start("onistim run /tmp/long.ini --acquire")
        lab.guest.sh("until onistim status | grep -q 'train may be under way'; do sleep 0.1; done")
        if sig == signal.SIGINT:
            refused(lab, "onistim run /tmp/long.ini", 3, "another process has claimed", "a second program is refused")
        job.kill(sig)
        job.wait()
        lab.guest.sh("for i in $(seq 50); do onistim status | grep -q 'state *SAFE' && exit 0; sleep 0.1; done; onistim status; exit 1")
        lab.ok(all(not e["now_na"] for e in electrodes(lab).values()), f"signal {sig.name}: nothing flows")
        lab.equal(js(lab, "status")["because"], why, f"signal {sig.name}: the driver knows why it ended")
        # A train that was cut off counts in full: the next one has to wait for its end.
        lab.guest.sh("sleep 10")
    job = lab.guest.start("onistim run /tmp/long.ini --acquire")
    lab.guest.sh("until onistim status | grep -q 'train may be under way'; do sleep 0.1; done")
    lab.guest.sh("su nobody -s /bin/sh -c 'onistim stop'")
    job.wait()
    lab.ok(job.rc == 3 and "somebody wrote to the stop node" in job.out, "a stop by somebody else is told", f"{job.rc}: {job.out}")
    lab.equal(js(lab, "status")["faults"], 0, "none of that was a fault")
    lab.guest.sh("sleep 10")
    # The watchdog: a program that is stopped sees no data.
    job = lab.guest.start("onistim run /tmp/long.ini --acquire")
    lab.guest.sh("until onistim status | grep -q 'train may be under way'; do sleep 0.1; done")
    job.kill(signal.SIGSTOP)
    lab.guest.sh("until onistim status | grep -q 'state *FAULT'; do sleep 0.1; done")
    job.kill(signal.SIGCONT)
    job.wait()
    lab.ok(job.rc == 3 and "silent for longer than the watchdog" in job.out, "a fault is told with its cause", f"{job.rc}: {job.out}")
    refused(lab, "onistim run /tmp/pair.ini --acquire", 3, "onistim ack", "a fault stays")
    lab.match("acknowledged", lab.guest.sh("onistim ack"), "until it is acknowledged")
    lab.equal(js(lab, "status")["state"], "SAFE", "then it is safe")


def run(lab):
    seen = Delivered(lab)
    nodes(lab)
    policy(lab)
    bounds(lab)
    own_acquisition(lab, seen)
    beside_a_recording(lab, seen)
    ends(lab, seen)
