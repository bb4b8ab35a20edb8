#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Does Debian's Neo open a recording with the right channels, rate, length and scale?

usage: check_neo.py SESSION [--channels 64] [--rate 30000] [--scale 0.195]
                    [--min-seconds S] [--any-length]

Without --any-length the number of samples is compared with onirec/meta.json.
"""
import argparse

import numpy as np

import recording as rec


def find_stream(reader, channels):
    for i in range(reader.signal_streams_count()):
        if reader.signal_channels_count(stream_index=i) == channels:
            return i
    counts = [reader.signal_channels_count(stream_index=i)
              for i in range(reader.signal_streams_count())]
    raise rec.Failure(f"no stream with {channels} channels, there are {counts}")


def check_segment(reader, own, seg, stream, a):
    name = reader.header["signal_streams"][stream]["name"]
    rate = reader.get_signal_sampling_rate(stream_index=stream)
    rec.expect(rate == a.rate, f"{name}: rate {rate}, expected {a.rate}")
    ch = reader.header["signal_channels"]
    ch = ch[ch["stream_id"] == str(stream)]
    rec.expect((np.abs(ch["gain"] - a.scale) < 1e-9).all() and (ch["units"] == "uV").all(),
               f"{name}: scale {ch['gain'][0]} {ch['units'][0]}, expected {a.scale} uV")
    n = reader.get_signal_size(block_index=0, seg_index=seg, stream_index=stream)
    amp = own.amplifier()
    rec.expect(n == len(amp.data), f"{name}: Neo sees {n} samples, {len(amp.data)} are there")
    rec.expect(len(amp.numbers) <= n, f"{name}: more sample numbers than samples")
    if not a.any_length:
        meta = {s["name"]: s for s in own.meta["streams"]}[amp.name]["rows"]
        rec.expect(n == meta, f"{name}: {n} samples, meta.json says {meta}")
    rec.expect(n / rate >= a.min_seconds, f"{name}: {n / rate:.3f} s, expected {a.min_seconds}")
    tail = reader.get_analogsignal_chunk(block_index=0, seg_index=seg, i_start=max(0, n - 30),
                                         i_stop=n, stream_index=stream)
    rec.expect((tail == amp.data[max(0, n - 30):n]).all(), f"{name}: the last samples differ")
    t0 = reader.get_signal_t_start(block_index=0, seg_index=seg, stream_index=stream)
    print(f"segment {seg}: {name}: {len(ch)} channels, {rate:g} Hz, {n} samples "
          f"({n / rate:.3f} s from {t0:.6f}), {a.scale} uV per bit")


def check(a):
    from neo.rawio import OpenEphysBinaryRawIO
    reader = OpenEphysBinaryRawIO(dirname=a.session)
    try:
        reader.parse_header()
    except Exception as e:      # whatever Neo raises means that it does not open
        raise rec.Failure(f"Neo cannot open {a.session}: {type(e).__name__}: {e}")
    folders = rec.find_recordings(a.session)
    rec.expect(reader.block_count() == 1 and reader.segment_count(0) == len(folders),
               f"Neo sees {reader.segment_count(0)} segments, {len(folders)} are there")
    stream = find_stream(reader, a.channels)
    for seg, folder in enumerate(folders):
        check_segment(reader, rec.Recording(folder), seg, stream, a)
        for ev in range(reader.event_channels_count()):
            times, _durations, _labels = reader.get_event_timestamps(0, seg, ev)
            rec.expect(len(times) > 0 or reader.header["event_channels"][ev]["type"] == b"epoch"
                       or reader.header["event_channels"][ev]["type"] == "epoch",
                       "an event channel is empty")
    print(f"{reader.event_channels_count()} event channels")


if __name__ == "__main__":
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("session")
    p.add_argument("--channels", type=int, default=64)
    p.add_argument("--rate", type=float, default=30000)
    p.add_argument("--scale", type=float, default=0.195)
    p.add_argument("--min-seconds", type=float, default=0)
    p.add_argument("--any-length", action="store_true")
    rec.run(check, p.parse_args())
