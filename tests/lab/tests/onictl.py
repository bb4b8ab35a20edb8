# SPDX-License-Identifier: MIT
"""onictl - the tool and libonidev against the real driver: look, power a port, configure, stream, fail with a sentence."""

import json
import re

OPTIONS = {"systemd": True, "sims": [["--model", "seed=1", "--model", "source=0-63=ramp"]], "timeout": 400}


def js(lab, command):
    return json.loads(lab.guest.sh(f"onictl --json {command} 2>/dev/null"))


def refused(lab, command, status, text, what):
    rc, out = lab.guest.sh(f"onictl {command} 2>&1", check=False)
    lab.ok(rc == status and text in out, what, f"status {rc}: {out}")


def look(lab):
    guest = lab.guest
    guest.sh("udevadm settle")
    lab.equal(guest.sh("stat -c '%a %U %G' /dev/oni0").strip(), "660 root oni", "udev gives the node to group oni")
    links = guest.sh("ls /dev/oni/by-path /dev/oni/by-id")
    lab.match(r"pci-0000:\d\d:00\.0", links, "a by-path link exists")
    lab.match(r"oni_riffa-hw1-pci-", links, "a by-id link exists")
    lab.match(r"dev-oni0\.device.*Open Neuro Interface", guest.sh("systemctl list-units --all --no-pager 'dev-oni*.device'"),
              "systemd knows dev-oni0.device")
    entry, = js(lab, "list")
    lab.equal((entry["name"], entry["node"], entry["transport"], entry["state"]), ("oni0", "/dev/oni0", "oni_riffa", "idle"),
              "list finds the card")
    by_id = entry["by_id"]
    info = js(lab, f"-d {by_id} info")
    lab.equal((info["acq_clock_hz"], info["hardware_id"], info["stimulators_safe"]), (250000000, 1, True), "info by its by-id link")
    lab.equal([h["hardware_id"] for h in info["hubs"]], [1], "one hub before a port is powered")
    lab.equal(js(lab, "-d oni0 info")["name"], "oni0", "info by name")
    names = [d["name"] for d in js(lab, "devices")]
    lab.ok("persistent-heartbeat" in names and "port-a" in names and "memory-monitor" in names, "devices are named", names)
    lab.equal(guest.sh("su nobody -s /bin/sh -c 'onictl info 2>&1'; true").count("EACCES"), 1, "no access for others, said with the remedy")


def port(lab):
    refused(lab, "port a on -H hs64 -v 9.9", 1, "the window of headstage-64 is 5.5 to 8.0 V", "a voltage above the window is refused")
    refused(lab, "port a on -H hs64 -v 5.4", 1, "ERANGE", "a voltage below it as well")
    refused(lab, "port a on -H rhs2116 -v 6.0", 1, "Found: headstage-64", "the wrong headstage is named")
    refused(lab, "port b on -H hs64", 1, "ENOLINK", "nothing on port b")
    lab.equal(js(lab, "port a on -H hs64")["found"], 2, "port a finds the headstage-64")
    on, off = js(lab, "port status")
    lab.equal((on["volts"], on["lock"], on["found"]), (6.0, True, 2), "status of port a")
    lab.equal((off["volts"], off["lock"]), (0.0, False), "status of port b")
    names = [d["name"] for d in js(lab, "devices")]
    lab.ok("rhd2164" in names and "bno055" in names, "the headstage entered the table", names)


def registers(lab):
    lab.equal(js(lab, "reg read hub1 CLOCK_HZ")["value"], 42000000, "hub information device by name")
    lab.equal(js(lab, "reg read 1.0 0x3f")["value"], js(lab, "reg read rhd2164 chip_id")["value"], "a register by number and by name")
    lab.equal(js(lab, "reg write memory-monitor CLK_DIV 2500000")["value"], 2500000, "write")
    lab.equal(js(lab, "reg read memory-monitor CLK_DIV")["value"], 2500000, "and read back")
    refused(lab, "reg write port-a PORTVOLTAGE 60", 1, "refuses the register for safety", "a guarded register is refused")
    refused(lab, "reg write hs64-estim TRIGGER 1", 1, "refuses the register for safety", "so is a stimulator")
    refused(lab, "reg read rhd2164 0x7777", 1, "EREMOTEIO", "a NACK is explained")
    refused(lab, "reg read 0x150 0", 1, "there is no device", "no such device")
    refused(lab, "reg read rhd2164 nothing", 1, "reg list rhd2164", "no such register name")
    lab.ok(len(js(lab, "reg list rhd2164")) > 20, "registers are listed")
    on = js(lab, "enable rhd2164 analog-io memory-monitor")
    lab.equal([d["enabled"] for d in on], [True] * 3, "enable")
    rates = {d["name"]: d["rate_hz"] for d in js(lab, "devices")}
    lab.equal((rates["rhd2164"], rates["memory-monitor"], rates["port-a"]), (30000, 100, 0), "rates")


def acquire(lab):
    guest = lab.guest
    run = js(lab, "start -t 5")
    counts = {d["name"]: d for d in run["devices"]}
    lab.ok(100000 < counts["rhd2164"]["frames"] < 200000, "about 5 s of RHD2164 frames", run)
    lab.equal([d["missing"] for d in run["devices"]], [0] * len(run["devices"]), "no frame is missing")
    lab.ok(counts["analog-io"]["frames"] > 300000, "analog IO frames", run)
    lines = guest.sh("onictl watch -n 3 rhd2164 2>/dev/null").splitlines()
    lab.equal(len(lines), 3, "watch prints as many frames as asked for")
    lab.match(r"rhd2164 .* ch0-3 ", lines[0], "decoded")
    lab.match(r"^\{.*\"hex\":\"[0-9a-f]{284}\"", guest.sh("onictl --json watch -x -n 1 rhd2164 2>/dev/null"), "or in hexadecimal")
    fit = js(lab, "clock -t 5")
    lab.ok(abs(fit["ppm"]) < 20000 and fit["pairs"] > 1000, "the clock fit", fit)
    rc, out = guest.sh("timeout -s INT 3 onictl start 2>&1", check=False)
    lab.ok("rhd2164" in out and "bytes in" in out, "Ctrl-C ends a run with its table", out)
    refused(lab, "watch no-such-device", 1, "there is no device", "watching an unknown device")
    lab.equal(js(lab, "info")["state"], "idle", "the controller is idle afterwards")
    stats = js(lab, "stats")
    lab.ok(stats["blocks"] > 1000 and stats["ring_full"] == 0, "counters of blocks", stats)
    lab.ok("held" in stats and stats["held"] <= stats["interrupts"], "interrupts left to a timer are counted", stats)
    lab.equal(stats["guarded"], 4, "two voltages and two registers were refused for safety")


def look_beside(lab):
    """watch and clock look at what another program reads; it does not notice."""
    guest = lab.guest
    run = guest.start("onictl --json start -t 15 2>/dev/null")
    guest.sh("for i in $(seq 100); do onictl --json info | grep -q running && break; sleep 0.1; done")
    out = guest.sh("onictl watch -n 3 rhd2164 2>&1")
    lab.match(r"^Looking at what another program reads from oni0", out, "watch looks at a running acquisition")
    lab.equal(len(re.findall(r"^ .* rhd2164 .* ch0-3 ", out, re.M)), 3, "and prints as many frames as asked for")
    fit = js(lab, "clock -t 3")
    lab.ok(abs(fit["ppm"]) < 20000 and fit["pairs"] > 500, "clock fits beside it", fit)
    refused(lab, "start -t 1", 1, "another program owns the controller", "start does not look, it wants to start")
    beside = guest.start("onictl watch -t 60 memory-monitor 2>&1")
    lab.equal(run.wait(60), 0, "the other program ends as if alone")
    lab.equal(beside.wait(60), 0, "and watch ends with it")
    lab.match(r"^The other program has stopped the acquisition", beside.out, "which it says")
    counts = json.loads(run.out)
    lab.equal([d["missing"] for d in counts["devices"]], [0] * len(counts["devices"]), "no frame of the other program is missing")


def busy(lab):
    run = lab.guest.start("onictl start -t 20")
    run.wait_output(r"Starting")
    lab.guest.sh("sleep 1")
    refused(lab, "reset", 1, "another program owns the controller", "a second owner is refused")
    refused(lab, "stop", 1, "another program owns the controller", "stop does not take it away")
    lab.equal(js(lab, "list")[0]["state"], "running", "the state is seen by others")
    lab.sim.control("unplug")
    run.wait()
    lab.ok(run.rc == 1 and "is gone" in run.out and "rhd2164" in run.out, "unplugged: said, and what was counted is shown", run.out)


def replug(lab, by_id):
    lab.guest.unplug()
    lab.guest.plug()
    lab.guest.sh(f"for i in $(seq 100); do test -e {by_id} && break; sleep 0.1; done; udevadm settle")
    entry, = js(lab, "list")
    lab.equal(entry["by_id"], by_id, "a new card in the same slot has the same name")
    lab.equal(js(lab, f"-d {by_id} reset")["stimulators_safe"], True, "it works: reset")
    lab.equal(js(lab, "stop")["state"], "idle", "stop of an idle controller is harmless")
    lab.equal(js(lab, "port status")[0]["volts"], 0.0, "its ports are off")
    lab.equal(js(lab, "port a on -H hs64 -v 6.2")["volts"], 6.2, "and can be powered")
    lab.equal(js(lab, "port a off")["volts"], 0.0, "and switched off")
    js(lab, "reset")
    lab.ok("rhd2164" not in [d["name"] for d in js(lab, "devices")], "its headstage leaves the table at the next reset")


def run(lab):
    look(lab)
    port(lab)
    registers(lab)
    acquire(lab)
    look_beside(lab)
    by_id = js(lab, "list")[0]["by_id"]
    busy(lab)
    replug(lab, by_id)
