# SPDX-License-Identifier: MIT
"""_stim_session /dev/oniN PIPE - own the controller and its stimulators, and do what a named pipe says; runs in a guest without our tools.

For the simulated headstage-rhs2116 on port B. Each line of the pipe is one word of Session.words, each is answered by one line of JSON:
errno and verdict of the call (0: it was done), and state and because of the interlock after it. A thread reads the data and, while
something is armed, says so. Nothing is ever fired. Contract used: include/uapi/linux/oni.h and oni_stim.h. Research use only, and not for electrodes.
"""
import array
import errno
import fcntl
import json
import mmap
import os
import struct
import sys
import threading
import time

# Of /dev/oniN, of a stream, and of the stim node.
CLAIM, RESET, REG_WRITE, PORT_POWER, START, STOP, STREAM_CREATE = 0x02, 0x04, 0x06, 0x09, 0x0a, 0x0b, 0x0c
STREAM_INFO = 0x20
STATUS, POLICY, STIM_CLAIM, STEP, LOAD, ARM, KICK, DISARM, ACK_FAULT = 0x40, 0x41, 0x45, 0x46, 0x47, 0x48, 0x49, 0x4b, 0x4d
VERDICT = 32	# bytes, at the end of the argument
ARMED = 3

PORT, HEADSTAGE, DECIVOLTS, HUB = 0x002, 4, 50, 2
LOAD_TESTER, TESTER_HZ = 0x00b, 250000000
CONTACT, RETURN, CHANNELS = 0, 32, 16
STEP_NA, STEPS, WIDTH = 1000, 10, 4	# of the program: a phase of 10 uA for 4 samples, and one back
STRONG = 25	# steps that this policy allows
# What the one who is silent gets; long, since an emulated machine that is busy may say nothing for a while.
WATCHDOG_MS, TTL_MS, PATIENCE = 9000, 3600000, 120
# In the order of enum oni_stim_limit.
TIP = (100000, 200000, 25000000, 30000, 10000, 0, 500000, 1000000, 400000, 200000, 9000000000, WATCHDOG_MS, 0)
MEETING = (100000000, 2000000, 1000000000, 30000, 10000000, 0, 5000000, 1000000, 4000000, 1000000, 9000000000, WATCHDOG_MS, 1)


def ioctl(fd, number, layout, *values, verdict=0):
    """(errno, the argument afterwards) of a call whose structure begins with its size."""
    size = struct.calcsize(layout) + verdict
    arg = bytearray(struct.pack(layout, size, *values) + bytes(verdict))
    try:
        fcntl.ioctl(fd, 0xB900 | number, arg)
        return 0, arg
    except OSError as e:
        return e.errno, arg


def must(what, answer):
    if answer[0]:
        code = struct.unpack_from("<I", answer[1], len(answer[1]) - VERDICT)[0] if len(answer[1]) > VERDICT else 0
        sys.exit(f"{what}: {errno.errorcode.get(answer[0], answer[0])}, verdict {code} if it has one")
    return answer[1]


def policy():
    """struct oni_stim_policy: a tip, and where the currents meet."""
    contacts = bytearray(40)
    contacts[CONTACT], contacts[RETURN] = 1, 2
    classes = [struct.pack("<16Q16x", *limits, *[0] * (16 - len(limits))) for limits in (TIP, MEETING)]
    head = struct.pack("<4IQ", 0, 1, len(classes), 0xf, 1000000000) + contacts
    whole = bytearray(head + b"".join(classes) + bytes((8 - len(classes)) * len(classes[0])))
    struct.pack_into("<I", whole, 0, len(whole))
    return bytes(whole)


def program(steps):
    """(struct oni_stim_program, rows): one pulse that leaves nothing behind."""
    rows = ((0, 1 << 16 | 1), (WIDTH, 1), (2 * WIDTH, 0))
    amplitudes = bytes([steps]) + bytes(CHANNELS - 1)
    chips = struct.pack("<2I", len(rows), STEP_NA) + 2 * amplitudes + struct.pack("<2I", 0, STEP_NA) + bytes(2 * CHANNELS)
    body = struct.pack("<5I", 1, 1, 1, WATCHDOG_MS, 0) + chips + bytes(12 * 4)
    return struct.pack("<I", 4 + len(body)) + body, b"".join(struct.pack("<2I", *row) for row in rows), len(rows)


class Session:
    def __init__(self, path):
        self.path, self.nonce, self.hash = path, 0, bytes(32)
        self.reader, self.position, self.kicking = None, 0, False
        self.control, self.stim = os.open(path, os.O_RDWR), os.open(path + "-stim", os.O_RDWR)
        must("claim", ioctl(self.control, CLAIM, "<2I", 0))
        must("port", ioctl(self.control, PORT_POWER, "<12I", 0, PORT, HEADSTAGE, DECIVOLTS, *[0] * 7))
        # A block every 10 ms or so, so that there is always something new to have seen.
        for register, value in ((0, 1), (1, TESTER_HZ // 500), (3, 200), (5, 0x100)):
            must("load tester", ioctl(self.control, REG_WRITE, "<6I", 0, LOAD_TESTER, register, value, 0))
        must("policy", self.with_policy())
        self.claim()
        must("step", ioctl(self.stim, STEP, "<2IQ2IQ", 0, self.nonce, HUB, STEP_NA, 0, verdict=VERDICT))
        must("reset", ioctl(self.control, RESET, "<2I", 0))
        arg = must("stream", ioctl(self.control, STREAM_CREATE, "<2IQ3Ii4I", 0, 16 << 20, 4096, 0, 1, -1, *[0] * 4))
        self.stream = struct.unpack_from("<i", arg, 28)[0]
        offset, size = struct.unpack_from("<2Q", must("geometry", ioctl(self.stream, STREAM_INFO, "<2I8Q4I2Q", *[0] * 15)), 8)
        self.producer = mmap.mmap(self.stream, size, mmap.MAP_SHARED, mmap.PROT_READ, offset=offset)

    def with_policy(self):
        buffer = array.array("B", policy())	# has an address; ctypes wants a library that the guest has not
        return ioctl(self.stim, POLICY, "<2IQ4I", 0, buffer.buffer_info()[0], HUB, 0, 0, 0, verdict=VERDICT)

    def call(self, number):
        return ioctl(self.stim, number, "<2I3Q", 0, self.nonce, 0, 0, verdict=VERDICT)

    def status(self):
        """(state, because)"""
        return struct.unpack_from("<2I", must("status", ioctl(self.stim, STATUS, "<4Ii3I5Q64s4Q", *[0] * 12, bytes(64), *[0] * 4)), 8)

    def look(self):
        """Read until the acquisition has ended and all was read."""
        while True:
            try:
                data = os.read(self.stream, 1 << 16)
            except OSError:
                data = b""
            if not data:
                return
            self.position += len(data)
            if self.kicking:
                generation = struct.unpack_from("<I", self.producer, 88)[0]
                # One that is refused prolongs nothing; the state tells.
                ioctl(self.stim, KICK, "<2I2Q4I", 0, self.nonce, self.position, generation, 0, 0, 0, verdict=VERDICT)

    # Each of these is a word, and gives what ioctl() gives, or nothing.

    def claim(self):
        arg = must("claim of the stimulators", ioctl(self.stim, STIM_CLAIM, "<2I3Q", 0, 0, 0, 0, verdict=VERDICT))
        self.nonce = struct.unpack_from("<Q", arg, 8)[0]

    def start(self):
        self.position = 0
        answer = ioctl(self.control, START, "<2I", 0)
        self.reader = threading.Thread(target=self.look, daemon=True)
        self.reader.start()
        return answer

    def halt(self):
        answer = ioctl(self.control, STOP, "<2I", 0)
        self.reader.join()
        return answer

    def load(self, steps=STEPS):
        head, rows, n = program(steps)
        head, rows = array.array("B", head), array.array("B", rows)
        answer = ioctl(self.stim, LOAD, "<2I3Q2IQ32s", 0, self.nonce, head.buffer_info()[0], rows.buffer_info()[0], n, HUB, 0, bytes(32),
                       verdict=VERDICT)
        self.hash = bytes(answer[1][48:80])
        return answer

    def load_strong(self):
        return self.load(STRONG)

    def arm(self):
        self.kicking = True
        return ioctl(self.stim, ARM, "<2IQ32s4I", 0, self.nonce, self.hash, TTL_MS, 0, 0, 0, verdict=VERDICT)

    def disarm(self):
        return self.call(DISARM)

    def stop(self):
        with open(self.path + "-stop", "wb", buffering=0) as node:
            node.write(b"stop")

    def silent(self):
        self.kicking = False

    def ended(self):
        """Wait until nothing is armed, for as long as it may take on a busy machine."""
        end = time.monotonic() + PATIENCE
        while self.status()[0] == ARMED and time.monotonic() < end:
            time.sleep(0.01)

    def ack(self):
        return self.call(ACK_FAULT)

    def state(self):
        pass

    words = {f.__name__: f for f in (claim, start, halt, load, load_strong, arm, disarm, stop, silent, ended, ack, state)}


def main():
    session = Session(sys.argv[1])
    os.mkfifo(sys.argv[2])
    print("ready", flush=True)
    # For writing as well, so that it does not end with the one who wrote a word.
    with open(os.open(sys.argv[2], os.O_RDWR), encoding="ascii") as pipe:
        for number, line in enumerate(pipe, 1):
            error, arg = session.words[line.strip()](session) or (0, bytes(VERDICT))
            refused = error and len(arg) > VERDICT
            verdict = struct.unpack_from("<2I2Q2I", arg, len(arg) - VERDICT) if refused else (0,) * 6
            state, because = session.status()
            said = dict(zip(("code", "contact", "asked", "allowed", "source", "where"), verdict))
            print(json.dumps({"n": number, "errno": error, **said, "state": state, "because": because}), flush=True)


if __name__ == "__main__":
    main()
