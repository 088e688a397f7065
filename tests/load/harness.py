"""What every script here needs: ports, the proxy, its upstream, and a verdict."""

import collections
import http.client
import json
import multiprocessing
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

import origin

ROOT = pathlib.Path(__file__).resolve().parents[2]
# How long something that takes no time may take on a busy machine.
SOON = 20


def add_arguments(parser):
    binary = os.environ.get("OUTRIGGER_BIN", ROOT / "target/release/outrigger")
    parser.add_argument("--binary", default=binary, help="the proxy (default: $OUTRIGGER_BIN, else target/release/outrigger)")


def free_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


def eventually(what, condition, limit=SOON):
    """The first value of `condition` that counts as true."""
    end = time.monotonic() + limit
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.005)
    raise TimeoutError(f"not within {limit} s: {what}")


def accepts(port):
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    except OSError:
        return False


class Upstream:
    """`origin.py` in processes of its own, which share a port."""

    def __init__(self, processes=2):
        self.port = free_port()
        self.processes = [multiprocessing.Process(target=origin.serve, args=(self.port,), daemon=True)
                          for _ in range(processes)]
        for process in self.processes:
            process.start()
        eventually("the upstream accepts", lambda: accepts(self.port))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in self.processes:
            process.terminate()
            process.join()


class Proxy:
    """One proxy, with its config in a directory of its own. `write` puts the config there; the default writes a file."""

    def __init__(self, binary, config, write=None):
        self.port, self.admin_port = free_port(), free_port()
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="outrigger-load-"))
        self.preamble = (f'[admin]\nlisten = "127.0.0.1:{self.admin_port}"\nprobe_listen = "none"\n'
                         f'[listeners.main]\nlisten = "127.0.0.1:{self.port}"\n')
        self.config = self.directory / "config"
        self.config.mkdir()
        (write or self.write)(self.config, self.preamble + config)
        self.log = open(self.directory / "log", "w+")
        self.binary = binary
        self.start()

    def start(self):
        """Starts it, also anew once it has ended: on its ports, with its config."""
        self.process = subprocess.Popen([self.binary, "run", "--config", self.config], stdin=subprocess.DEVNULL,
                                        stdout=self.log, stderr=self.log)
        eventually("the proxy is ready", self.is_ready)

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        if kind:
            self.log.seek(0)
            sys.stderr.write("".join(self.log.readlines()[-20:]))
        self.log.close()
        shutil.rmtree(self.directory)

    @staticmethod
    def write(directory, text):
        (directory / "outrigger.toml").write_text(text)

    def is_ready(self):
        if self.process.poll() is not None:
            raise RuntimeError(f"the proxy ended with {self.process.returncode}")
        try:
            return self.admin("GET", "/readyz")[0] == 200
        except OSError:
            return False

    def admin(self, method, path):
        """Status and body of an answer of the admin API."""
        connection = http.client.HTTPConnection("127.0.0.1", self.admin_port, timeout=SOON)
        connection.request(method, path)
        answer = connection.getresponse()
        body = answer.read().decode()
        connection.close()
        return answer.status, body

    def kill(self):
        """Ends it as a power cut would."""
        self.process.kill()
        self.process.wait()

    def status(self):
        return json.loads(self.admin("GET", "/config")[1])

    def metric(self, name, **labels):
        """The sum of a metric over all series that have these labels."""
        total = 0.0
        for line in self.admin("GET", "/metrics")[1].splitlines():
            match = re.fullmatch(r"(\w+)(?:\{(.*)\})? (\S+)", line)
            if match and match[1] == name and all(f'{key}="{value}"' in (match[2] or "") for key, value in labels.items()):
                total += float(match[3])
        return total

    def terminate(self, limit):
        """Ends it with SIGTERM; its exit code, and how many seconds it took."""
        start = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(limit), time.monotonic() - start

    def footprint(self):
        return footprint([self.process.pid])


Footprint = collections.namedtuple("Footprint", "resident descriptors anonymous")


def footprint(pids):
    """Resident bytes and open descriptors of these processes, and how many of the bytes are no pages of files."""
    resident = descriptors = anonymous = 0
    for pid in pids:
        status = pathlib.Path(f"/proc/{pid}/status").read_text()
        kibibytes = lambda name: int(re.search(rf"{name}:\s+(\d+)", status)[1])
        resident += kibibytes("VmRSS") << 10
        anonymous += kibibytes("RssAnon") << 10
        descriptors += len(os.listdir(f"/proc/{pid}/fd"))
    return Footprint(resident, descriptors, anonymous)


def mib(size):
    return f"{size / (1 << 20):.1f} MiB"


class Verdict:
    """Collects what must hold, and ends the script accordingly."""

    def __init__(self):
        self.failed = []

    def holds(self, what, true):
        print(("ok    " if true else "FAILS ") + what, flush=True)
        if not true:
            self.failed.append(what)

    def end(self):
        sys.exit(1 if self.failed else 0)
