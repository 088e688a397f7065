"""As much of WebSocket (RFC 6455) as a conversation in short messages needs."""

import base64
import hashlib
import os

TEXT, CLOSE = 1, 8
MAGIC = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def key():
    return base64.b64encode(os.urandom(16))


def accept(key):
    """What the server answers to a key."""
    return base64.b64encode(hashlib.sha1(key + MAGIC).digest())


def message(kind, payload, masked):
    assert len(payload) < 126
    head = bytes([0x80 | kind, len(payload) | (0x80 if masked else 0)])
    if not masked:
        return head + payload
    mask = os.urandom(4)
    return head + mask + unmask(payload, mask)


def unmask(payload, mask):
    return bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload))


class Messages:
    """Cuts what arrives into messages."""

    def __init__(self):
        self.buffer = bytearray()

    def take(self, data):
        self.buffer += data
        while len(self.buffer) >= 2:
            kind, length, masked = self.buffer[0] & 0xF, self.buffer[1] & 0x7F, self.buffer[1] & 0x80
            start = 6 if masked else 2
            if len(self.buffer) < start + length:
                return
            payload = bytes(self.buffer[start:start + length])
            if masked:
                payload = unmask(payload, self.buffer[2:6])
            del self.buffer[:start + length]
            yield kind, payload
