#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Are the samples of the simulator's `ramp` source bit-exact on disk, all of them?

usage: check_ramp.py SESSION

The source puts (sample * 64 + channel) & 0xffff on channel `channel`; the recorder
stores it less 32768. The number of the first sample is taken from the first value.
Sample numbers must be without a hole and timestamps evenly spaced.
"""
import sys

import numpy as np

import recording as rec


def check_one(folder):
    r = rec.Recording(folder)
    amp = r.amplifier()
    n = len(amp.data)
    rec.expect(n > 0, f"{folder}: empty")
    first = int(amp.data[0, 0]) + 32768
    rec.expect(first % 64 == 0, f"{folder}: the first value {first} is none of channel 0")
    for start in range(0, n, 65536):
        block = amp.data[start:start + 65536].astype(np.int32) + 32768
        index = np.arange(start, start + len(block)) + first // 64
        want = (index[:, None] * 64 + np.arange(64)) & 0xFFFF
        bad = np.argwhere(block != want)
        rec.expect(len(bad) == 0, f"{folder}: sample {start + bad[0][0] if len(bad) else 0} "
                   f"channel {bad[0][1] if len(bad) else 0} is wrong, {len(bad)} in this block")
    rec.expect(len(amp.numbers) == n and len(amp.times) == n,
               f"{folder}: {n} samples, {len(amp.numbers)} numbers, {len(amp.times)} times")
    rec.expect((np.diff(amp.numbers) == 1).all(), f"{folder}: sample numbers have holes")
    step = np.diff(amp.times) * amp.rate
    rec.expect((np.abs(step - 1) < 0.5).all(), f"{folder}: timestamps are not evenly spaced")
    print(f"{folder}: {n} samples x 64 channels are bit-exact, first ramp sample {first // 64}")


def check(session):
    for folder in rec.find_recordings(session):
        check_one(folder)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    rec.run(check, sys.argv[1])
