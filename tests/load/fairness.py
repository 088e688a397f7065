"""What a neighbour who takes all that he can get costs 63 small callers: see README.md."""

import argparse
import multiprocessing
import random
import shutil
import signal
import socket
import subprocess
import threading
import time

import callers
import harness

CONFIG = """
[upstreams.app]
endpoints = ["127.0.0.1:{app}"]

[upstreams.fat]
endpoints = ["127.0.0.1:{fat}"]

[routes.small]
match = {{ path = "/{{*rest}}" }}
upstream = "app"

[routes.fat]
match = {{ path = "/big/{{*rest}}" }}
upstream = "fat"

[process]
workers = 1
"""
CALLERS = 63
# How often each of them asks, in seconds: together a load that one worker hardly feels.
PAUSE = 0.05
# How much later the slowest of a hundred answers may come with a neighbour: turns of the event loop, and not bodies.
AIM = 0.050
FAT = 1 << 40
READ = 1 << 20


def percentile(values, share):
    values = sorted(values)
    return values[min(len(values) - 1, int(len(values) * share))]


def ask(port, end, took):
    client = callers.Client(port)
    time.sleep(random.random() * PAUSE)
    while time.monotonic() < end:
        start = time.monotonic()
        client.ask("/")
        took.append(time.monotonic() - start)
        time.sleep(PAUSE)


def small_callers(port, count, seconds, results):
    end, took = time.monotonic() + seconds, []
    threads = [threading.Thread(target=ask, args=(port, end, took)) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    results.put(took)


def latencies(port, seconds):
    results = multiprocessing.Queue()
    shares = [CALLERS // 3] * 3
    processes = [multiprocessing.Process(target=small_callers, args=(port, share, seconds, results)) for share in shares]
    for process in processes:
        process.start()
    took = [value for _ in processes for value in results.get()]
    for process in processes:
        process.join()
    return took


def download(port, passed):
    client = callers.Client(port)
    client.socket.sendall(f"GET /big/{FAT} HTTP/1.1\r\nhost: load\r\n\r\n".encode())
    buffer = bytearray(READ)
    while True:
        passed.value += client.socket.recv_into(buffer, READ, socket.MSG_TRUNC)


class Download:
    """One body as fast as it comes."""

    name = "a download without end"

    def __init__(self, port):
        self.passed = multiprocessing.Value("q", 0, lock=False)
        self.process = multiprocessing.Process(target=download, args=(port, self.passed), daemon=True)

    def __enter__(self):
        self.start = time.monotonic()
        self.process.start()
        harness.eventually("the download is under way", lambda: self.passed.value > 0)
        return self

    def __exit__(self, *_):
        self.did = f"{self.passed.value / (1 << 30) / (time.monotonic() - self.start):.2f} GiB/s"
        self.process.kill()
        self.process.join()


class Streams:
    """h2load with 100 streams on one connection."""

    name = "100 streams of one HTTP/2 connection"

    def __init__(self, port):
        self.command = ["h2load", "-t1", "-c1", "-m100", "-D3600", f"http://127.0.0.1:{port}/"]

    def __enter__(self):
        self.process = subprocess.Popen(self.command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(0.5)
        return self

    def __exit__(self, *_):
        self.did = "ended early" if self.process.poll() is not None else "to the end"
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    harness.add_arguments(parser)
    parser.add_argument("--seconds", type=float, default=10, help="how long each is measured")
    arguments = parser.parse_args()
    neighbours = [Download] + ([Streams] if shutil.which("h2load") else [])
    verdict = harness.Verdict()
    with harness.Upstream(1) as app, harness.Upstream(1) as fat:
        with harness.Proxy(arguments.binary, CONFIG.format(app=app.port, fat=fat.port)) as proxy:
            alone = latencies(proxy.port, arguments.seconds)
            print(f"alone: median {1000 * percentile(alone, 0.5):.1f} ms, p99 {1000 * percentile(alone, 0.99):.1f} ms")
            for make in neighbours:
                with make(proxy.port) as neighbour:
                    took = latencies(proxy.port, arguments.seconds)
                p99 = percentile(took, 0.99)
                verdict.holds(f"with {make.name} ({neighbour.did}): median {1000 * percentile(took, 0.5):.1f} ms, "
                              f"p99 {1000 * p99:.1f} ms", p99 < percentile(alone, 0.99) + AIM)
    verdict.end()


if __name__ == "__main__":
    main()
