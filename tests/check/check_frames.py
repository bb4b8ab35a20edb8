#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Did every frame the hardware produced arrive in the recording?

usage: check_frames.py SESSION TRUTH [--run N]

SESSION  folder of the recording; its last meta.json is used
TRUTH    truth file of the simulator (JSON lines); without --run the run whose
         counts of delivered frames fit best is taken, so that an earlier or later
         acquisition in the same file does not matter

Per device: produced = delivered + left + lost (the simulator's law), frames seen =
delivered, frames recorded = frames seen (devices recorded as "counted" excepted),
lost = 0, first and last clock.
"""
import argparse
import json

import recording as rec


def load_runs(path):
    runs = []
    with open(path, encoding="utf8") as f:
        for line in f:
            if line.strip():
                runs.append(json.loads(line))
    rec.expect(runs, f"{path}: no run")
    return runs


def pick_run(runs, seen, number):
    if number is not None:
        runs = [r for r in runs if r["run"] == number]
        rec.expect(runs, f"no run {number} in the truth file")
        return runs[-1]

    def difference(run):
        truth = {d["addr"]: d["delivered"] for d in run["devices"]}
        return sum(abs(truth.get(a, 0) - d["frames"]) for a, d in seen.items())
    return min(reversed(runs), key=difference)


def check_device(truth, seen):
    name = seen["name"] if seen else f"device {truth['addr']:#x}"
    frames = seen["frames"] if seen else 0
    rec.expect(truth["produced"] == truth["delivered"] + truth["left"] + truth["lost"],
               f"{name}: the simulator's own counts do not add up: {truth}")
    rec.expect(truth["lost"] == 0, f"{name}: the card lost {truth['lost']} frames")
    rec.expect(frames == truth["delivered"],
               f"{name}: {truth['delivered']} frames delivered, {frames} seen")
    if not seen or not frames:
        return
    rec.expect(seen["lost"] == 0 and seen["gaps"] == 0,
               f"{name}: {seen['lost']} lost in {seen['gaps']} gaps")
    if seen["recorded_as"] != "counted":
        rec.expect(seen["recorded"] == frames,
                   f"{name}: {frames} frames seen, {seen['recorded']} recorded")
    rec.expect(seen["first_clock"] == truth["first_clock"],
               f"{name}: first clock {seen['first_clock']}, truth {truth['first_clock']}")
    if not truth["left"]:
        rec.expect(seen["last_clock"] == truth["last_clock"],
                   f"{name}: last clock {seen['last_clock']}, truth {truth['last_clock']}")


def check_rows(session, meta):
    """Rows on disk, all recordings of the session together."""
    rows = {}
    for folder in rec.find_recordings(session):
        for name, s in rec.Recording(folder).streams.items():
            rows[name] = rows.get(name, 0) + len(s.data)
    for s in meta["streams"]:
        frames = {d["addr"]: d["recorded"] for d in meta["devices"]}[s["device"]]
        rec.expect(rows.get(s["name"], 0) == frames + s["zero_filled"],
                   f"{s['name']}: {rows.get(s['name'], 0)} rows on disk, "
                   f"{frames} frames recorded and {s['zero_filled']} filled")


def check(a):
    meta = rec.Recording(rec.find_recordings(a.session)[-1]).meta
    rec.expect(meta["state"] == "complete", f"meta.json says {meta['state']}")
    seen = {d["addr"]: d for d in meta["devices"]}
    run = pick_run(load_runs(a.truth), seen, a.run)
    truth = {d["addr"]: d for d in run["devices"]}
    print(f"{'device':22} {'produced':>10} {'delivered':>10} {'seen':>10} {'recorded':>10} "
          f"{'left':>6} {'lost':>6}")
    for addr in sorted(set(truth) | set(seen)):
        t = truth.get(addr, {"addr": addr, "produced": 0, "delivered": 0, "left": 0, "lost": 0,
                             "first_clock": 0, "last_clock": 0})
        s = seen.get(addr)
        if t["produced"] or (s and s["frames"]):
            print(f"{s['name'] if s else hex(addr):22} {t['produced']:10} {t['delivered']:10} "
                  f"{s['frames'] if s else 0:10} {s['recorded'] if s else 0:10} "
                  f"{t['left']:6} {t['lost'] + (s['lost'] if s else 0):6}")
    for addr in sorted(set(truth) | set(seen)):
        if addr in truth:
            check_device(truth[addr], seen.get(addr))
        else:
            rec.expect(seen[addr]["frames"] == 0, f"{seen[addr]['name']}: frames nobody made")
    check_rows(a.session, meta)
    bad = {k: v for k, v in run.get("violations", {}).items() if v}
    rec.expect(not bad, f"violations: {bad}")


if __name__ == "__main__":
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("session")
    p.add_argument("truth")
    p.add_argument("--run", type=int)
    rec.run(check, p.parse_args())
