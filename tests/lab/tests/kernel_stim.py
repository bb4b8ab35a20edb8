# SPDX-License-Identifier: MIT
"""kernel_stim - current leaves the card as the checked program says, while its owner lives and sees data, and never otherwise.

Programs in the guest claim, load, arm and fire on two simulated headstages, and something befalls them. The log of delivered currents
of the card decides; the driver's own word is compared with it. Times from an event to the last charge are printed, not judged, beyond
"no longer than the loaded train" and "watchdog and train".
"""
import _kernel
import _stim
from _stim import CLAIMED, FAULT, LOADED, SAFE

OPTIONS = {"sims": [["--model", "seed=1", "--model", "port-b=rhs2116"]], "timeout": 900}

UNPOWER, PORT_B = 17, 2	# an event, and the device that it names
WAVE = (0x200, 4)	# the electrode of every train that is cut

# Trains that come to their end: how many, and what is told beside them.
WHOLE = {"whole": 3, "channels": 3, "staggered": 3, "hs64": 3}

# What cuts a train: why the driver says it did, in which states it may be afterwards.
CUT = {
    "disarm": ("owner", {LOADED}),
    "release": ("owner", {SAFE}),
    "stop-node": ("stop", {CLAIMED, LOADED}),
    "close-dup": ("close", {SAFE}),
    "exit": ("close", {SAFE}),
    "sigkill": ("close", {SAFE}),
    "fork-exit": ("close", {SAFE}),
    "exec": ("exec", {SAFE}),
    "acquisition-stop": ("acquisition", {CLAIMED, LOADED}),
    "stream-closed": ("acquisition", {CLAIMED, LOADED}),
    "ring-full": ("ring-full", {CLAIMED, LOADED}),
    "ttl": ("ttl", {CLAIMED, LOADED}),
    "sigstop": ("watchdog", {FAULT}),
    "silent": ("watchdog", {FAULT}),
    "stale-kick": ("watchdog", {FAULT}),
    "fault-latched": ("watchdog", {FAULT}),
    "hub-reset": ("hub-reset link", {FAULT}),
    "not-reported": ("no-delivery", {FAULT}),
    "sequencer": ("sequencer", {FAULT}),
    "link-mended": ("link", {FAULT}),
    "link-broken": ("link", {FAULT}),
}

# Those of them that something does to the card, and the request that it is.
REQUEST = {"hub-reset": "model port b detach", "sequencer": "model stim seqerror b", "link-mended": "model port b break",
           "link-broken": "model port b break"}
LATE = ["hub-reset", "not-reported", "sequencer", "link-mended", "link-broken"]	# that come after those of software
# On a kernel that watches itself, one of each kind: what ends a train by a file, a program, the data, the clock.
FEW = {"stop-node", "sigkill", "exec", "acquisition-stop", "ring-full", "ttl", "fault-latched"}


def cut_short(lab, judge, table, told, request=None):
    """Count that the one train of a story is the beginning of its program and ended before its end."""
    what, trains = told.name, judge.trains(told.first("program"))
    if not lab.ok(len(trains) == 1 and len(told.of("fire")) == 1, f"{what}: one train for one FIRE", (len(trains), [line for line in told.lines if line["e"] != "program"])):
        return
    train = trains[0]
    lab.ok(train.beginning(), f"{what}: what was delivered is the beginning of the program", train.phases[-3:])
    lab.ok(train.end - train.start < train.length, f"{what}: the train was cut off", f"{train.end - train.start} of {train.length} ns")
    _, _, _, most, *_, watchdog = table.add(told, trains, request)
    if told.first("end").get("because") == _stim.BECAUSE["watchdog"]:
        lab.ok(most <= watchdog + train.length / 1e6, f"{what}: the last charge came within watchdog and train", f"{most} ms")
    else:
        lab.ok(most <= train.length / 1e6, f"{what}: the last charge came within the train", f"{most} ms")


def ended(lab, told, why, states):
    end = told.first("end") or {}
    lab.ok(_stim.WHY.get(end.get("because")) in why.split(), f"{told.name}: the driver says that it ended because of {why}", end)
    lab.ok(end.get("state") in states, f"{told.name}: the state afterwards is one of {sorted(states)}", end)
    lab.equal(told.ret, 0, f"{told.name}: it is safe in the end")


def counted(lab, told, trains):
    """What the driver counted is what the card did, and both are in the events, without a gap."""
    end, events = told.of("after")[-1] if told.of("after") else {}, told.of("ev")
    fired = [e for e in events if e["what"] == 7]
    lab.equal(len(fired), trains, f"{told.name}: as many events of FIRE as trains")
    seqs = [e["seq"] for e in events]
    lab.equal(seqs, list(range(seqs[0], seqs[0] + len(seqs))) if seqs else None, f"{told.name}: events are numbered without a gap")
    return end


def whole(lab, judge, act, n):
    for name, count in WHOLE.items():
        told = act.story(n)
        n += 1
        trains = judge.trains(told.first("program"))
        lab.equal((told.name, told.ret), (name, 0), f"{name}: the story came to its end")
        lab.equal((len(told.of("fire")), len(trains)), (count, count), f"{name}: one train for each FIRE")
        lab.ok(trains and all(t.whole() for t in trains), f"{name}: each is the program, to the nanosecond", [t.phases[:4] for t in trains[:1]])
        lab.ok(not any(any(t.net().values()) for t in trains), f"{name}: the net charge of each train is zero")
        counted(lab, told, count)
    judge.balanced("after whole trains")
    return n


def passed(lab, judge, told):
    tries = told.tries()
    for call in ("FIRE", "DISARM", "RELEASE", "LOAD", "ARM", "KICK"):
        lab.equal(tries.get(call), (-_stim.EPERM, _stim.NOT_OWNER), f"passed: {call} of the holder of the descriptor is refused")
    trains = judge.trains(told.first("program"))
    lab.ok(len(trains) == 1 and trains[0].whole(), "passed: the owner's train went on to its end", [t.phases[-2:] for t in trains])


def rmmod(lab, judge, told):
    tries = told.tries()
    lab.equal([tries.get(f"rmmod {m}", (0, 0))[0] for m in ("oni_riffa", "oni")], [-_stim.EWOULDBLOCK] * 2, "rmmod: refused for both modules")
    lab.equal(tries.get("RESET", (0, 0))[0], -_stim.EBUSY, "rmmod: a reset of the controller is refused as well")
    trains = judge.trains(told.first("program"))
    lab.ok(len(trains) == 1 and trains[0].whole(), "rmmod: the train came to its end", [t.phases[-2:] for t in trains])


def stops(lab, judge, table, act, n, names):
    for name in names:
        told = act.story(n)
        n += 1
        if name == "passed":
            passed(lab, judge, told)
            continue
        if name == "rmmod":
            rmmod(lab, judge, told)
            continue
        cut_short(lab, judge, table, told, REQUEST.get(name))
        ended(lab, told, *CUT[name])
        counted(lab, told, 1)
        if name == "exec":
            lab.equal(told.tries().get("FIRE after exec"), (-_stim.EPERM, _stim.NOT_OWNER), "exec: the program after it can not fire")
        if name == "fault-latched":
            lab.equal((told.first("still") or {}).get("state"), FAULT, "fault-latched: the fault stays when its owner is gone")
            lab.equal(told.tries().get("CLAIM"), (-_stim.EPERM, _stim.FAULTED), "fault-latched: nobody can claim before it is acknowledged")
        if name == "stale-kick":
            stale = [e for e in told.of("ev") if e["what"] == 13 and e["code"] == _stim.STALE_KICK]
            lab.ok(stale, "stale-kick: the same position again is refused")
    return n


def unanswered(lab, judge, table, told):
    """A stop that is not acknowledged is a fault, and so it stays until one is."""
    lab.ok(told.tries()["stop"][0] < 0, "mute: the stop says that it was not acknowledged", told.tries())
    ended(lab, told, "unconfirmed link", {FAULT})
    lab.equal(told.tries()["ACK_FAULT"][0], -_stim.EIO, "mute: the fault can not be acknowledged meanwhile")
    lab.equal((told.first("still") or {}).get("state"), FAULT, "mute: it stays")
    alone = told.first("alone") or {}
    lab.equal((alone.get("state"), alone.get("flags", 0) & _stim.CONFIRMED), (FAULT, _stim.CONFIRMED),
              "mute: the driver ends it unasked when it is answered again, and the fault stays")
    trains = judge.trains(told.first("program"))
    lab.ok(len(trains) == 1 and trains[0].beginning(), "mute: no more than the loaded train was delivered", [t.phases[-2:] for t in trains])
    table.add(told, trains, "fault mute 4294967295")


def link_loss(lab, judge, table, told):
    trains = judge.trains(told.first("program"))
    lab.ok(len(trains) == 1 and trains[0].beginning(), "link-loss: no more than the loaded train was delivered", [t.phases[-2:] for t in trains])
    refused = told.tries()["DESPWR"][0]
    if refused:
        lab.equal(refused, -_stim.EPERM, "link-loss: nobody can switch the link off meanwhile")
        lab.ok(trains and trains[0].whole(), "link-loss: so the train goes on")
    else:
        ended(lab, told, "link hub-reset", {FAULT})
        table.add(told, trains)


def undelivered(lab, judge, told):
    """A FIRE of which nothing comes: the driver does not take its own word for a train."""
    what = told.name
    lab.equal(len(told.of("fire")), 1, f"{what}: the card took the FIRE")
    judge.nothing(f"{what}: the card was triggered in vain")
    ended(lab, told, "no-delivery", {FAULT})
    events = [(e["what"], e["because"]) for e in told.of("ev")]
    lab.ok((11, _stim.BECAUSE["no-delivery"]) in events, f"{what}: the fault is in the events", events)
    lab.ok(8 not in [e for e, _ in events], f"{what}: no event says that it was delivered", events)
    counted(lab, told, 1)


def unpowered(lab, told):
    """The supply was taken away, and that is told."""
    events = [e["arg"] for e in told.of("ev") if e["what"] == UNPOWER]
    lab.equal(events, [PORT_B], f"{told.name}: one event says that the port was switched off")


def link_broken(lab, judge, told):
    """No word reaches the headstage: it is switched off, and nobody says that it has confirmed."""
    lab.equal([told.tries()[call][0] < 0 for call in ("stop", "ACK_FAULT")], [True, True], "link-broken: neither stop nor acknowledgement claims to have worked")
    still = told.first("still") or {}
    lab.equal((still.get("state"), still.get("flags", 0) & _stim.CONFIRMED), (FAULT, 0), "link-broken: the fault stays, not confirmed")
    lab.equal((told.first("supply") or {}).get("dv"), 0, "link-broken: the port has no voltage any more")
    unpowered(lab, told)
    judge.nothing("link-broken: after the supply was taken away")


def loaded_reset(lab, judge, told):
    """A headstage-64 that was reset after LOAD would deliver 10 pulses of -2.5 mA: it is not armed."""
    current2 = (told.first("current2") or {}).get("value")
    lab.equal(current2, 0, "loaded-reset: the headstage has its power-on current")
    lab.equal(told.tries()["ARM"][0], -_stim.EIO, "loaded-reset: ARM finds that it is not what was loaded")
    lab.equal([told.tries()[call] for call in ("FIRE", "LOAD")], [(-_stim.EPERM, _stim.FAULTED)] * 2, "loaded-reset: FIRE and LOAD are refused")
    ended(lab, told, "link hub-reset", {FAULT})
    judge.nothing("loaded-reset: nothing is delivered")


def link_mended(lab, told):
    lab.ok(told.tries()["stop, no supply"][0] < 0, "link-mended: no stop claims to have worked without a supply")
    for when, confirmed in (("unpowered", 0), ("powered", _stim.CONFIRMED), ("still", _stim.CONFIRMED)):
        seen = told.first(when) or {}
        lab.equal((seen.get("state"), seen.get("flags", 0) & _stim.CONFIRMED), (FAULT, confirmed),
                  f"link-mended, {when}: the fault stays, {'' if confirmed else 'not '}confirmed")
    lab.equal(told.tries()["stop"][0], 0, "link-mended: with a supply the stop node reaches the headstage, and says so")
    unpowered(lab, told)


def data_stall(lab, judge, table, told):
    cut_short(lab, judge, table, told, "stall")
    ended(lab, told, "acquisition watchdog", {CLAIMED, LOADED, FAULT})


def outside(lab, judge, refused, allowed):
    trains = judge.trains(refused.first("program"))
    # The log is read after both stories: those of the second program are other electrodes.
    mine = [t for t in trains if {(p["addr"], p["channel"]) for p in t.phases} == {(0x200, 0)}]
    theirs = [_stim.Train(t.phases, _stim.currents(allowed.first("program"))) for t in trains if t not in mine]
    lab.ok(len(mine) == 1 and mine[0].whole(), "outside-refused: five signals start nothing, one FIRE starts one train", len(mine))
    lab.equal(refused.first("end")["state"], _stim.ARMED, "outside-refused: signals that start nothing are no reason to stop")
    lab.equal(refused.ret, 0, "outside-refused: the story came to its end")
    lab.ok(len(theirs) == 2 and all(t.whole() for t in theirs), "outside-allowed: each of two signals of the right kind starts one whole train", len(theirs))
    lab.ok(not any(any(t.net().values()) for t in theirs), "outside-allowed: nothing is left behind")
    before, after = refused.of("after")[-1], allowed.first("end")
    lab.equal(after["delivered"] - before["delivered"], 2, "outside-allowed: the driver has counted both")
    lab.equal(after["state"], _stim.ARMED, "outside-allowed: they are no reason to stop")
    delivered = [e for e in allowed.of("ev") if e["what"] == 8]
    lab.equal(len(delivered), 2, "outside-allowed: both are in the events")


def hammered(lab, judge):
    """A signal from outside in the moment in which the input is open is found out."""
    act = _stim.Act(lab, ["hammered"])
    act.wait(lambda: act.told and act.told[0].of("hammer"))
    # As often as the socket takes it: sooner or later one falls between the two writes of a FIRE.
    signals = 0
    while not act.told[0].of("hammered") and act.command.rc is None:
        for _ in range(20):
            lab.sim.control("model stim gpio b")
        signals += 20
        act.read()
    told = act.story(0)
    trains, end = judge.trains(told.first("program")), told.first("end")
    lab.note(f"hammered: {signals} signals, {len(told.of('fire'))} FIREs, {len(trains)} trains, {end}")
    faulted = end["state"] == FAULT
    # The stop of the fault may find the last one under way.
    lab.ok(all(t.whole() for t in trains[:len(trains) - faulted]), "hammered: every train is the program")
    # How many come through depends on how long three accesses take, which in an emulation is nothing to go by. What counts: it is found
    # out, and then nothing comes any more.
    for _ in range(20):
        lab.sim.control("model stim gpio b")
    judge.nothing("hammered: signals after the fault")
    lab.ok(faulted, "hammered: a train that a signal started was found out", end)
    if faulted:
        lab.equal(_stim.WHY[end["because"]], "uncommanded", "hammered: and that is the reason of the fault")
    lab.equal(told.ret, 0, "hammered: it is safe in the end")


def removal(lab, judge, table):
    for name in ("unbind", "unplug"):
        act = _stim.Act(lab, [name])
        told = act.story(0)
        act.command.wait(60)
        cut_short(lab, judge, table, told, "unplug" if name == "unplug" else None)
        lab.equal(told.ret, 0, f"{name}: the story came to its end")
        if name == "unbind":
            lab.guest.sh("echo 0000:01:00.0 >/sys/bus/pci/drivers/oni_riffa/bind || ls /sys/bus/pci/drivers/oni_riffa")
        else:
            lab.guest.sh("for f in /sys/bus/pci/slots/*/power; do echo 0 >$f; done", check=False)
            lab.guest.plug()
        lab.guest.sh("for i in $(seq 100); do [ -e /dev/oni0 ] || [ -e /dev/oni1 ] && break; sleep 0.1; done; udevadm settle")
        judge.nothing(f"{name} and back")


def held(lab, story):
    """Whether there are results of this story, and all of them are good."""
    mine = [r["ok"] for r in lab.results if r["name"].startswith(f"{story}: ")]
    return bool(mine) and all(mine)


def sums(lab):
    """What the stories show, one result per event."""
    # verifies: R14, R08
    lab.ok(held(lab, "whole") and held(lab, "channels"), "a train is what the checked program says, and then it is over")
    # verifies: R35, R37
    lab.ok(held(lab, "staggered"), "two channels out of step are delivered in balance")
    # verifies: R14, R13
    lab.ok(held(lab, "hs64"), "a train of headstage-64 is what its registers say")
    # verifies: R29
    lab.ok(held(lab, "passed"), "the holder of a passed descriptor can do nothing, and its end is nobody's")
    # verifies: R34
    lab.ok(held(lab, "rmmod"), "no module can be taken away meanwhile")
    # verifies: R18
    lab.ok(held(lab, "disarm") and held(lab, "release"), "DISARM and RELEASE cut a train off")
    # verifies: R16
    lab.ok(held(lab, "stop-node"), "anybody can cut a train off by the stop node")
    # verifies: R06
    lab.ok(held(lab, "close-dup"), "close of a copy by the owner cuts a train off")
    # verifies: R06
    lab.ok(held(lab, "exit") and held(lab, "sigkill"), "the end of the owner cuts a train off")
    # verifies: R06
    lab.ok(held(lab, "fork-exit"), "a child that keeps the file does not keep the session")
    # verifies: R06, R29
    lab.ok(held(lab, "exec"), "exec cuts a train off, and what comes after it has no session")
    # verifies: R20
    lab.ok(held(lab, "acquisition-stop") and held(lab, "stream-closed"), "the end of the acquisition cuts a train off")
    # verifies: R20
    lab.ok(held(lab, "ring-full"), "a reader that is too slow cuts a train off")
    # verifies: R20, R07
    lab.ok(held(lab, "data-stall"), "data that stall cut a train off")
    # verifies: R18
    lab.ok(held(lab, "ttl"), "the time to live cuts a train off")
    # verifies: R07
    lab.ok(held(lab, "sigstop") and held(lab, "silent"), "an owner that is silent is taken for dead")
    # verifies: R07
    lab.ok(held(lab, "stale-kick"), "an owner that says what is no news is taken for dead")
    # verifies: R33
    lab.ok(held(lab, "fault-latched"), "a fault stays until it is acknowledged")
    # verifies: R16, R32, R33
    lab.ok(held(lab, "mute"), "a stop that is not acknowledged is a fault that can not be acknowledged either, and is tried again")
    # verifies: R32
    lab.ok(held(lab, "link-loss"), "nobody takes the link away, or no more than the train is delivered")
    # verifies: R32, R05, R11
    lab.ok(held(lab, "hub-reset"), "a headstage that lost its power is a fault, and comes back safe")
    # verifies: R31
    lab.ok(held(lab, "not-armed") and held(lab, "not-triggered"), "a train that was commanded and does not come is a fault")
    # verifies: R31
    lab.ok(held(lab, "not-reported"), "a train that is not reported is a fault, and is cut off")
    # verifies: R32
    lab.ok(held(lab, "sequencer"), "a sequencer that reports an error is a fault, and is stopped")
    # verifies: R05, R13, R32
    lab.ok(held(lab, "loaded-reset"), "a headstage that was reset after its program was loaded is a fault, and is not armed")
    # verifies: R08, R16, R32, R33
    lab.ok(held(lab, "link-broken"), "a headstage that can not be reached is switched off, and nobody says that it has confirmed")
    # verifies: R16, R33
    lab.ok(held(lab, "link-mended"), "a headstage that was switched off comes back safe, and the fault stays")
    # verifies: R09
    lab.ok(held(lab, "outside-refused"), "a signal from outside starts nothing that was not allowed")
    # verifies: R09, R31, R03
    lab.ok(held(lab, "outside-allowed"), "a signal that is allowed starts one train, which is counted")
    # verifies: R31, R09
    lab.ok(held(lab, "hammered"), "a train that nobody commanded is a fault")
    # verifies: R34
    lab.ok(held(lab, "unbind"), "unbind cuts a train off")
    # verifies: R34, R05
    lab.ok(held(lab, "unplug"), "a card that was pulled comes back safe")


def second(lab, judge, table):
    """What the holder of the card does to it: each story needs a card in order."""
    act = _stim.Act(lab, ["data-stall"])
    data_stall(lab, judge, table, act.story(0))
    act = _stim.Act(lab, ["mute"], power=True)
    unanswered(lab, judge, table, act.story(0))
    act = _stim.Act(lab, ["hub-reset"], power=True)
    stops(lab, judge, table, act, 0, ["hub-reset"])
    judge.nothing("after the headstage was reset, whoever pressed the button")
    if not lab.slow:
        third(lab, judge, table)
    removal(lab, judge, table)


def third(lab, judge, table):
    act = _stim.Act(lab, ["link-loss"], power=True)
    link_loss(lab, judge, table, act.story(0))
    for name in ("not-armed", "not-triggered"):
        act = _stim.Act(lab, [name], power=True)
        undelivered(lab, judge, act.story(0))
    act = _stim.Act(lab, ["loaded-reset"], power=True)
    loaded_reset(lab, judge, act.story(0))
    act = _stim.Act(lab, ["not-reported", "sequencer", "link-mended", "link-broken"], power=True)
    stops(lab, judge, table, act, 0, ["not-reported", "sequencer", "link-mended", "link-broken"])
    link_mended(lab, act.told[2])
    link_broken(lab, judge, act.told[3])

    act = _stim.Act(lab, ["outside-refused", "outside-allowed"], power=True)
    refused, allowed = act.story(0), act.story(1)
    outside(lab, judge, refused, allowed)
    judge.balanced("but for the electrode whose trains were cut", {WAVE})
    hammered(lab, judge)


def run(lab):
    _kernel.slots_by_guest(lab.guest)
    table, judge = _stim.Table(), _stim.Judge(lab)
    judge.nothing("before anybody has a policy")

    act = _stim.Act(lab, [*WHOLE, "passed", "rmmod"], power=True)
    n = whole(lab, judge, act, 0)
    stops(lab, judge, table, act, n, ["passed", "rmmod"])
    judge.balanced("after trains that nobody cut")

    names = [name for name in CUT if name not in LATE and (not lab.slow or name in FEW)]
    act = _stim.Act(lab, names, power=True)
    stops(lab, judge, table, act, 0, names)

    second(lab, judge, table)
    if not lab.slow:
        sums(lab)
    table.show(lab)
    _kernel.conserved(lab, "after all of it")
