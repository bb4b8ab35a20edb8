#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Do the logged spikes agree with an offline reference on the same samples?

usage: check_reference.py SESSION --channels 0-3 [--f1 0.95] [--tolerance-ms 0.5] [--order 2] [--whole]

Reference, by scipy: zero-phase Butterworth band pass 300-6000 Hz (sosfiltfilt) over the
recorded samples of the whole recording. The threshold rule is the recorder's: k times
sigma, sigma = median(|x|) / 0.6745 taken over the first seconds, then followed by the
same causal running estimate (every 16th sample the median moves by m / (0.857 N), N up
to 60000 looks), here in floating point on the reference's own signal; the extremum within
0.5 ms is the spike; 1 ms dead time. k and the length of the first part are read from the
spike log.

Also printed, and with --whole judged as well: the agreement when the reference takes one
sigma from the whole recording, which an online detector cannot know. The difference
between the two is how stationary the noise is.
"""
import argparse
import json

import numpy as np
from scipy import signal

import recording as rec
from check_spikes import parse_channels

EVERY, FAST, SLOW = 16, 500, 60000


def running_sigma(x, fs, prime):
    """Sigma in force at every sample, one column per channel."""
    mag = np.abs(x)
    m = np.median(mag[:prime], axis=0)
    looks = np.full(x.shape[1], max(FAST, min(prime, len(x)) / EVERY))
    above = np.zeros(x.shape[1])
    window = 0
    sigma = np.empty_like(x)
    for t in range(0, len(x), EVERY):
        sigma[t:t + EVERY] = m
        up = mag[t] > m
        m = m + np.where(up, m, -m) / (0.857 * looks)
        looks = np.minimum(looks + 1, SLOW)
        above += up
        window += 1
        if window == fs // EVERY:
            looks[(above > 0.6 * window) | (above < 0.4 * window)] = FAST
            above[:] = 0
            window = 0
    return sigma / 0.6745


def detect(x, threshold, polarity, search, dead):
    """Samples of the extrema; threshold is a number or an array like x."""
    y = -x if polarity == 0 else x if polarity == 1 else np.abs(x)
    beyond = np.flatnonzero(y > threshold)
    out, j = [], 0
    while j < len(beyond):
        p = beyond[j]
        peak = p + int(np.argmax(y[p:p + search + 1]))
        out.append(peak)
        j = np.searchsorted(beyond, peak + dead)
    return np.array(out, dtype=np.int64)


def check(a):
    folders = rec.find_recordings(a.session)
    rec.expect(len(folders) == 1, "a session with gaps has more than one recording")
    r = rec.Recording(folders[0])
    amp = r.amplifier()
    head, spikes = r.spikes()
    with open(f"{folders[0]}/onirec/spikes.bin", "rb") as f:
        f.seek(144)
        info = json.loads(f.read(rec.SPIKES_HEADER - 144).split(b"\0")[0])
    k, fs = info["k"], int(amp.rate)
    tolerance = int(round(a.tolerance_ms * fs / 1000))
    x = amp.data[:, a.channels].astype(float)
    sos = signal.butter(a.order, [300, 6000], "bandpass", fs=fs, output="sos")
    y = signal.sosfiltfilt(sos, x, axis=0)
    running = running_sigma(y, fs, info["prime_frames"])
    whole = np.median(np.abs(y), axis=0) / 0.6745
    margin = int(0.005 * fs)
    inside = lambda s: s[(s >= margin) & (s < len(y) - margin)]
    print(f"{len(y) / fs:.1f} s, k = {k}, Butterworth order {a.order} run both ways")
    worst = 1.0
    for i, c in enumerate(a.channels):
        found = spikes["sample"][spikes["channel"] == c].astype(np.int64) - int(amp.numbers[0])
        found = inside(np.sort(found))
        ref = inside(detect(y[:, i], k * running[:, i], info["polarity"], fs // 2000, fs // 1000))
        p, q, f1 = rec.scores(found, ref, tolerance)
        other = inside(detect(y[:, i], k * whole[i], info["polarity"], fs // 2000, fs // 1000))
        other_f1 = rec.scores(found, other, tolerance)[2]
        worst = min(worst, f1, other_f1 if a.whole else f1)
        print(f"channel {c}: {len(found)} logged, {len(ref)} by the reference, precision {p:.4f} "
              f"recall {q:.4f} F1 {f1:.4f}; with one sigma for all: {len(other)}, "
              f"F1 {other_f1:.4f}")
    rec.expect(worst >= a.f1, f"F1 {worst:.4f} on the worst channel is below {a.f1}")


if __name__ == "__main__":
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("session")
    p.add_argument("--channels", type=parse_channels, required=True)
    p.add_argument("--f1", type=float, default=0.95)
    p.add_argument("--tolerance-ms", type=float, default=0.5)
    p.add_argument("--order", type=int, default=2)
    p.add_argument("--whole", action="store_true")
    rec.run(check, p.parse_args())
