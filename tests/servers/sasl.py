"""The broker's side of SASL: PLAIN (RFC 4616) and SCRAM (RFC 5802), for one user."""

import base64
import hashlib
import hmac
import os

ROUNDS = 4096


class Refused(Exception):
    pass


class Login:
    """One connection that logs in. `steps` answers what the client says, and `is_done` tells when it is in."""

    def __init__(self, mechanism, user, password):
        self.mechanism, self.user, self.password = mechanism, user, password
        self.is_done = False
        self.auth = None

    def step(self, said):
        """The answer.

        Raises Refused when the client is not who it says it is."""
        if self.mechanism == "PLAIN":
            _, user, password = said.decode().split("\0")
            self.expect((user, password) == (self.user, self.password))
            self.is_done = True
            return b""
        return self.final(said.decode()) if self.auth else self.first(said.decode())

    def first(self, said):
        bare = said.split(",", 2)[2]
        fields = fields_of(bare)
        self.expect(fields["n"] == self.user)
        self.salt, self.nonce = os.urandom(16), fields["r"] + base64.b64encode(os.urandom(12)).decode()
        answer = f"r={self.nonce},s={base64.b64encode(self.salt).decode()},i={ROUNDS}"
        self.auth = f"{bare},{answer}"
        return answer.encode()

    def final(self, said):
        bare, _, proof = said.rpartition(",p=")
        self.expect(fields_of(bare)["r"] == self.nonce)
        kind = {"SCRAM-SHA-256": "sha256", "SCRAM-SHA-512": "sha512"}[self.mechanism]
        signed = f"{self.auth},{bare}".encode()

        def mac(key, text):
            return hmac.digest(key, text, kind)

        salted = hashlib.pbkdf2_hmac(kind, self.password.encode(), self.salt, ROUNDS)
        stored = hashlib.new(kind, mac(salted, b"Client Key")).digest()
        proven = bytes(a ^ b for a, b in zip(base64.b64decode(proof), mac(stored, signed)))
        self.expect(hmac.compare_digest(hashlib.new(kind, proven).digest(), stored))
        self.is_done = True
        return b"v=" + base64.b64encode(mac(mac(salted, b"Server Key"), signed))

    def expect(self, holds):
        if not holds:
            raise Refused("user or password is wrong")


def fields_of(text):
    return dict(field.split("=", 1) for field in text.split(","))
