# SPDX-License-Identifier: MIT
"""_ring_session PIPE - make rings, map them and look at them, as a named pipe says; runs in a guest without our tools, as root.

Each line of the pipe is a JSON list, a method of Rings and its arguments; each is answered by one line of JSON, {"n": count, "r": result}.
A ring has a name of the caller's choice; nodes are those of /dev. Contract used: include/uapi/linux/oni.h.
"""
import fcntl
import json
import mmap
import os
import re
import socket
import struct
import sys

CLAIM, RESET, REG_WRITE, START, STOP, STREAM_CREATE = 0x02, 0x04, 0x06, 0x0a, 0x0b, 0x0c
STREAM_INFO = 0x20
LOAD_TESTER, TESTER_HZ = 0x00b, 250000000
BLOCK = 4096
PAGE = 4096
PRESENT, PFN = 1 << 63, (1 << 55) - 1
SO_ZEROCOPY, MSG_ZEROCOPY, UDP_SEGMENT = 60, 0x4000000, 103


def ioctl(fd, number, layout, *values):
    """(errno, the argument afterwards) of a call whose structure begins with its size."""
    arg = bytearray(struct.pack(layout, struct.calcsize(layout), *values))
    try:
        fcntl.ioctl(fd, 0xB900 | number, arg)
        return 0, arg
    except OSError as e:
        return e.errno, arg


def must(what, answer):
    if answer[0]:
        sys.exit(f"{what}: {os.strerror(answer[0])}")
    return answer[1]


def mappings():
    with open("/proc/self/maps", encoding="ascii") as maps:
        return {int(line.split("-")[0], 16) for line in maps if re.search(r"\[oni-ring\]", line)}


def frames(data):
    """{device: frames} of whole frames, and the bytes that are left over."""
    counted, at = {}, 0
    while at + 16 <= len(data):
        _, device, size = struct.unpack_from("<Q2I", data, at)
        end = at + 16 + (size + 3) // 4 * 4
        if end > len(data):
            break
        counted[device] = counted.get(device, 0) + 1
        at = end
    return counted, len(data) - at


class Rings:
    def __init__(self):
        self.nodes, self.streams, self.sizes, self.maps, self.places, self.kept = {}, {}, {}, {}, {}, {}
        self.pinning, self.null = None, os.open("/dev/null", os.O_RDONLY)

    def open(self, node):
        self.nodes[node] = os.open(f"/dev/{node}", os.O_RDWR)
        must("claim", ioctl(self.nodes[node], CLAIM, "<2I", 0))

    def leave(self, node):
        os.close(self.nodes.pop(node))

    def create(self, node, name, size):
        """errno, and the size that was chosen."""
        error, arg = ioctl(self.nodes[node], STREAM_CREATE, "<2IQ3Ii4I", 0, size, BLOCK, 0, 0, -1, *[0] * 4)
        if error:
            return error, 0
        self.sizes[name], self.streams[name] = struct.unpack_from("<Q", arg, 8)[0], struct.unpack_from("<i", arg, 28)[0]
        return 0, self.sizes[name]

    def map(self, name):
        offset = struct.unpack_from("<Q", must("geometry", ioctl(self.streams[name], STREAM_INFO, "<2I8Q4I2Q", *[0] * 15)), 40)[0]
        before, copy = mappings(), os.dup(self.null)
        os.close(copy)
        self.maps[name] = mmap.mmap(self.streams[name], self.sizes[name], mmap.MAP_SHARED, mmap.PROT_READ, offset=offset)
        self.places[name], = mappings() - before
        # Python keeps a copy of the file, which would keep the stream. It has the lowest number, and is going to close it.
        os.dup2(self.null, copy)

    def close(self, name):
        os.close(self.streams.pop(name))

    def unmap(self, name):
        self.maps.pop(name).close()

    def pages(self, name):
        """[first, end] of each stretch of physical memory of a mapping, in its order."""
        runs = []
        with open("/proc/self/pagemap", "rb") as pagemap:
            pagemap.seek(self.places[name] // PAGE * 8)
            entries = pagemap.read(self.sizes[name] // PAGE * 8)
        for entry, in struct.iter_unpack("<Q", entries):
            at = (entry & PFN) * PAGE
            if not entry & PRESENT or not at:
                return None
            if runs and runs[-1][1] == at:
                runs[-1][1] += PAGE
            else:
                runs.append([at, at + PAGE])
        return runs

    def zero(self, name):
        return all(not any(self.maps[name][at:at + PAGE]) for at in range(0, self.sizes[name], PAGE))

    def keep(self, name):
        self.kept[name] = self.maps[name][:]

    def same(self, name):
        """Is the memory as it was when it was kept, and something else than zeros?"""
        return any(self.kept[name]) and self.kept[name] == self.maps[name][:]

    def record(self, node, name, amount):
        """Acquire at least so much. Bytes, frames by device, bytes left over, and whether the end of it is in the mapping."""
        control, stream, data = self.nodes[node], self.streams[name], bytearray()
        for register, value in ((0, 1), (1, TESTER_HZ // 500), (3, 200), (5, 0x100)):
            must("load tester", ioctl(control, REG_WRITE, "<6I", 0, LOAD_TESTER, register, value, 0))
        must("reset", ioctl(control, RESET, "<2I", 0))
        must("start", ioctl(control, START, "<2I", 0))
        while len(data) < amount:
            data += os.read(stream, 1 << 16)
        must("stop", ioctl(control, STOP, "<2I", 0))
        while more := os.read(stream, 1 << 16):
            data += more
        size, ring = self.sizes[name], self.maps[name][:]
        place = len(data) % size
        counted, left = frames(data)
        return {"bytes": len(data), "frames": counted, "left": left, "mapped": ring[place:] + ring[:place] == data[-size:]}

    def pin(self, name, size):
        """Give pages of a mapping to a socket, which waits for more before it sends them."""
        self.pinning = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.pinning.setsockopt(socket.SOL_SOCKET, SO_ZEROCOPY, 1)
        # Without it, what waits for more is copied.
        self.pinning.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, 1400)
        self.pinning.connect(("127.0.0.1", 9))
        with memoryview(self.maps[name]) as view, view[:size] as part:
            return self.pinning.send(part, socket.MSG_MORE | MSG_ZEROCOPY)

    def unpin(self):
        self.pinning.close()

    def pieces(self, node, size):
        """Make and map rings until there is no memory; how many, and the errno."""
        n = 0
        while True:
            error, _ = self.create(node, f"piece{n}", size)
            if error:
                return n, error
            self.map(f"piece{n}")
            self.close(f"piece{n}")
            n += 1


def main():
    rings = Rings()
    os.mkfifo(sys.argv[1])
    print("ready", flush=True)
    # For writing as well, so that it does not end with the one who wrote a line.
    with open(os.open(sys.argv[1], os.O_RDWR), encoding="ascii") as pipe:
        for number, line in enumerate(pipe, 1):
            word, *args = json.loads(line)
            print(json.dumps({"n": number, "r": getattr(rings, word)(*args)}), flush=True)


if __name__ == "__main__":
    main()
