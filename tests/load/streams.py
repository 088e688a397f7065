"""Streams that stay open: each in a thread of its own, which counts what arrives and notes why it ended."""

import socket
import struct
import threading
import time

import http2
import websocket

# Nothing may be on its way for longer.
PATIENCE = 10
BETWEEN_MESSAGES = 0.05


class Stream(threading.Thread):
    """One stream. `failure` stays None unless it ended before it was told to, or something was lost on it."""

    def __init__(self, port):
        super().__init__(daemon=True)
        self.socket = socket.create_connection(("127.0.0.1", port), PATIENCE)
        self.ending = threading.Event()
        self.passed = 0
        self.failure = None
        self.start()

    def run(self):
        try:
            self.converse()
        except Exception as error:  # Whatever it is, it is why the stream ended.
            self.failure = repr(error)

    def finish(self):
        """Ends the stream in its own way; whether all was well."""
        self.ending.set()
        self.join(2 * PATIENCE)
        if self.is_alive():
            self.failure = "it does not end"
        self.socket.close()
        return self.failure is None

    def receive(self):
        data = self.socket.recv(1 << 16)
        if not data:
            raise ConnectionError("closed by the other side")
        return data

    def read_head(self, expected):
        buffer = b""
        while b"\r\n\r\n" not in buffer:
            buffer += self.receive()
        head, _, rest = buffer.partition(b"\r\n\r\n")
        if not head.startswith(expected):
            raise ValueError(head)
        return head, rest


class WebSocket(Stream):
    """Asks and is echoed; in the end closes as the protocol says."""

    def converse(self):
        key = websocket.key()
        self.socket.sendall(b"GET /socket HTTP/1.1\r\nhost: load\r\nconnection: upgrade\r\nupgrade: websocket\r\n"
                            b"sec-websocket-version: 13\r\nsec-websocket-key: " + key + b"\r\n\r\n")
        head, _ = self.read_head(b"HTTP/1.1 101")
        if websocket.accept(key) not in head:
            raise ValueError("another key was accepted")
        self.messages = websocket.Messages()
        while not self.ending.is_set():
            self.echoed(websocket.TEXT, b"message %d" % self.passed)
            self.passed += 1
            time.sleep(BETWEEN_MESSAGES)
        self.echoed(websocket.CLOSE, struct.pack(">H", 1000))

    def echoed(self, kind, payload):
        self.socket.sendall(websocket.message(kind, payload, masked=True))
        while True:
            for message in self.messages.take(self.receive()):
                if message != (kind, payload):
                    raise ValueError(f"{message} instead of {(kind, payload)}")
                return


class Events(Stream):
    """Server-sent events, whose numbers must follow each other."""

    def converse(self):
        self.socket.sendall(b"GET /events HTTP/1.1\r\nhost: load\r\n\r\n")
        _, buffer = self.read_head(b"HTTP/1.1 200")
        while not self.ending.is_set():
            *lines, buffer = (buffer + self.receive()).split(b"\n")
            for line in lines:
                if line.startswith(b"data: "):
                    if int(line[6:]) != self.passed:
                        raise ValueError(f"event {line[6:].decode()} instead of {self.passed}")
                    self.passed += 1


class Grpc(Stream):
    """A stream as gRPC has them: messages both ways over one HTTP/2 stream, and trailers in the end."""

    def converse(self):
        self.frames = http2.Frames()
        head = http2.request_head("/echo.Echo/Converse", "load")
        self.socket.sendall(http2.PREFACE + http2.frame(http2.SETTINGS)
                            + http2.frame(http2.HEADERS, http2.END_HEADERS, 1, head))
        self.started = self.ended = False
        self.echoed = b""
        while not self.ending.is_set():
            text = b"message %d" % self.passed
            message = struct.pack(">BI", 0, len(text)) + text
            self.socket.sendall(http2.frame(http2.DATA, 0, 1, message))
            while len(self.echoed) < len(message):
                self.take_frames()
            if self.echoed != message:
                raise ValueError(f"{self.echoed} instead of {message}")
            self.echoed = b""
            self.passed += 1
            time.sleep(BETWEEN_MESSAGES)
        self.socket.sendall(http2.frame(http2.DATA, http2.END_STREAM, 1))
        while not self.ended:
            self.take_frames()

    def take_frames(self):
        for kind, flags, stream, payload in self.frames.take(self.receive()):
            if kind == http2.SETTINGS and not flags & http2.ACK:
                self.socket.sendall(http2.frame(http2.SETTINGS, http2.ACK))
            elif kind == http2.PING and not flags & http2.ACK:
                self.socket.sendall(http2.frame(http2.PING, http2.ACK, 0, payload))
            elif kind in (http2.RST_STREAM, http2.GOAWAY):
                raise ConnectionError(f"frame {kind}: {payload.hex()}")
            elif kind == http2.DATA and payload:
                self.echoed += payload
                self.socket.sendall(http2.given_back(1, len(payload)))
            elif kind == http2.HEADERS and not self.started:
                if payload[0] != http2.STATUS_200 or flags & http2.END_STREAM:
                    raise ValueError(f"refused: {payload.hex()}")
                self.started = True
            elif kind == http2.HEADERS:
                self.ended = bool(flags & http2.END_STREAM)
                if not self.ended or not self.ending.is_set():
                    raise ConnectionError("trailers before the end")
