#!/usr/bin/env python3
"""Compares the CPU time that outrigger, nginx, HAProxy and Envoy spend per answer; see benches/README.md."""

from __future__ import annotations

import argparse
import contextlib
import itertools
import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
CONFIGS = HERE / "compare"
BUILT = HERE.parent / "target/release/outrigger"
WARM_UP_SECONDS = 1
START_SECONDS = 10
ORIGIN_FILES = {"1k": 1024, "64k": 64 * 1024}
PACKAGES = {"taskset": "util-linux", "nginx": "nginx", "wrk": "wrk", "h2load": "nghttp2-client"}


@dataclass(frozen=True)
class Cell:
    """One kind of traffic."""

    title: str
    file: str = "1k"
    new_connections: bool = False
    http2_in: bool = False
    http2_out: bool = False


CELLS = {
    "small": Cell("HTTP/1.1, 1 KiB answers"),
    "large": Cell("HTTP/1.1, 64 KiB answers", file="64k"),
    "new": Cell("HTTP/1.1, a connection for each request", new_connections=True),
    "h2-h1": Cell("HTTP/2 in, HTTP/1.1 out", http2_in=True),
    "h2-h2": Cell("HTTP/2 in and out", http2_in=True, http2_out=True),
}


@dataclass(frozen=True)
class System:
    """A proxy that takes part; the path of its config comes after its `arguments`."""

    name: str
    binary: str
    arguments: str
    version_argument: str
    config: str
    speaks_http2_out: bool = True

    def takes_part(self, cell: Cell) -> bool:
        return self.speaks_http2_out or not cell.http2_out

    def version(self) -> str:
        shown = subprocess.run([self.binary, self.version_argument], capture_output=True, text=True)
        found = re.search(r"\d+\.\d+\.\d+", shown.stdout + shown.stderr)
        return f"{self.name} {found[0] if found else 'of an unknown version'}"


Costs = dict[str, list[float]]  # microseconds of CPU per answer: by system, in the order of the rounds


def main() -> None:
    options = parse_options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # what was started is ended on the way out
    systems = installed(options.systems, options.outrigger)
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        sys.exit("this needs two cores: one for the proxy, one for the load generator and the origin")
    if missing := [tool for tool in PACKAGES if not shutil.which(tool)]:
        packages = " ".join(PACKAGES[tool] for tool in missing)
        sys.exit(f"not installed: {', '.join(missing)} (apt-get install {packages})")
    with tempfile.TemporaryDirectory(prefix="compare-") as work:
        print_report(options, systems, *run_all(options, systems, Path(work), cores[0], cores[1]))


def parse_options() -> argparse.Namespace:
    def names(text: str) -> list[str]:
        return list(dict.fromkeys(text.split(",")))

    parser = argparse.ArgumentParser(description=__doc__)
    systems = ["outrigger", "nginx", "haproxy", "envoy"]
    parser.add_argument("--cells", type=names, default=list(CELLS), help=f"of {','.join(CELLS)}")
    parser.add_argument("--systems", type=names, default=systems, help=f"of {','.join(systems)}")
    parser.add_argument("--rounds", type=int, default=5, help="turns of each system (default: 5)")
    parser.add_argument("--secs", type=int, default=5, help="seconds that a turn measures (default: 5)")
    parser.add_argument("--outrigger", default=str(BUILT), help="the binary (default: the release build)")
    options = parser.parse_args()
    if unknown := set(options.cells) - set(CELLS) | set(options.systems) - set(systems):
        parser.error(f"unknown: {', '.join(sorted(unknown))}")
    if min(options.rounds, options.secs) < 1:
        parser.error("--rounds and --secs must be at least 1")
    return options


def installed(names: list[str], outrigger: str) -> list[System]:
    envoy = os.environ.get("ENVOY_BIN", "envoy")
    envoy_arguments = "--concurrency 1 --disable-hot-restart -l error -c"
    known = [
        # In the nginx that distributions have, `proxy_pass` speaks no HTTP/2, and `grpc_pass` is for gRPC.
        System("outrigger", outrigger, "run --config", "version", "outrigger.toml"),
        System("nginx", "nginx", "-e stderr -c", "-v", "nginx.conf", speaks_http2_out=False),
        System("haproxy", "haproxy", "-db -f", "-v", "haproxy.cfg"),
        System("envoy", envoy, envoy_arguments, "--version", "envoy.yaml"),
    ]
    chosen = [system for system in known if system.name in names]
    for system in chosen:
        if not shutil.which(system.binary):
            note(f"{system.name} is left out: there is no {system.binary}")
    present = [system for system in chosen if shutil.which(system.binary)]
    return present or sys.exit("nothing to compare")


def run_all(
    options: argparse.Namespace, systems: list[System], work: Path, proxy_core: int, load_core: int
) -> tuple[dict[str, Costs], dict[str, int], list[float]]:
    """The costs by cell, the failed requests by system, and for each turn the part of the time in which
    the proxy had work that it had to wait for its core."""
    costs: dict[str, Costs] = {}
    waits: list[float] = []
    failures = {system.name: 0 for system in systems}
    with origin(work, load_core) as (http1_origin, http2_origin):
        for name, turn in itertools.product(options.cells, range(options.rounds)):
            cell = CELLS[name]
            origin_port = http2_origin if cell.http2_out else http1_origin
            first = turn % len(systems)  # nobody always runs first
            for system in filter(lambda system: system.takes_part(cell), systems[first:] + systems[:first]):
                with proxy(system, cell, origin_port, work, proxy_core) as (pid, port):
                    generate_load(cell, port, WARM_UP_SECONDS, load_core)
                    ran_before, waited_before = core_nanoseconds(pid)
                    answered, failed = generate_load(cell, port, options.secs, load_core)
                    ran, waited = core_nanoseconds(pid)
                ran, waited = ran - ran_before, waited - waited_before
                if answered == 0:
                    sys.exit(f"{name}, round {turn + 1}: {system.name} answered nothing, {failed} failed")
                cost = ran / 1000 / answered
                waits.append(waited / (ran + waited))
                costs.setdefault(name, {}).setdefault(system.name, []).append(cost)
                failures[system.name] += failed
                counts = f"{answered} answered, {failed} failed, waited {waits[-1]:.1%}"
                note(f"{name}, round {turn + 1}: {system.name} {cost:.1f} us per answer, {counts}")
    return costs, failures, waits


@contextlib.contextmanager
def origin(work: Path, core: int) -> Iterator[tuple[int, int]]:
    """An nginx that serves files; yields its ports for HTTP/1.1 and for HTTP/2."""
    for name, size in ORIGIN_FILES.items():
        (work / name).write_bytes(b"x" * size)
    http1, http2 = free_port(), free_port()
    config = write_config(work, "origin.conf", {"http1": http1, "http2": http2})
    with running(["nginx", "-e", "stderr", "-c", str(config)], core, http1, work / "origin.log"):
        yield http1, http2


@contextlib.contextmanager
def proxy(system: System, cell: Cell, origin_port: int, work: Path, core: int) -> Iterator[tuple[int, int]]:
    """A fresh process of `system`; yields its id and its port."""
    port = free_port()
    values = {"port": port, "origin": origin_port}
    config = write_config(work, system.config, values | protocol_settings(cell))
    command = [system.binary, *system.arguments.split(), str(config)]
    with running(command, core, port, work / f"{system.name}.log") as pid:
        yield pid, port


def write_config(work: Path, name: str, values: dict[str, object]) -> Path:
    written = work / name
    written.write_text((CONFIGS / name).read_text() % (values | {"work": work}))
    return written


def protocol_settings(cell: Cell) -> dict[str, str]:
    """How each system's config says which protocol it speaks on either side."""
    return {
        "nginx_in": "http2" if cell.http2_in else "",
        "haproxy_in": "proto h2" if cell.http2_in else "",
        "haproxy_out": "proto h2" if cell.http2_out else "",
        "envoy_in": "HTTP2" if cell.http2_in else "HTTP1",
        "envoy_out": "http2_protocol_options" if cell.http2_out else "http_protocol_options",
        "outrigger_out": "http2" if cell.http2_out else "http1",
    }


@contextlib.contextmanager
def running(command: list[str], core: int, port: int, log: Path) -> Iterator[int]:
    """Runs `command` on one core: from when its port accepts until the end of the block."""
    with log.open("w") as output:
        pinned = ["taskset", "--cpu-list", str(core), *command]
        process = subprocess.Popen(pinned, stdout=output, stderr=output, start_new_session=True)
    try:
        deadline = time.monotonic() + START_SECONDS
        while not accepts(port):
            if process.poll() is not None or time.monotonic() > deadline:
                sys.exit(f"{command[0]} does not serve:\n{log.read_text()[-2000:]}")
            time.sleep(0.02)
        yield process.pid
    finally:
        # Nothing here is worth an orderly end; the new session made the whole tree one group.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def accepts(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.2):
        return True
    return False


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def core_nanoseconds(root: int) -> tuple[int, int]:
    """How long the threads of a process and of all its descendants were on a core, and waited for one."""
    running, waiting = 0, 0
    for task in Path(f"/proc/{root}/task").iterdir():
        children = [core_nanoseconds(int(child)) for child in (task / "children").read_text().split()]
        own = map(int, (task / "schedstat").read_text().split()[:2])
        for ran, waited in [tuple(own), *children]:
            running, waiting = running + ran, waiting + waited
    return running, waiting


def generate_load(cell: Cell, port: int, seconds: int, core: int) -> tuple[int, int]:
    """How many requests were answered, and how many failed."""
    url = f"http://127.0.0.1:{port}/{cell.file}"
    close = ["-H", "Connection: close"] if cell.new_connections else []
    wrk = ["wrk", "-t1", "-c64", f"-d{seconds}s", *close, url]
    h2load = ["h2load", "-t1", "-c8", "-m16", f"--duration={seconds}s", url]
    command = ["taskset", "--cpu-list", str(core), *(h2load if cell.http2_in else wrk)]
    ran = subprocess.run(command, capture_output=True, text=True)
    return (h2load_counts if cell.http2_in else wrk_counts)(ran.stdout)


def wrk_counts(report: str) -> tuple[int, int]:
    complete = sum(map(int, re.findall(r"(\d+) requests in", report)))
    refused = sum(map(int, re.findall(r"Non-2xx or 3xx responses: (\d+)", report)))
    broken = sum(map(int, re.findall(r"(?:connect|read|write|timeout) (\d+)", report)))
    return complete - refused, refused + broken


def h2load_counts(report: str) -> tuple[int, int]:
    counts = re.search(r"(\d+) succeeded, (\d+) failed", report)
    return (int(counts[1]), int(counts[2])) if counts else (0, 0)


def ratio_to_best_peer(costs: Costs) -> str:
    """The median over the rounds, and the range, of outrigger's cost over the lowest of the same round."""
    peers = [values for name, values in costs.items() if name != "outrigger"]
    if not peers or "outrigger" not in costs:
        return "-"
    ratios = [ours / min(theirs) for ours, *theirs in zip(costs["outrigger"], *peers)]
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"


def print_report(
    options: argparse.Namespace,
    systems: list[System],
    costs: dict[str, Costs],
    failures: dict[str, int],
    waits: list[float],
) -> None:
    names = [system.name for system in systems]
    print("| CPU microseconds per answer |", " | ".join([*names, "outrigger to the best peer"]), "|")
    print("| --- |" + " ---: |" * (len(names) + 1))
    for cell, of_cell in costs.items():
        medians = [f"{statistics.median(of_cell[name]):.1f}" if name in of_cell else "-" for name in names]
        print("|", " | ".join([f"`{cell}`: {CELLS[cell].title}", *medians, ratio_to_best_peer(of_cell)]), "|")
    failed = ", ".join(f"{name} {count}" for name, count in failures.items() if count)
    print(f"\n{', '.join(system.version() for system in systems)}; Linux {os.uname().release}.", end=" ")
    print(f"Median of {options.rounds} x {options.secs} s. Failed requests: {failed or 'none'}.")
    print(f"Waited for a core that others used: {statistics.median(waits):.1%}, at most {max(waits):.1%}.")


def note(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
