"""The application that messages are delivered to: it notes each, and answers as it is told.

A message whose body begins with `answer STATUS` is answered with that status, one that begins with `first STATUS` at its
first attempt, and every other with 200, after `delay` seconds. At SIGTERM it does as applications do that lose no request: it accepts no more, and has each connection that there
is end with its next answer.
"""

import asyncio
import collections
import multiprocessing
import os
import signal
import time

import harness

# How long connections may still bring a request once it is told to end.
GOING_ON = 1.0

Arrival = collections.namedtuple("Arrival", "at id attempt redelivered status")


class Application:
    """A process that can be ended and started anew, on the same port. What arrived is kept in one file."""

    def __init__(self, directory, delay=0.0):
        self.port = harness.free_port()
        self.file = directory / "arrivals"
        self.file.touch()
        self.delay = delay
        self.process = None
        self.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()

    def start(self):
        self.process = multiprocessing.Process(target=serve, args=(self.port, self.file, self.delay), daemon=True)
        self.process.start()
        harness.eventually("the application accepts", lambda: harness.accepts(self.port))

    def end(self):
        """Ends it in order."""
        self.process.terminate()
        self.process.join(harness.SOON)

    def kill(self):
        self.process.kill()
        self.process.join()

    def arrivals(self):
        """All that arrived, in that order."""
        found = []
        for line in self.file.read_text().splitlines():
            at, attempt, redelivered, status, name = line.split(" ", 4)
            found.append(Arrival(float(at), name, int(attempt), redelivered == "true", int(status)))
        return found

    def count(self):
        with open(self.file, "rb") as file:
            return sum(block.count(b"\n") for block in iter(lambda: file.read(1 << 20), b""))


def serve(port, file, delay):
    asyncio.run(run(port, file, delay))


async def run(port, file, delay):
    state = State(os.open(file, os.O_WRONLY | os.O_APPEND), delay)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(state), "127.0.0.1", port)
    loop.add_signal_handler(signal.SIGTERM, state.told_to_end.set)
    await state.told_to_end.wait()
    server.close()
    await asyncio.sleep(GOING_ON)
    while state.under_way:
        await asyncio.sleep(0.01)


class State:
    def __init__(self, notes, delay):
        self.notes, self.delay = notes, delay
        self.told_to_end = asyncio.Event()
        self.under_way = 0


class Connection(asyncio.Protocol):
    def __init__(self, state):
        self.state = state
        self.buffer = b""

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.buffer += data
        head, end, rest = self.buffer.partition(b"\r\n\r\n")
        if not end:
            return
        lines = (line.partition(b":") for line in head.split(b"\r\n")[1:])
        fields = {name.lower(): value.strip() for name, _, value in lines}
        length = int(fields.get(b"content-length", 0))
        if len(rest) < length:
            return
        body, self.buffer = rest[:length], rest[length:]
        attempt = fields.get(b"outrigger-attempt", b"0")
        status = answer_to(body, attempt)
        note = b"%f %s %s %d %s\n" % (time.time(), attempt, fields.get(b"outrigger-redelivered", b"false"), status,
                                      fields.get(b"outrigger-message-id", b"-"))
        os.write(self.state.notes, note)
        self.state.under_way += 1
        if self.state.delay:
            asyncio.get_running_loop().call_later(self.state.delay, self.answer, status)
        else:
            self.answer(status)

    def answer(self, status):
        self.state.under_way -= 1
        ends = self.state.told_to_end.is_set()
        last = b"connection: close\r\n" if ends else b""
        self.transport.write(b"HTTP/1.1 %d X\r\ncontent-length: 0\r\n%s\r\n" % (status, last))
        if ends:
            self.transport.close()


def answer_to(body, attempt):
    told, _, status = body.partition(b" ")
    if told == b"answer" or told == b"first" and attempt == b"1":
        return int(status)
    return 200
