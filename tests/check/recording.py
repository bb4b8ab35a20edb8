# SPDX-License-Identifier: MIT
"""Reading recordings of onirec without Neo: used by the checks beside this file.

Only numpy and the standard library. Nothing here writes.
"""
import json
import os
import sys

import numpy as np

SPIKES_HEADER = 4096


class Failure(Exception):
    """A check that did not hold; the text says what was compared."""


def run(check, *args):
    """Run a check, print its verdict, exit 0 or 1."""
    try:
        check(*args)
    except Failure as e:
        print("FAIL:", e)
        sys.exit(1)
    print("ok")
    sys.exit(0)


def expect(condition, text):
    if not condition:
        raise Failure(text)


def find_recordings(path):
    """Folders with a structure.oebin below path, in order."""
    found = []
    for root, _dirs, files in os.walk(path):
        if "structure.oebin" in files:
            found.append(root)
    expect(found, f"no structure.oebin below {path}")
    return sorted(found)


class Stream:
    def __init__(self, recording, info):
        self.info = info
        self.name = info["stream_name"]
        self.channels = info["num_channels"]
        self.rate = info["sample_rate"]
        self.scale = np.array([c["bit_volts"] for c in info["channels"]])
        self.units = info["channels"][0]["units"]
        folder = os.path.join(recording, "continuous", info["folder_name"])
        self.data = np.memmap(os.path.join(folder, "continuous.dat"), "<i2", "r")
        expect(self.data.size % self.channels == 0,
               f"{folder}: continuous.dat does not end at a frame border")
        self.data = self.data.reshape(-1, self.channels)
        self.numbers = np.load(os.path.join(folder, "sample_numbers.npy"), mmap_mode="r")
        self.times = np.load(os.path.join(folder, "timestamps.npy"), mmap_mode="r")


class Recording:
    def __init__(self, path):
        self.path = path
        with open(os.path.join(path, "structure.oebin"), encoding="utf8") as f:
            self.structure = json.load(f)
        with open(os.path.join(path, "onirec", "meta.json"), encoding="utf8") as f:
            self.meta = json.load(f)
        self.streams = {i["stream_name"]: Stream(path, i) for i in self.structure["continuous"]}

    def amplifier(self):
        """The first stream of electrodes."""
        for s in self.streams.values():
            if s.info["channels"][0]["channel_name"].startswith("CH"):
                return s
        raise Failure(f"{self.path}: no amplifier stream")

    def spikes(self):
        """(header, records) of onirec/spikes.bin; checksums and numbers are checked."""
        return read_spikes(os.path.join(self.path, "onirec", "spikes.bin"))


def crc32c_table():
    table = []
    for n in range(256):
        for _ in range(8):
            n = n >> 1 ^ (0x82F63B78 if n & 1 else 0)
        table.append(n)
    return np.array(table, dtype=np.uint32)


def crc32c_rows(rows):
    """CRC-32C of every row of a two-dimensional uint8 array."""
    table = crc32c_table()
    crc = np.full(len(rows), 0xFFFFFFFF, dtype=np.uint32)
    for column in rows.T:
        crc = table[(crc ^ column) & 0xFF] ^ (crc >> np.uint32(8))
    return ~crc


HEADER = np.dtype([
    ("magic", "S8"), ("version", "<u4"), ("endian", "<u4"), ("record_bytes", "<u4"),
    ("n_pre", "<u4"), ("n_post", "<u4"), ("channels", "<u4"), ("rate_hz", "<f8"),
    ("unit", "<f8"), ("units_name", "S8"), ("stream", "S64"), ("spikes", "<u8"),
    ("guarded", "<u8"), ("dropped", "<u8")])


def read_spikes(path):
    with open(path, "rb") as f:
        head = np.frombuffer(f.read(SPIKES_HEADER)[:HEADER.itemsize], HEADER)[0]
    expect(head["magic"] == b"ONISPK\r\n" and head["endian"] == 0x01020304,
           f"{path}: not a spike log")
    n = int(head["n_pre"] + head["n_post"])
    dtype = np.dtype({
        "names": ["sample", "mono_ns", "channel", "peak", "threshold", "flags", "sigma", "seq",
                  "crc", "wave"],
        "formats": ["<u8", "<u8", "<u4", "<i2", "<i2", "<u2", "<u2", "<u4", "<u4",
                    ("<i2", (n,))],
        "offsets": [0, 8, 16, 20, 22, 24, 26, 28, 32, 36],
        "itemsize": int(head["record_bytes"])})
    count = (os.path.getsize(path) - SPIKES_HEADER) // dtype.itemsize
    records = np.fromfile(path, dtype, count=count, offset=SPIKES_HEADER)
    raw = records.view(np.uint8).reshape(count, dtype.itemsize).copy()
    raw[:, 32:36] = 0
    good = crc32c_rows(raw) == records["crc"] if count else np.zeros(0, bool)
    expect(good.all(), f"{path}: {np.count_nonzero(~good)} records have a wrong checksum")
    expect((np.diff(records["seq"].astype(np.int64)) > 0).all(),
           f"{path}: record numbers go back")
    return head, records


def match(a, b, tolerance):
    """Pairs of sorted times a and b at most tolerance apart, each used once."""
    i = j = hits = 0
    while i < len(a) and j < len(b):
        d = int(a[i]) - int(b[j])
        if abs(d) <= tolerance:
            hits += 1
            i += 1
            j += 1
        elif d < 0:
            i += 1
        else:
            j += 1
    return hits


def scores(found, truth, tolerance):
    """(precision, recall, F1)"""
    hits = match(found, truth, tolerance)
    p = hits / len(found) if len(found) else float(len(truth) == 0)
    r = hits / len(truth) if len(truth) else 1.0
    return p, r, 2 * p * r / (p + r) if p + r else 0.0
