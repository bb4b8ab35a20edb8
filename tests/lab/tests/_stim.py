# SPDX-License-Identifier: MIT
"""_stim - what the kernel_stim scenarios share: what a program has to deliver, what the card says it did, and how long a stop took.

The judge is onisim's log of delivered currents. A program that oni_stim_act tells of is turned here into the currents that every
electrode must get, without a look at the driver or its check: whole trains must be equal to the nanosecond and the electron, a train
that was cut must be the beginning of one, and nothing else may ever flow.
"""
import itertools
import json
import os

import lab as labmod

ACT = "/usr/lib/oni/lab/oni_stim_act"
ASK = "ONI_LAB_CMD=/usr/lib/oni-lab/ask"
PERIOD_NS = 33120
# Whether the moment in which a train was cut is wanted (tests/bench, stop). If not, trains have pauses and load faster.
FINE = os.environ.get("ONI_STIM_FINE", "0") == "1"
RHS2116, HS64 = 1, 2

SAFE, CLAIMED, LOADED, ARMED, FAULT = range(5)
CONFIRMED = 0x10	# of the flags of STATUS

BECAUSE = {"owner": 1, "stop": 2, "close": 3, "exec": 4, "ttl": 5, "acquisition": 6, "ring-full": 7, "reset": 8, "suspend": 9, "remove": 10,
           "audit": 11, "key": 12, "load": 13, "watchdog": 32, "link": 33, "hub-reset": 34, "uncommanded": 35, "no-delivery": 36,
           "unconfirmed": 37, "sequencer": 38}
WHY = {number: name for name, number in BECAUSE.items()}

NOT_OWNER, TOO_SOON, STALE_KICK, FAULTED = 66, 72, 77, 79
EPERM, EWOULDBLOCK, EBUSY, EIO = 1, 11, 16, 5


def currents_of_chip(chip, channel, rows):
    """[(start ns, length ns, nA)] of one channel, from one change of its current to the next."""
    out, since, now = [], 0, 0
    for time, polen in rows:
        level = 0
        if polen >> channel & 1:
            level = (chip["positive"][channel] if polen >> (16 + channel) & 1 else -chip["negative"][channel]) * chip["step_na"]
        if level == now:
            continue
        if now:
            out.append((since * PERIOD_NS, (time - since) * PERIOD_NS, now))
        since, now = time, level
    assert not now, "the program leaves a channel on"
    return out


def currents_of_pulses(program):
    """Likewise of headstage-64, in the steps of its log, as the simulator reads the registers: a pause in us behind each pulse."""
    out, at = [], 0
    for _ in range(program["bursts"]):
        for _ in range(program["pulses"]):
            for code, us, gap in ((program["current1"], program["duration1"], program["interphase"]),
                                  (program["current2"], program["duration2"], program["interpulse"])):
                out.append((at, us * 1000, 2 * code - 65535))
                at += (us + gap) * 1000
    return out


def currents(program):
    """{(device, channel): [(start ns, length ns, steps)]} that one train of the program has to deliver."""
    hub = program["hub"] << 8
    if program["kind"] == HS64:
        return {(hub | 3, 0): currents_of_pulses(program)}
    found = {(hub | n, channel): currents_of_chip(chip, channel, chip["rows"])
             for n, chip in enumerate(program["chips"]) if chip["rows"] for channel in range(16)}
    return {electrode: parts for electrode, parts in found.items() if parts}


class Train:
    """What the log has of one trigger, held against the program."""

    def __init__(self, phases, expected):
        self.phases, self.expected = phases, expected
        self.start = min(p["start_ns"] for p in phases) - min(parts[0][0] for parts in expected.values())
        self.end = max(p["start_ns"] + p["ns"] for p in phases)
        self.length = max(parts[-1][0] + parts[-1][1] for parts in expected.values())

    def electrode(self, which):
        return [(p["start_ns"] - self.start, p["ns"], p["steps"]) for p in self.phases if (p["addr"], p["channel"]) == which]

    def whole(self):
        got = {(p["addr"], p["channel"]): None for p in self.phases}
        return set(got) == set(self.expected) and all(self.electrode(e) == parts for e, parts in self.expected.items()) \
            and not any(p["cut"] for p in self.phases)

    def beginning(self):
        """Is it the beginning of the program, and nothing else?"""
        if not {(p["addr"], p["channel"]) for p in self.phases} <= set(self.expected):
            return False
        for electrode, parts in self.expected.items():
            got = self.electrode(electrode)
            if got[:-1] != parts[:max(len(got) - 1, 0)]:
                return False
            if got:
                (start, ns, steps), last = parts[len(got) - 1], got[-1]
                if (last[0], last[2]) != (start, steps) or last[1] > ns:
                    return False
        return True

    def net(self):
        return {e: sum(ns * steps for _, ns, steps in self.electrode(e)) for e in self.expected}


def in_trains(phases, expected):
    """Phases of the card's log as trains, oldest first; expected is the form that currents() gives."""
    groups = itertools.groupby(sorted(phases, key=lambda p: (p["trigger"], p["phase"])), key=lambda p: p["trigger"])
    return [Train(list(group), expected) for _, group in groups]


class Judge:
    """Reads the log from where it stopped, and says what it was."""

    def __init__(self, lab):
        self.lab, self.next = lab, 0
        self.skip()

    def _new(self):
        phases = self.lab.sim.stim_log(self.next)
        self.next = max([self.next, *(p["phase"] + 1 for p in phases)])
        return phases

    def skip(self):
        """Forget what is in the log by now; what it was."""
        return self._new()

    def trains(self, program):
        """The trains that were delivered since the last look, oldest first."""
        return in_trains(self._new(), currents(program))

    def nothing(self, what):
        """Count that no current has flowed since the last look, and that none flows."""
        flows = [e for e in self.lab.sim.stim() if e["now_na"]]
        phases = self._new()
        self.lab.ok(not phases and not flows, f"{what}: nothing is delivered", (phases[:4], flows))

    def balanced(self, what, but=()):
        """Count that no electrode got a net charge, except those that a stop cut off."""
        off = [e for e in self.lab.sim.stim() if e["net_ac"] and not e["light"] and (e["addr"], e["channel"]) not in but]
        self.lab.ok(not off, f"{what}: the net charge of every electrode is exactly zero", off)


class Told:
    """A story as oni_stim_act told it."""

    def __init__(self, name):
        self.name, self.lines, self.ret = name, [], None
        self.served = []

    def of(self, kind):
        return [line for line in self.lines if line["e"] == kind]

    def first(self, kind):
        return (self.of(kind) or [None])[0]

    def tries(self):
        return {line["what"]: (line["ret"], line["code"]) for line in self.of("try")}


class Act:
    """One run of oni_stim_act in the guest."""

    def __init__(self, lab, stories, power=False, timeout=800):
        self.lab, self.parsed, self.told = lab, 0, []
        self.since = len(lab.guest.served)
        self.command = lab.guest.start(f"{ASK} {ACT} {'-p ' if power else ''}{'-f ' if FINE else ''}{' '.join(stories)}", timeout)

    def read(self):
        whole = self.command.out.rfind("\n") + 1
        lines, self.parsed = self.command.out[self.parsed:whole].splitlines(), whole
        for text in lines:
            if not text.startswith("{"):
                continue
            line = json.loads(text)
            if line["e"] == "story":
                self.told.append(Told(line["name"]))
            elif self.told:
                self.told[-1].lines.append(line)
            if line["e"] == "told":
                self.told[-1].ret = line["ret"]
                self.told[-1].served = self.lab.guest.served[self.since:]
                self.since = len(self.lab.guest.served)

    def wait(self, done, seconds=60):
        """Wait until DONE() of what was told so far is true; that value."""
        def look():
            ended = self.command.rc is not None
            self.read()
            value = done()
            if not value and ended:
                raise labmod.LabError(f"oni_stim_act ended with {self.command.rc}: {self.command.out[-1500:]}")
            return value
        return labmod.wait_for("oni_stim_act", seconds, look)

    def story(self, n, seconds=120):
        """The story number N, when it has come to its end."""
        return self.wait(lambda: self.told[n] if len(self.told) > n and self.told[n].ret is not None else None, seconds)


def clock_offset(told, trains):
    """(least, most) of host clock minus guest clock in ns: a train begins between the two ends of its FIRE."""
    pairs = list(zip(told.of("fire"), trains))
    return max(t.start - f["t1"] for f, t in pairs), min(t.start - f["t0"] for f, t in pairs)


class Table:
    """Time from an event to the last charge that was delivered."""

    def __init__(self):
        self.rows = []

    def add(self, told, trains, request=None):
        """REQUEST: what the host was asked for, whose time it knows itself. Otherwise the clocks of guest and host are tied by the FIREs."""
        train, event = trains[-1], told.first("event")
        served = [(t0, t1) for what, t0, t1 in told.served if what == request]
        if served:
            t0, t1 = served[0]
        else:
            low, high = clock_offset(told, trains)
            t0, t1 = event["t0"] + low, event["t1"] + high
        end = (told.first("end") or {}).get("because")
        self.rows.append((told.name, WHY.get(end, "-"), (train.end - t1) / 1e6, (train.end - t0) / 1e6,
                          (train.end - train.start) / 1e6, train.length / 1e6, told.first("program")["watchdog_ms"]))
        return self.rows[-1]

    def show(self, lab):
        if not FINE:
            lab.note("trains had pauses: 'make bench T=stop' tells how long current goes on after what ends it")
            return
        lab.note("ms of the host's clock; a negative time: the last charge came before the event was over")
        lab.note(f"{'event':18} {'because':14} {'to last charge':>18} {'delivered':>10} {'of train':>9} {'watchdog':>9}")
        for name, why, least, most, got, length, watchdog in self.rows:
            lab.note(f"{name:18} {why:14} {least:8.1f} ... {most:5.1f} {got:10.1f} {length:9.1f} {watchdog:9}")
        (lab.directory / "stops.json").write_text(json.dumps(self.rows, indent=1))
