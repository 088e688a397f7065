"""As much of HTTP/2 in cleartext (RFC 9113) as one end needs that keeps to the simplest things it allows.

Header blocks are written without compression and read only as far as the status. Flow control is not counted: these
ends send a few bytes and wait for the answer, and give every byte back as soon as they read it.
"""

import struct

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
ACK = END_STREAM = 0x1
END_HEADERS = 0x4
# `:status: 200` in HPACK's static table (RFC 7541, appendix A).
STATUS_200 = 0x88


def frame(kind, flags=0, stream=0, payload=b""):
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def field(name, value):
    """A literal that nobody indexes (RFC 7541, section 6.2.2)."""
    name, value = name.encode(), value.encode()
    return bytes([0, len(name)]) + name + bytes([len(value)]) + value


def request_head(path, authority, method="POST", content_type="application/grpc"):
    fields = [(":method", method), (":scheme", "http"), (":path", path), (":authority", authority),
              ("content-type", content_type), ("te", "trailers")]
    return b"".join(field(*pair) for pair in fields)


def given_back(stream, count):
    """Lets the peer send so many bytes more, on the stream and on the connection."""
    more = struct.pack(">I", count)
    return frame(WINDOW_UPDATE, 0, stream, more) + frame(WINDOW_UPDATE, 0, 0, more)


class Frames:
    """Cuts what arrives into frames."""

    def __init__(self):
        self.buffer = bytearray()

    def take(self, data):
        self.buffer += data
        while len(self.buffer) >= 9:
            length = int.from_bytes(self.buffer[:3], "big")
            if len(self.buffer) < 9 + length:
                return
            kind, flags, stream = struct.unpack(">BBI", self.buffer[3:9])
            payload = bytes(self.buffer[9:9 + length])
            del self.buffer[:9 + length]
            yield kind, flags, stream & 0x7FFFFFFF, payload
