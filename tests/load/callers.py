"""Callers that keep connections busy and count exactly what became of every request."""

import collections
import multiprocessing
import socket
import threading
import time

import http2

# An answer that takes longer never came.
PATIENCE = 30
# So many failures of each caller are told in words.
TOLD = 3


class Failed(Exception):
    """A request that was sent and not answered as it should be."""


class Answer:
    def __init__(self, status, fields, body):
        self.status, self.fields, self.body = status, fields, body

    def is_last(self):
        return self.fields.get("connection", "").lower() == "close"


class GoneAway(Exception):
    """The proxy said that it did not look at the request: it may be sent elsewhere."""


class Connected:
    """Has a connection to the proxy."""

    def connect(self, port):
        connected = socket.create_connection(("127.0.0.1", port), PATIENCE)
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connected

    def close(self):
        self.socket.close()


class Client(Connected):
    """One HTTP/1.1 connection."""

    # What each request says besides.
    fields = ""
    # Its name for TLS (ALPN).
    protocol = "http/1.1"

    def __init__(self, port):
        self.socket = self.connect(port)
        self.buffer = b""

    def ask(self, path, body=b""):
        method = "POST" if body else "GET"
        length = f"content-length: {len(body)}\r\n" if body else ""
        self.socket.sendall(f"{method} {path} HTTP/1.1\r\nhost: load\r\n{self.fields}{length}\r\n".encode() + body)
        return self.read_answer()

    def read_answer(self):
        head = self.read_head()
        lines = head.decode().split("\r\n")
        fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
        length = int(fields["content-length"])
        while len(self.buffer) < length:
            self.fill()
        body, self.buffer = self.buffer[:length], self.buffer[length:]
        return Answer(int(lines[0].split(" ")[1]), fields, body)

    def read_head(self):
        while b"\r\n\r\n" not in self.buffer:
            self.fill()
        head, _, self.buffer = self.buffer.partition(b"\r\n\r\n")
        return head

    def fill(self):
        data = self.socket.recv(1 << 16)
        if not data:
            raise ConnectionError(f"closed with {len(self.buffer)} bytes of an answer")
        self.buffer += data


class MultiplexedClient(Connected):
    """One HTTP/2 connection, which sends a request when the one before it is answered."""

    protocol = "h2"

    def __init__(self, port):
        self.socket = self.connect(port)
        self.frames = http2.Frames()
        self.stream = -1
        # The last stream that the proxy will look at.
        self.last = None
        self.socket.sendall(http2.PREFACE + http2.frame(http2.SETTINGS))

    def ask(self, path, body=b""):
        if self.last is not None:
            raise GoneAway
        self.stream += 2
        head = http2.request_head(path, "load", "POST" if body else "GET", "text/plain")
        ends = 0 if body else http2.END_STREAM
        sent = http2.frame(http2.HEADERS, http2.END_HEADERS | ends, self.stream, head)
        if body:
            sent += http2.frame(http2.DATA, http2.END_STREAM, self.stream, body)
        self.socket.sendall(sent)
        return self.read_answer()

    def read_answer(self):
        status, body, ended = 0, b"", False
        while not ended:
            data = self.socket.recv(1 << 16)
            if not data:
                raise ConnectionError(f"closed before the answer on stream {self.stream}")
            for kind, flags, stream, payload in self.frames.take(data):
                self.control(kind, flags, payload)
                if stream != self.stream:
                    continue
                if kind == http2.RST_STREAM:
                    raise Failed(f"stream {stream} was reset: {payload.hex()}")
                if kind == http2.HEADERS:
                    status = 200 if payload[0] == http2.STATUS_200 else 500
                if kind == http2.DATA and payload:
                    body += payload
                    self.socket.sendall(http2.given_back(stream, len(payload)))
                ended = ended or kind in (http2.HEADERS, http2.DATA) and bool(flags & http2.END_STREAM)
            if not ended and self.last is not None and self.stream > self.last:
                raise GoneAway
        return Answer(status, {}, body)

    def control(self, kind, flags, payload):
        if kind == http2.SETTINGS and not flags & http2.ACK:
            self.socket.sendall(http2.frame(http2.SETTINGS, http2.ACK))
        elif kind == http2.PING and not flags & http2.ACK:
            self.socket.sendall(http2.frame(http2.PING, http2.ACK, 0, payload))
        elif kind == http2.GOAWAY:
            self.last = int.from_bytes(payload[:4], "big") & 0x7FFFFFFF


class Caller(threading.Thread):
    """Sends one request after another on a kept-alive connection. `ends` says that the proxy is expected to end:
    then a connection whose last answer said `close` is followed by a new one, until none is accepted."""

    client_type = Client

    def __init__(self, port, stop, ends):
        super().__init__(daemon=True)
        self.port, self.stop, self.ends = port, stop, ends
        self.client = None
        self.connects = self.answered = self.refused = 0
        self.failures = []
        self.newest = 0

    def run(self):
        while not self.stop.is_set() and not self.refused:
            if self.client is None and not self.connect():
                continue
            try:
                answer = self.exchange(self.answered)
                self.answered += 1
                if answer.is_last():
                    if not self.may_close():
                        self.failures.append("an answer said that the connection closes")
                    self.disconnect()
            except GoneAway:
                self.disconnect()
            except (OSError, ValueError, KeyError, Failed) as error:
                self.failures.append(f"request {self.answered} on connection {self.connects}: {error!r}")
                self.disconnect()
        self.disconnect()

    def connect(self):
        try:
            self.client = self.client_type(self.port)
            self.connects += 1
            return True
        except ConnectionRefusedError:
            if self.ends:
                self.refused = 1
            else:
                self.failures.append("a connection was refused")
                time.sleep(0.1)
        except OSError as error:
            self.failures.append(f"connecting: {error!r}")
            time.sleep(0.1)
        return False

    def exchange(self, number):
        body = b"" if number % 2 else b"%032d" % number
        answer = self.client.ask("/", body)
        if answer.status != 200:
            raise Failed(f"status {answer.status} {answer.fields.get('outrigger-reason')}")
        if answer.body != (body or b"ok"):
            raise Failed(f"a body of {len(answer.body)} bytes that is not the one asked for")
        version = int(answer.fields.get("x-version", 0))
        if version < self.newest:
            raise Failed(f"an answer under config {version} after one under {self.newest}")
        self.newest = version
        return answer

    def may_close(self):
        return self.ends

    def disconnect(self):
        if self.client:
            self.client.close()
            self.client = None


class ShortCaller(Caller):
    """Makes a new connection for each request."""

    class client_type(Client):
        fields = "connection: close\r\n"

    def may_close(self):
        return True


class MultiplexedCaller(Caller):
    """Sends its requests over HTTP/2."""

    client_type = MultiplexedClient


Counts = collections.namedtuple("Counts", "answered failed connects refused told")


class Crowd:
    """Callers in processes of their own."""

    def __init__(self, port, count, kind=Caller, ends=False, processes=2):
        self.stop_event = multiprocessing.Event()
        self.results = multiprocessing.Queue()
        shares = [count // processes + (1 if index < count % processes else 0) for index in range(processes)]
        self.processes = [
            multiprocessing.Process(target=call, args=(kind, port, share, self.stop_event, ends, self.results), daemon=True)
            for share in shares]
        for process in self.processes:
            process.start()

    def stop(self):
        self.stop_event.set()
        return self.wait()

    def wait(self):
        """What became of all requests, once every caller has ended by itself or was told to."""
        parts = [self.results.get(timeout=4 * PATIENCE) for _ in self.processes]
        for process in self.processes:
            process.join()
        return Counts(*(sum(column[1:], column[0]) for column in zip(*parts)))


def call(kind, port, count, stop, ends, results):
    callers = [kind(port, stop, ends) for _ in range(count)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    failures = [failure for caller in callers for failure in caller.failures[:TOLD]]
    results.put(Counts(sum(c.answered for c in callers), sum(len(c.failures) for c in callers),
                       sum(c.connects for c in callers), sum(c.refused for c in callers), failures))
