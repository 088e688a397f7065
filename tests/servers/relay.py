"""Stands before a broker of Kafka and cuts its connections when it is told to, until its standard input ends.

    relay.py PORT BROKER

It listens at PORT for the broker at port BROKER. Of what stands in its standard input, `cut` ends all connections of clients
at once, whatever is asked and not answered on them, has the broker finish that, and answers `done`; `open` listens again, and
answers `done`.

A real broker that ends may have stored what it has not answered, or not, and knows which when it is asked for it again. Tansu
notes a batch as known before it stores it, and when it ends between the two, it takes for stored what is not.
"""

import asyncio
import os
import struct
import sys

# How long the broker may take to finish.
FINISH = 10


class Connection:
    def __init__(self, reader, writer):
        self.reader, self.writer = reader, writer
        self.asked = 0
        self.is_cut = False
        self.forwarding = None

    async def serve(self, broker):
        try:
            answers, requests = await asyncio.open_connection("127.0.0.1", broker)
        except OSError:
            return self.writer.transport.abort()
        back = asyncio.create_task(self.back(answers))
        self.forwarding = asyncio.create_task(self.forward(requests))
        if self.is_cut:
            self.forwarding.cancel()
        await asyncio.wait([self.forwarding, back], return_when=asyncio.FIRST_COMPLETED)
        self.is_cut = True
        self.forwarding.cancel()
        self.writer.transport.abort()
        if self.asked:
            await asyncio.wait([back], timeout=FINISH)
        back.cancel()
        await asyncio.gather(self.forwarding, back, return_exceptions=True)
        requests.transport.abort()

    async def forward(self, requests):
        while True:
            frame = await read_frame(self.reader)
            self.asked += 1
            requests.write(frame)
            await requests.drain()

    async def back(self, answers):
        while not self.is_cut or self.asked:
            frame = await read_frame(answers)
            self.asked -= 1
            if not self.is_cut:
                self.writer.write(frame)

    def cut(self):
        self.is_cut = True
        self.writer.transport.abort()
        if self.forwarding:
            self.forwarding.cancel()


class Relay:
    def __init__(self, port, broker):
        self.port, self.broker = port, broker
        self.served = {}

    async def open(self):
        self.server = await asyncio.start_server(self.serve, "127.0.0.1", self.port)

    async def serve(self, reader, writer):
        connection = Connection(reader, writer)
        self.served[asyncio.current_task()] = connection
        try:
            await connection.serve(self.broker)
        finally:
            del self.served[asyncio.current_task()]

    async def cut(self):
        self.server.close()
        for connection in self.served.values():
            connection.cut()
        if self.served:
            await asyncio.wait(list(self.served))


async def read_frame(reader):
    length = await reader.readexactly(4)
    return length + await reader.readexactly(struct.unpack(">i", length)[0])


async def main():
    relay = Relay(int(sys.argv[1]), int(sys.argv[2]))
    while line := await asyncio.to_thread(sys.stdin.readline):
        await {"open": relay.open, "cut": relay.cut}[line.strip()]()
        print("done", flush=True)
    os._exit(0)


asyncio.run(main())
