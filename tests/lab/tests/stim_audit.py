# SPDX-License-Identifier: MIT
"""stim_audit - the log of stimulation is kept, continued and judged; what it cannot keep ends it; recordings have triggers, and name the log."""
import json
import math

OPTIONS = {
    "systemd": True,
    "sims": [["--model", "seed=1", "--model", "port-b=rhs2116"]],
    "data": "512M",
    "timeout": 900,
}

UNIT = "oni-auditd@oni0.service"
CONF = """[device]
name = oni0
[port b]
headstage = rhs2116
"""


PUBLISHED = "/run/oni-audit/oni0/head"

POLICY = ("[policy]\nname = lab\nhs64 = 1us pause\nduty_window_ms = 1000\nrequire_audit = yes\n"
          "[class all]\ncontacts = 0-31, return\narea_um2 = 1000000\namplitude_ua = 1000\ncharge_nc = 1000\ndensity_uc_cm2 = 1000\n"
          "shannon_k = 3\nnet_pc = 0\nwidth_us = 5000\ngap_us = 1000\nrate_hz = 1000\nduty_percent = 100\ntrain_ms = 10000\n"
          "watchdog_ms = 10000\nexternal = no\n")
STIMULUS = ("[stimulus]\nheadstage = rhs2116\nstep_ua = 0.1\nwatchdog_ms = 9000\n[pulse p]\ncontacts = 3, 20\nstagger_us = 99.36\n"
            "phases = -20 uA 198.72 us, 0 uA 66.24 us, +20 uA 198.72 us\npulses = 10\nperiod_us = 9936\n")
TRAIN_NS = 9 * 9936000 + 2 * 198720 + 66240 + 99360
PRE_US, POST_US = 1000, 5000
# One chip is enough to see what is blanked. The length is of no train here.
STIM_CONF = f"""[device]
name = oni0
[enable]
rhs2116@2.0 = yes
memory-monitor = yes
[stimulation]
blank_pre_us = {PRE_US}
blank_post_us = {POST_US}
train_us = 777777
"""

# Of the other headstage, whose stimulator reports nothing.
FIRE_US = 40000
SILENT_CONF = f"""[device]
name = oni0
[port a]
headstage = hs64
[enable]
rhd2164 = yes
memory-monitor = yes
[stimulation]
blank_pre_us = {PRE_US}
blank_post_us = {POST_US}
fire_us = {FIRE_US}
"""
SILENT_STIMULUS = ("[stimulus]\nheadstage = hs64\nreading = 1us, pause\nwatchdog_ms = 9000\nround = nearest\n[pulse p]\ncontacts = 0\n"
                   "phases = -500 uA 200 us, +500 uA 200 us\npulses = 10\nperiod_us = 20400\n")


def records(lab, log):
    return [json.loads(line) for line in lab.guest.sh(f"cat {log}").splitlines()]


def guarded_write(lab):
    """A raw write that the kernel refuses, which is an event."""
    rc, out = lab.guest.sh("onictl reg write rhs2116-trigger 3 1", check=False)
    lab.ok(rc != 0, "arming the trigger by a raw write is refused", out)


def keep(lab):
    for words in ("--bogus", "extra", "--log", "--verify", "--verify --bogus x"):
        rc, out = lab.guest.sh(f"oni-auditd {words}", check=False)
        lab.ok(rc == 2 and ("help" in out or "usage" in out), f"oni-auditd {words}: wrong usage is said", f"status {rc}: {out}")
    lab.guest.sh("onictl port b on --headstage rhs2116")
    lab.guest.sh(f"systemctl start {UNIT}")
    lab.ok(True, "the service is ready")
    log = lab.guest.sh("ls /var/log/oni/stim-*.log").strip()
    guarded_write(lab)
    lab.guest.sh(f"for i in $(seq 100); do grep -q '\"what\":\"guarded\"' {log} && break; sleep 0.1; done")
    whats = [r["what"] for r in records(lab, log)]
    lab.ok(whats[:3] == ["begin", "open", "controller"] and "guarded" in whats, "the refused write is in the log", str(whats))
    rc, out = lab.guest.sh("oni-auditd -d oni0 --log /tmp", check=False)
    lab.ok(rc == 1 and "another program keeps the log" in out, "there is one who keeps the log", out)
    rc, out = lab.guest.sh(f"oni-auditd --verify {log}", check=False)
    lab.equal(rc, 0, "a log that is being written verifies")
    return log


def killed(lab, log):
    lab.guest.sh(f"systemctl kill -s KILL {UNIT}")
    lab.guest.sh(f"for i in $(seq 300); do [ $(grep -c '\"what\":\"open\"' {log}) = 2 ] && break; sleep 0.1; done")
    opened = [r["because"] for r in records(lab, log) if r["what"] == "open"]
    lab.equal(opened, ["new", "interrupted"], "after SIGKILL it is started again and says so")
    guarded_write(lab)
    lab.guest.sh(f"systemctl stop {UNIT}")
    lab.equal(records(lab, log)[-1]["what"], "close", "a stop ends the log")
    rc, out = lab.guest.sh(f"oni-auditd --verify --json {log}", check=False)
    lab.equal(rc, 0, "it verifies after that")
    lab.equal(json.loads(out)["state"], "closed", "its head knows the end")


def changed(lab, log):
    lab.guest.sh(f"cp {log} /tmp/changed.log; cp {log}.head /tmp/changed.log.head; sed -i '0,/guarded/s//Guarded/' /tmp/changed.log")
    rc, out = lab.guest.sh("oni-auditd --verify /tmp/changed.log", check=False)
    lab.ok(rc == 1 and "DAMAGED" in out, "a changed byte is found", out)
    # root may take append-only away where the file system has it
    lab.guest.sh(f"python3 -c \"import fcntl,struct; f=open('{log}'); v=bytearray(8); fcntl.ioctl(f,0x80086601,v); "
                 f"fcntl.ioctl(f,0x40086602,struct.pack('q',0))\" 2>/dev/null || true")
    lab.guest.sh(f"cp {log} /tmp/good.log; cat /tmp/changed.log >{log}")
    rc, _ = lab.guest.sh(f"systemctl start {UNIT}", check=False)
    lab.ok(rc != 0, "a changed log is not continued")
    lab.equal(lab.guest.sh(f"systemctl show -p ExecMainStatus --value {UNIT}").strip(), "5", "and the service says why")
    lab.guest.sh(f"cat /tmp/good.log >{log}; systemctl reset-failed {UNIT}; systemctl start {UNIT}; systemctl stop {UNIT}")
    rc, _ = lab.guest.sh(f"oni-auditd --verify {log}", check=False)
    lab.equal(rc, 0, "the good one is")


def full(lab):
    lab.guest.sh("mkdir -p /tmp/small && mount -t tmpfs -o size=8k tmpfs /tmp/small")
    job = lab.guest.start("oni-auditd -d oni0 --log /tmp/small")
    lab.guest.sh("for i in $(seq 100); do [ -s /tmp/small/stim-*.log ] && break; sleep 0.1; done; "
                 "for i in $(seq 15); do pgrep -x oni-auditd >/dev/null || break; onictl reg write rhs2116-trigger 3 1 2>/dev/null; done; true")
    job.wait()
    lab.equal(job.rc, 3, "a full disk ends it")
    lab.guest.sh("mount -o remount,size=1m /tmp/small")
    job = lab.guest.start("oni-auditd -d oni0 --log /tmp/small")
    lab.guest.sh("for i in $(seq 100); do grep -q interrupted /tmp/small/stim-*.log && break; sleep 0.1; done")
    job.kill(15)
    job.wait()
    rc, out = lab.guest.sh("oni-auditd --verify /tmp/small/stim-*.log", check=False)
    lab.ok(rc == 0, "with room again it continues and verifies", out)


def meta_of(lab, session):
    return json.loads(lab.guest.sh(f"cat {session}/Record*/experiment1/recording1/onirec/meta.json"))


def recorded(lab, log):
    """Without an audit service."""
    lab.guest.sh(f"cat >/tmp/rec.conf <<'EOF'\n{CONF}EOF")
    job = lab.guest.start("onirec -c /tmp/rec.conf -o /var/lib/oni --name s -t 4")
    lab.guest.sh("for i in $(seq 300); do ls /var/lib/oni/s/*/*/*/structure.oebin >/dev/null 2>&1 && break; sleep 0.1; done")
    lab.sim.control("model stim gpio b")
    job.wait()
    lab.equal(job.rc, 0, "a recording with a stimulator ends well")
    meta = meta_of(lab, "/var/lib/oni/s")
    lab.equal(meta["stimulation"]["triggers"], 1, "a trigger from outside is an event of the recording")
    lab.equal(meta["spikes"]["frames_blanked"], 0, "one that was not delivered blanks nothing")
    text = lab.guest.sh("cat '/var/lib/oni/s/Record Node 100/experiment1/recording1/events/'*/Stimulation/text.npy | tr -d '\\0'")
    lab.ok("gpio disarmed" in text, "the interlock had disarmed it", text)
    lab.equal([meta["audit"][when]["state"] for when in ("start", "end")], ["none", "none"], "that nobody kept a log is in the recording")
    rc, out = lab.guest.sh(f"onistim log verify --recording /var/lib/oni/s {log} 2>&1", check=False)
    lab.ok(rc == 2 and "no log was kept" in out, "and no log can be tied to it", f"status {rc}: {out}")


def stimulated(lab, log):
    """A train beside the two services, under a policy that wants the log."""
    guest = lab.guest
    guest.sh(f"cp {log} /tmp/old.log; cp {log}.head /tmp/old.log.head")
    guest.put("/tmp/policy.ini", POLICY)
    guest.put("/tmp/train.ini", STIMULUS)
    guest.put("/etc/oni/onirec.conf", STIM_CONF)
    guest.sh("onictl port b on --headstage rhs2116 && onictl policy load /tmp/policy.ini")
    lab.equal(json.loads(guest.sh("onistim check --json /tmp/train.ini"))["length_ns"], TRAIN_NS, "the length of the train is known beforehand")
    rc, out = guest.sh("onistim run --acquire /tmp/train.ini 2>&1", check=False)
    lab.ok(rc == 3 and "nobody" in out, "without the service nothing can be armed", f"status {rc}: {out}")
    guest.sh(f"systemctl start {UNIT}")
    head = json.loads(guest.sh(f"su nobody -s /bin/sh -c 'cat {PUBLISHED}'"))
    lab.ok(head["log"] == log and head["bus"] in log, "everybody may know which log is kept", head)
    rc, _ = guest.sh(f"su nobody -s /bin/sh -c 'cat {log}' 2>/dev/null", check=False)
    lab.ok(rc != 0, "and not what is in it")
    guest.sh("systemctl start onirec@oni0", 150)
    done = json.loads(guest.sh("onistim run --json /tmp/train.ini 2>/dev/null"))
    lab.equal((done["fired"], done["delivered_total"]), (1, 1), "a train beside the recording")
    guest.sh("systemctl stop onirec@oni0", 150)
    return done["program"], guest.sh("ls -d /var/lib/oni/oni0/*").strip()


def blanked(lab, meta, session, program):
    told = meta["stimulation"]
    lab.equal((told["triggers"], told["trains_of_unknown_length"], told["kernel_events_missed"]), (1, 0, 0), "the train is in the recording")
    lab.equal([(p["hash"], p["kernel_ns"], p["train_us"]) for p in told["programs"]], [(program, TRAIN_NS, TRAIN_NS / 1e3)],
              "with the length that the kernel has told, not that of the configuration")
    rate = [s["rate_hz"] for s in meta["streams"] if s["name"] == "PortB-Rhs2116"][0]
    rows = lab.guest.sh(f"cat {session}/Record*/experiment1/recording1/onirec/blanked.csv").splitlines()[1:]
    want = math.ceil(PRE_US / 1e6 * rate) + 1 + math.ceil((TRAIN_NS / 1e9 + POST_US / 1e6) * rate)
    lab.equal([int(row.split(",")[2]) for row in rows], [want], "exactly so many samples are blanked")
    lab.equal(meta["spikes"]["frames_blanked"], want, "and the detector has left them out")


def tied(lab, log, meta, session):
    start, end = meta["audit"]["start"], meta["audit"]["end"]
    lab.equal((start["state"], end["state"], start["log"], end["log"]), ("kept", "kept", log, log), "the recording names the log that was kept")
    lab.ok(end["has_all_events"] and end["record"] > start["record"], "up to the last event", (start, end))
    by_number = {r["n"]: r for r in records(lab, log)}
    lab.equal([by_number[h["record"]]["hash"] for h in (start, end)], [start["hash"], end["hash"]], "by number and hash of its records")
    lab.ok({"load", "arm", "fire", "delivered"} <= {by_number[n]["what"] for n in range(start["record"] + 1, end["record"] + 1)},
           "the train lies between the two", by_number)
    rc, out = lab.guest.sh(f"onistim log verify --recording {session} {log} 2>&1", check=False)
    lab.ok(rc == 0 and "recorded while this log was kept" in out, "the log passes as the one of the recording", f"status {rc}: {out}")
    # An older pair of log and head, put back: nothing in it is wrong.
    rc, out = lab.guest.sh("onistim log verify /tmp/old.log 2>&1", check=False)
    lab.equal(rc, 0, "a log and its head from before are a good log")
    rc, out = lab.guest.sh(f"onistim log verify --recording {session} /tmp/old.log 2>&1", check=False)
    lab.ok(rc == 3 and "its end was cut off" in out, "but the recording knows that its end is missing", f"status {rc}: {out}")
    lab.guest.sh(f"systemctl stop {UNIT}")
    rc, _ = lab.guest.sh(f"test -e {PUBLISHED}", check=False)
    lab.ok(rc != 0, "when the service has ended no log is said to be kept")


def commanded(lab):
    """Headstage-64: what the kernel was about to do is in the recording, and nothing is taken for a spike while it may be under way."""
    guest = lab.guest
    guest.put("/tmp/silent.ini", SILENT_STIMULUS)
    guest.put("/tmp/silent.conf", SILENT_CONF)
    guest.sh(f"systemctl start {UNIT}")
    job = guest.start("onirec -c /tmp/silent.conf -o /var/lib/oni --name silent -t 12")
    guest.sh("for i in $(seq 300); do ls /var/lib/oni/silent/*/*/*/structure.oebin >/dev/null 2>&1 && break; sleep 0.1; done")
    length = json.loads(guest.sh("onistim check --json /tmp/silent.ini"))["length_ns"]
    before, out, after = guest.sh("cut -d' ' -f1 /proc/uptime; onistim run --json /tmp/silent.ini 2>/dev/null | tr -d '\\n'; echo; "
                                  "cut -d' ' -f1 /proc/uptime").splitlines()
    lab.equal(json.loads(out)["fired"], 1, "a train of headstage-64 beside a recording")
    job.wait()
    lab.equal(job.rc, 0, "the recording ends well")
    lab.ok([e for e in lab.sim.stim() if e["addr"] == 0x103 and e["phases"]], "and the card has delivered it")
    meta = meta_of(lab, "/var/lib/oni/silent")
    told, clock = meta["stimulation"], meta["clock"]
    lab.equal((told["trains_commanded"], told["triggers"], told["trains_of_unknown_length"]), (1, 0, 0), "it is in the recording as commanded")
    stream = [s for s in meta["streams"] if s["name"] == "PortA-Rhd2164"][0]
    folder = "'/var/lib/oni/silent/Record Node 100/experiment1/recording1'"
    rows = guest.sh(f"tail -n +2 {folder}/onirec/blanked.csv").splitlines()
    first, count, who, _, at = rows[0].split(",")[1:]
    # Registers may mean more than one thing; the kernel tells the longest.
    longest = told["programs"][0]["kernel_ns"]
    lab.ok(longest >= length, "no shorter than it is meant to be", (longest, length))
    want = math.ceil(PRE_US / 1e6 * stream["rate_hz"]) + 1 + math.ceil((FIRE_US / 1e6 + longest / 1e9 + POST_US / 1e6) * stream["rate_hz"])
    lab.equal((len(rows), int(count), who), (1, want, "fire"), "from before the command to after its end")
    mono_s = (clock["mono0_ns"] + (int(at) - clock["ticks0"]) * clock["ns_per_tick"]) / 1e9
    lab.ok(float(before) - 0.02 <= mono_s <= float(after) + 0.02, "the command is where the clock has it", f"{before} <= {mono_s} <= {after}")
    lab.ok(0 < int(first) < stream["rows"], "and inside of the recording", (first, stream["rows"]))
    text = guest.sh(f"cat {folder}/events/*/Stimulation/text.npy | tr -d '\\0'")
    lab.ok("hub 1 register commanded" in text, "its event says so", text)


def run(lab):
    log = keep(lab)
    killed(lab, log)
    changed(lab, log)
    full(lab)
    recorded(lab, log)
    program, session = stimulated(lab, log)
    meta = meta_of(lab, session)
    blanked(lab, meta, session, program)
    tied(lab, log, meta, session)
    commanded(lab)
