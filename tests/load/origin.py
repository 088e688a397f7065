"""The upstream: HTTP/1.1, WebSocket, server-sent events, and streams over HTTP/2 in cleartext, on one port.

    /big/BYTES          so many bytes, as fast as they are taken
    /slow/BYTES/SECONDS so many bytes, spread over so long
    /events             an event with its number ten times a second, for ever
    /socket             a WebSocket that echoes
    anything else       echoes the request's body, or says "ok"

Over HTTP/2 every stream echoes what it is sent, and ends with gRPC's trailers.
"""

import asyncio
import os
import signal
import socket
import sys

import http2
import websocket

OK = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n"
# What /big repeats.
BLOCK = 64 << 20
EVENTS_APART = 0.1
PIECES_APART = 0.05


class Connection(asyncio.Protocol):
    def __init__(self, block):
        self.block = block
        self.buffer = bytearray()
        # What takes the bytes that arrive, once this is no HTTP/1.1 any more.
        self.takes = None
        self.task = None
        self.may_write = asyncio.Event()
        self.may_write.set()

    def connection_made(self, transport):
        self.transport = transport

    def connection_lost(self, _):
        self.may_write.set()
        if self.task:
            self.task.cancel()

    def pause_writing(self):
        self.may_write.clear()

    def resume_writing(self):
        self.may_write.set()

    def data_received(self, data):
        if self.takes:
            return self.takes(data)
        self.buffer += data
        while self.task is None and self.takes is None and self.answer():
            pass

    def answer(self):
        """Answers the next request, if it is there in full."""
        if len(self.buffer) >= len(http2.PREFACE) and self.buffer.startswith(http2.PREFACE):
            self.takes = Multiplexed(self.transport).take
            self.takes(bytes(self.buffer[len(http2.PREFACE):]))
            return True
        end = self.buffer.find(b"\r\n\r\n")
        if end < 0:
            return False
        lines = bytes(self.buffer[:end]).split(b"\r\n")
        fields = {name.lower(): value.strip() for name, _, value in (line.partition(b":") for line in lines[1:])}
        if b"transfer-encoding" in fields:
            body, end = chunked(self.buffer, end + 4)
        else:
            length = int(fields.get(b"content-length", 0))
            body, end = bytes(self.buffer[end + 4:end + 4 + length]), end + 4 + length
        if body is None or len(self.buffer) < end:
            return False
        del self.buffer[:end]
        path = lines[0].split(b" ")[1].decode().split("/")[1:]
        if path[0] == "socket":
            self.upgrade(fields)
        elif path[0] in ("big", "slow", "events"):
            self.task = asyncio.ensure_future(getattr(self, path[0])(*path[1:]))
        else:
            body = body or b"ok"
            self.transport.write(OK % len(body) + body)
        return True

    def upgrade(self, fields):
        messages = websocket.Messages()

        def echo(data):
            for kind, payload in messages.take(data):
                self.transport.write(websocket.message(kind, payload, masked=False))
                if kind == websocket.CLOSE:
                    self.transport.close()

        self.takes = echo
        self.transport.write(b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n"
                             b"sec-websocket-accept: " + websocket.accept(fields[b"sec-websocket-key"]) + b"\r\n\r\n")

    async def big(self, size):
        left = int(size)
        self.transport.write(OK % left)
        while left:
            part = min(left, BLOCK)
            await asyncio.get_running_loop().sendfile(self.transport, self.block, 0, part)
            left -= part
        self.finished()

    async def slow(self, size, seconds):
        left = int(size)
        piece = max(1, int(left * PIECES_APART / float(seconds)))
        self.transport.write(OK % left)
        while left:
            await self.may_write.wait()
            self.transport.write(b"s" * min(piece, left))
            left -= min(piece, left)
            await asyncio.sleep(PIECES_APART)
        self.finished()

    async def events(self):
        self.transport.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
        number = 0
        while True:
            await self.may_write.wait()
            event = b"data: %d\n\n" % number
            self.transport.write(b"%x\r\n%s\r\n" % (len(event), event))
            number += 1
            await asyncio.sleep(EVENTS_APART)

    def finished(self):
        self.task = None
        while self.task is None and self.answer():
            pass


def chunked(buffer, at):
    """A body in chunks and where it ends; None while it is not there in full. Trailers are not understood."""
    body = b""
    while True:
        line = buffer.find(b"\r\n", at)
        size = int(buffer[at:line], 16) if line >= 0 else 0
        if line < 0 or len(buffer) < line + 2 + size + 2:
            return None, at
        body += buffer[line + 2:line + 2 + size]
        at = line + 2 + size + 2
        if size == 0:
            return body, at


class Multiplexed:
    """An HTTP/2 connection."""

    def __init__(self, transport):
        self.transport = transport
        self.frames = http2.Frames()
        transport.write(http2.frame(http2.SETTINGS))

    def take(self, data):
        for kind, flags, stream, payload in self.frames.take(data):
            if kind == http2.SETTINGS and not flags & http2.ACK:
                self.send(http2.SETTINGS, http2.ACK)
            elif kind == http2.PING and not flags & http2.ACK:
                self.send(http2.PING, http2.ACK, 0, payload)
            elif kind == http2.HEADERS:
                head = bytes([http2.STATUS_200]) + http2.field("content-type", "application/grpc")
                self.send(http2.HEADERS, http2.END_HEADERS, stream, head)
            elif kind == http2.DATA and payload:
                self.send(http2.DATA, 0, stream, payload)
                self.transport.write(http2.given_back(stream, len(payload)))
            if kind in (http2.HEADERS, http2.DATA) and flags & http2.END_STREAM:
                trailers = http2.field("grpc-status", "0")
                self.send(http2.HEADERS, http2.END_HEADERS | http2.END_STREAM, stream, trailers)

    def send(self, *of):
        self.transport.write(http2.frame(*of))


def serve(port):
    """Serves until it is ended; other processes may share the port."""

    async def run():
        block = os.fdopen(os.memfd_create("block"), "rb")
        os.truncate(block.fileno(), BLOCK)
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind(("127.0.0.1", port))
        server = await asyncio.get_running_loop().create_server(lambda: Connection(block), sock=listener, backlog=4096)
        await server.serve_forever()

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    asyncio.run(run())


if __name__ == "__main__":
    serve(int(sys.argv[1]))
