"""Load generators of others, run beside the callers of these scripts where they are installed."""

import re
import shutil
import subprocess
import threading

SECONDS = 5


def found(port, connections):
    """wrk over HTTP/1.1 and h2load over HTTP/2, each with so many connections."""
    url = f"http://127.0.0.1:{port}/"
    known = [
        (["wrk", "-t1", f"-c{connections}", f"-d{SECONDS}s", url],
         r"(\d+) requests in", r"(?:(?:connect|read|write|timeout) |Non-2xx or 3xx responses: )(\d+)"),
        # A new connection for each hundred requests, so that connections are made all the time.
        (["h2load", "-t1", f"-c{connections}", "-m4", f"-n{100 * connections}", url],
         r"(\d+) done", r"(\d+) (?:failed|errored|timeout)"),
    ]
    return [Generator(*one) for one in known if shutil.which(one[0][0])]


class Generator(threading.Thread):
    """Runs one again and again, and adds up what it says of itself."""

    def __init__(self, command, total, failed):
        super().__init__(daemon=True)
        self.command, self.name = command, command[0]
        self.patterns = total, failed
        self.stopping = threading.Event()
        self.total = self.failed = 0
        self.start()

    def run(self):
        while not self.stopping.is_set():
            said = subprocess.run(self.command, capture_output=True, text=True, check=True).stdout
            total, failed = (sum(map(int, re.findall(pattern, said))) for pattern in self.patterns)
            self.total += total
            self.failed += failed

    def stop(self):
        self.stopping.set()
        self.join()
