#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Are the samples of the simulator's `ramp` source bit-exact on disk, all of them?

usage: check_ramp.py SESSION [--channels LIST]

The source puts (sample * 64 + channel) & 0xffff on channel `channel`; the recorder
stores it less 32768. LIST are the simulator's numbers of the recorded channels in
order, like 0-63,128-159 (0-63). The number of the first sample is taken from the first
value. Sample numbers must be without a hole and timestamps evenly spaced.
"""
import argparse

import numpy as np

import recording as rec


def channel_list(text):
    """The numbers that a list like 0-3,7 names."""
    numbers = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        numbers += range(int(first), int(last or first) + 1)
    return np.array(numbers)


def check_one(folder, channels):
    r = rec.Recording(folder)
    amp = r.amplifier()
    n = len(amp.data)
    rec.expect(n > 0, f"{folder}: empty")
    rec.expect(amp.channels == len(channels), f"{folder}: {amp.channels} channels, not {len(channels)}")
    first = (int(amp.data[0, 0]) + 32768 - channels[0]) & 0xFFFF
    rec.expect(first % 64 == 0, f"{folder}: the first value is none of channel {channels[0]}")
    for start in range(0, n, 65536):
        block = amp.data[start:start + 65536].astype(np.int32) + 32768
        index = np.arange(start, start + len(block)) + first // 64
        want = (index[:, None] * 64 + channels) & 0xFFFF
        bad = np.argwhere(block != want)
        rec.expect(len(bad) == 0, f"{folder}: sample {start + bad[0][0] if len(bad) else 0} "
                   f"channel {bad[0][1] if len(bad) else 0} is wrong, {len(bad)} in this block")
    rec.expect(len(amp.numbers) == n and len(amp.times) == n,
               f"{folder}: {n} samples, {len(amp.numbers)} numbers, {len(amp.times)} times")
    rec.expect((np.diff(amp.numbers) == 1).all(), f"{folder}: sample numbers have holes")
    step = np.diff(amp.times) * amp.rate
    rec.expect((np.abs(step - 1) < 0.5).all(), f"{folder}: timestamps are not evenly spaced")
    print(f"{folder}: {n} samples x {len(channels)} channels are bit-exact, first ramp sample {first // 64}")


def check(a):
    for folder in rec.find_recordings(a.session):
        check_one(folder, channel_list(a.channels))


if __name__ == "__main__":
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("session")
    p.add_argument("--channels", default="0-63")
    rec.run(check, p.parse_args())
