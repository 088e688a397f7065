"""Files from a directory, beside nginx: CPU time an answer of 1 KiB and of 1 MiB, and bytes a second of 1 GiB. See README.md."""

import argparse
import os
import pathlib
import re
import shutil
import socket
import statistics
import subprocess
import tempfile
import time

import harness
import peers

CONFIG = """
[process]
workers = 1

[routes.files]
match = {{ path = "/{{*path}}", methods = ["GET"] }}
files = {{ root = "{root}"{options} }}
"""
NGINX = """
worker_processes 1; daemon off; pid {directory}/pid; error_log {directory}/error.log;
events {{ worker_connections 4096; }}
http {{
  access_log off; keepalive_requests 1000000000; sendfile on; tcp_nopush on;
  client_body_temp_path {directory}; proxy_temp_path {directory}; fastcgi_temp_path {directory};
  uwsgi_temp_path {directory}; scgi_temp_path {directory};
  server {{ listen 127.0.0.1:{port}; root {root}; }}
}}
"""
SIZES = {"1KiB": 1 << 10, "64KiB": 64 << 10, "1MiB": 1 << 20}
LARGE = 1 << 30


class Nginx:
    def __init__(self, root):
        self.port = harness.free_port()
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="nginx-"))
        self.directory.chmod(0o777)
        config = self.directory / "config"
        config.write_text(NGINX.format(directory=self.directory, port=self.port, root=root))
        self.process = subprocess.Popen(["nginx", "-c", config], stderr=subprocess.DEVNULL)
        harness.eventually("nginx accepts", lambda: harness.accepts(self.port))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()
        shutil.rmtree(self.directory, ignore_errors=True)


def cpu(pid):
    """Seconds that a process and its children have run."""
    tasks = [task for member in peers.family(pid) for task in pathlib.Path(f"/proc/{member}/task").iterdir()]
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9


def spent(server, name, seconds, connections):
    """Microseconds of CPU time an answer, and answers a second."""
    before = cpu(server.process.pid)
    said = subprocess.run(["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", f"http://127.0.0.1:{server.port}/{name}"],
                          capture_output=True, text=True, check=True).stdout
    if "Non-2xx" in said or "Socket errors" in said:
        raise RuntimeError(said)
    count = int(re.search(r"(\d+) requests in", said)[1])
    return (cpu(server.process.pid) - before) / count * 1e6, count / seconds


def download(server, name):
    """Bytes a second of one download, and CPU seconds for it."""
    buffer = bytearray(1 << 20)
    before, start, total = cpu(server.process.pid), time.monotonic(), 0
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.sendall(f"GET /{name} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        while count := connection.recv_into(buffer):
            total += count
    if total < LARGE:
        raise RuntimeError(f"only {total} bytes came")
    return total / (time.monotonic() - start), cpu(server.process.pid) - before


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    harness.add_arguments(parser)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=3, help="how long each server is asked in each round")
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--options", default="", help="more keys of `files`")
    parser.add_argument("--directory", help="where the files are made (default: that for temporary files)")
    arguments = parser.parse_args()
    root = pathlib.Path(tempfile.mkdtemp(prefix="files-", dir=arguments.directory))
    root.chmod(0o755)
    verdict = harness.Verdict()
    try:
        for name, size in SIZES.items():
            (root / name).write_bytes(os.urandom(size))
        with open(root / "1GiB", "wb") as large:
            for _ in range(LARGE >> 20):
                large.write(os.urandom(1 << 20))
        options = f", {arguments.options}" if arguments.options else ""
        with harness.Proxy(arguments.binary, CONFIG.format(root=root, options=options)) as ours, Nginx(root) as nginx:
            for name in SIZES:
                compare(verdict, arguments, name, ours, nginx)
            stream(verdict, arguments, ours, nginx)
    finally:
        shutil.rmtree(root)
    verdict.end()


def in_turn(number, ours, nginx, work):
    """What each gives. Who begins changes from round to round."""
    if number % 2:
        theirs = work(nginx)
        return work(ours), theirs
    return work(ours), work(nginx)


def compare(verdict, arguments, name, ours, nginx):
    rounds = []
    for number in range(arguments.rounds):
        own, theirs = in_turn(number, ours, nginx,
                              lambda server: spent(server, name, arguments.seconds, arguments.connections))
        print(f"      {name}: {own[0]:.1f} us, {own[1]:.0f}/s beside {theirs[0]:.1f} us, {theirs[1]:.0f}/s", flush=True)
        rounds.append((own[0], theirs[0]))
    ratio = statistics.median(own / theirs for own, theirs in rounds)
    own, theirs = (statistics.median(column) for column in zip(*rounds))
    verdict.holds(f"{name}: {own:.1f} us an answer, {ratio:.2f} of nginx's {theirs:.1f} us", ratio <= 1)


def stream(verdict, arguments, ours, nginx):
    rounds = []
    for number in range(arguments.rounds):
        own, theirs = in_turn(number, ours, nginx, lambda server: download(server, "1GiB"))
        print(f"      1GiB: {own[0] / 1e9:.2f} GB/s, {own[1]:.2f} s beside {theirs[0] / 1e9:.2f} GB/s, {theirs[1]:.2f} s", flush=True)
        rounds.append((own[0], theirs[0]))
    ratio = statistics.median(own / theirs for own, theirs in rounds)
    own = statistics.median(own for own, _ in rounds)
    verdict.holds(f"1GiB: {own / 1e9:.2f} GB/s, {ratio:.2f} of nginx's", ratio >= 0.9)


if __name__ == "__main__":
    main()
