"""Drain under load: see README.md."""

import argparse
import threading
import time

import callers
import harness

CONFIG = """
[upstreams.app]
endpoints = ["127.0.0.1:{upstream}"]

[routes.app]
upstream = "app"

[shutdown]
drain_timeout = "{limit}s"
"""
DOWNLOAD = 4 << 20
DOWNLOAD_SECONDS = 3
# How long all is busy before the signal.
BUSY = 0.7


class Download(threading.Thread):
    """A body that takes its time, and must arrive whole."""

    def __init__(self, port):
        super().__init__(daemon=True)
        self.port = port
        self.failure = None
        self.begun = threading.Event()
        self.start()

    def run(self):
        try:
            client = callers.Client(self.port)
            client.socket.sendall(f"GET /slow/{DOWNLOAD}/{DOWNLOAD_SECONDS} HTTP/1.1\r\nhost: load\r\n\r\n".encode())
            head = client.read_head()
            if not head.startswith(b"HTTP/1.1 200"):
                raise callers.Failed(head)
            self.begun.set()
            arrived = len(client.buffer)
            while arrived < DOWNLOAD:
                data = client.socket.recv(1 << 16)
                if not data:
                    raise callers.Failed(f"cut after {arrived} bytes")
                arrived += len(data)
            client.close()
        except (OSError, callers.Failed) as error:
            self.failure = repr(error)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    harness.add_arguments(parser)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--others", type=int, default=8, help="so many over HTTP/2, and so many that connect for each request")
    parser.add_argument("--downloads", type=int, default=20)
    parser.add_argument("--limit", type=int, default=25, help="the proxy's drain_timeout in seconds")
    arguments = parser.parse_args()
    verdict = harness.Verdict()
    with harness.Upstream() as upstream:
        for number in range(1, arguments.runs + 1):
            with harness.Proxy(arguments.binary, CONFIG.format(upstream=upstream.port, limit=arguments.limit)) as proxy:
                run(arguments, verdict, proxy, number)
    verdict.end()


def run(arguments, verdict, proxy, number):
    crowds = [callers.Crowd(proxy.port, count, kind, ends=True) for kind, count in (
        (callers.Caller, arguments.connections),
        (callers.MultiplexedCaller, arguments.others),
        (callers.ShortCaller, arguments.others)) if count]
    downloads = [Download(proxy.port) for _ in range(arguments.downloads)]
    for download in downloads:
        download.begun.wait(harness.SOON)
    time.sleep(BUSY)
    code, seconds = proxy.terminate(arguments.limit + harness.SOON)
    counts = [crowd.wait() for crowd in crowds]
    for download in downloads:
        download.join()
    cut = [download.failure for download in downloads if download.failure]
    answered, connects, failed = ([getattr(part, what) for part in counts] for what in ("answered", "connects", "failed"))
    verdict.holds(
        f"run {number}: {answered} requests on {connects} connections, {failed} failed, "
        f"{len(cut)} of {len(downloads)} downloads cut, exit code {code} after {seconds:.1f} s",
        not any(failed) and not cut and code == 0 and seconds < arguments.limit and all(answered))
    for failure in cut + [failure for part in counts for failure in part.told]:
        print("      " + failure)


if __name__ == "__main__":
    main()
