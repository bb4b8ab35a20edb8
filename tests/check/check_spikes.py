#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Do the logged spikes agree with the true ones of synthetic neurons?

usage: check_spikes.py SESSION TRUTH [--f1 0.97] [--tolerance-ms 0.5] [--run N]
                       [--channels 4-63] [--json FILE]

TRUTH is the simulator's spike file: "channel sample_index unit peak_uv acq_clock",
"# run N" before each acquisition. Pairs are matched by time; true spikes outside the
recorded samples do not count, nor those whose detection needs samples before the
first or after the last one (5 ms). Two true spikes of one channel closer than the
detector's dead time (1 ms) can only be found once; they are counted all the same.
"""
import argparse
import json
import re

import numpy as np

import recording as rec


def load_truth(path, number):
    runs, current = {}, None
    with open(path, encoding="utf8") as f:
        for line in f:
            m = re.match(r"#\s*run\s+(\d+)", line)
            if m:
                current = runs.setdefault(int(m.group(1)), [])
            elif not line.startswith("#") and line.strip():
                if current is None:
                    current = runs.setdefault(0, [])
                w = line.split()
                current.append((int(w[0]), int(w[1]), int(w[4])))
    filled = {k: v for k, v in runs.items() if v}
    rec.expect(filled, f"{path}: no spikes")
    if number is not None:
        rec.expect(number in filled, f"{path}: no spikes in run {number}")
        return np.array(filled[number])
    return np.array(filled[max(filled)])


def parse_channels(text):
    out = set()
    for part in text.split(","):
        a, _, b = part.partition("-")
        out.update(range(int(a), int(b or a) + 1))
    return sorted(out)


def check(a):
    folders = rec.find_recordings(a.session)
    rec.expect(len(folders) == 1, "a session with gaps has more than one recording")
    r = rec.Recording(folders[0])
    amp = r.amplifier()
    head, spikes = r.spikes()
    truth = load_truth(a.truth, a.run)
    # the truth counts samples from the start of the run, the recording by the clock
    first = int(amp.numbers[0])
    n = len(amp.data)
    margin = int(amp.rate * 0.005)
    tolerance = int(round(a.tolerance_ms * amp.rate / 1000))
    truth = truth[(truth[:, 1] >= margin) & (truth[:, 1] < n - margin)]
    sample = spikes["sample"].astype(np.int64) - first
    inside = (sample >= margin - tolerance) & (sample < n - margin + tolerance)
    channels = a.channels or sorted(set(truth[:, 0]))
    hits = found = true = 0
    worst = (2.0, None)
    errors = []
    for c in channels:
        f = np.sort(sample[inside & (spikes["channel"] == c)])
        t = np.sort(truth[truth[:, 0] == c, 1])
        h = rec.match(f, t, tolerance)
        if len(f) and len(t):
            i = np.clip(np.searchsorted(f, t), 1, len(f) - 1) if len(f) > 1 else np.zeros(len(t), int)
            d = np.minimum(np.abs(f[i] - t), np.abs(f[i - 1] - t)) if len(f) > 1 else abs(f[0] - t)
            errors.extend(d[d <= tolerance])
        hits, found, true = hits + h, found + len(f), true + len(t)
        f1 = 2 * h / (len(f) + len(t)) if len(f) + len(t) else 1.0
        worst = min(worst, (f1, c))
    p = hits / found if found else 0.0
    q = hits / true if true else 0.0
    f1 = 2 * p * q / (p + q) if p + q else 0.0
    jitter = float(np.sqrt(np.mean(np.square(errors)))) / amp.rate * 1e6 if errors else 0.0
    print(f"{len(channels)} channels, {n / amp.rate:.1f} s: {true} true spikes, {found} logged, "
          f"{hits} agree within {a.tolerance_ms} ms")
    print(f"precision {p:.4f}  recall {q:.4f}  F1 {f1:.4f}  (worst channel {worst[1]}: "
          f"{worst[0]:.4f})  jitter {jitter:.1f} us  guarded {int(head['guarded'])}  "
          f"dropped {int(head['dropped'])}")
    if a.json:
        with open(a.json, "w", encoding="utf8") as out:
            json.dump({"true": true, "found": found, "hits": hits, "precision": p, "recall": q,
                       "f1": f1, "worst_f1": worst[0], "worst_channel": int(worst[1]),
                       "jitter_us": jitter}, out)
    rec.expect(f1 >= a.f1, f"F1 {f1:.4f} is below {a.f1}")


if __name__ == "__main__":
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("session")
    p.add_argument("truth")
    p.add_argument("--f1", type=float, default=0.97)
    p.add_argument("--tolerance-ms", type=float, default=0.5)
    p.add_argument("--run", type=int)
    p.add_argument("--channels", type=parse_channels)
    p.add_argument("--json")
    rec.run(check, p.parse_args())
