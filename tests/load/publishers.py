"""Callers that publish over HTTP, and say the same again until it is confirmed."""

import collections
import json
import multiprocessing
import threading
import time

import callers

# How long a caller waits before it says the same again.
PAUSE = 0.1
# A publisher that has one message confirmed by then has failed.
PATIENCE = 120


class Client(callers.Client):
    def publish(self, path, name, body=b"message"):
        """The status, and the reason where it is none of success."""
        self.socket.sendall((f"POST {path} HTTP/1.1\r\nhost: load\r\nidempotency-key: {name}\r\n"
                             f"content-length: {len(body)}\r\n\r\n").encode() + body)
        answer = self.read_answer()
        if answer.is_last():
            self.close()
            self.socket = None
        return answer

    def is_open(self):
        return self.socket is not None


def once(port, path, name, body=b"message"):
    """Publishes over a connection of its own; the status, and the reason of a failure."""
    client = Client(port)
    answer = client.publish(path, name, body)
    if client.is_open():
        client.close()
    return answer.status, answer.fields.get("outrigger-reason")


# `confirmed` has each id with how often it was said; `refusals` when and why one was not confirmed; `unanswered` how often
# no answer came.
Published = collections.namedtuple("Published", "confirmed refusals unanswered")


def reasons(refusals):
    """Each, with how often."""
    return dict(collections.Counter(reason for _, reason in refusals))


class Publisher(threading.Thread):
    """Publishes one message after the other, until `messages`, each an id and a body, has no more or it is to stop."""

    def __init__(self, port, path, messages, every, stop, confirmed):
        super().__init__(daemon=True)
        self.port, self.path, self.messages, self.every = port, path, messages, every
        self.stop, self.count = stop, confirmed
        self.client = None
        self.confirmed = {}
        self.refusals = []
        self.unanswered = 0

    def run(self):
        for name, body in self.messages:
            if self.stop.is_set() or not self.publish(name, body):
                break
            with self.count.get_lock():
                self.count.value += 1
            if self.every:
                time.sleep(self.every)
        if self.client:
            self.client.close()

    def publish(self, name, body):
        end = time.monotonic() + PATIENCE
        said = 0
        while time.monotonic() < end:
            if not self.client and not self.connect():
                continue
            said += 1
            try:
                answer = self.client.publish(self.path, name, body)
                if not self.client.is_open():
                    self.client = None
            except (OSError, ValueError, KeyError):
                self.unanswered += 1
                self.client.close()
                self.client = None
                continue
            if answer.status == 202:
                if json.loads(answer.body)["message_id"] == name:
                    self.confirmed[name] = said
                    return True
                self.refuse("another id")
                return False
            self.refuse(answer.fields.get("outrigger-reason", str(answer.status)))
            time.sleep(PAUSE)
        self.refuse("given up")
        return False

    def refuse(self, reason):
        self.refusals.append((time.time(), reason))

    def connect(self):
        try:
            self.client = Client(self.port)
            return True
        except OSError:
            time.sleep(PAUSE)
            return False


class Publishers:
    """`count` callers in two processes, who publish `most` messages, or go on until they are told to stop. Each waits `every`
    seconds after a message. One of `fails` is answered with 503 at its first attempt; 0: none is."""

    def __init__(self, port, path, prefix, count=16, most=None, every=0.0, fails=0):
        self.progress = multiprocessing.Value("q", 0)
        self.stop_event = multiprocessing.Event()
        self.results = multiprocessing.Queue()
        shares = [range(first, count, 2) for first in (0, 1) if first < count]
        self.processes = [multiprocessing.Process(
            target=publish, daemon=True,
            args=(port, path, prefix, share, count, most, every, fails, self.stop_event, self.progress, self.results))
            for share in shares]
        for process in self.processes:
            process.start()

    def confirmed(self):
        """How many are confirmed so far."""
        return self.progress.value

    def are_done(self):
        return not any(process.is_alive() for process in self.processes) or not self.results.empty()

    def stop(self):
        self.stop_event.set()
        return self.wait()

    def wait(self, limit=3600):
        parts = [self.results.get(timeout=limit) for _ in self.processes]
        for process in self.processes:
            process.join()
        return together(parts)


def publish(port, path, prefix, share, count, most, every, fails, stop, progress, results):
    def messages(caller):
        number = caller
        while most is None or number < most:
            yield f"{prefix}-{number}", b"first 503" if fails and number % fails == 0 else b"message"
            number += count

    all_of = [Publisher(port, path, messages(caller), every, stop, progress) for caller in share]
    for publisher in all_of:
        publisher.start()
    for publisher in all_of:
        publisher.join()
    results.put(together(all_of))


def together(parts):
    confirmed, refusals = {}, []
    for part in parts:
        confirmed.update(part.confirmed)
        refusals += part.refusals
    return Published(confirmed, refusals, sum(part.unanswered for part in parts))
