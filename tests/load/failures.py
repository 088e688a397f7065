"""Endpoints that die, stall and answer errors under load: see README.md."""

import argparse
import asyncio
import contextlib
import json
import multiprocessing
import os
import signal
import socket
import time

import harness
import peers

ENDPOINTS = 3
# What both are told. Every limit is short, so that a drill of half a minute sees endpoints go out and come back.
CONFIG = """
[upstreams.app]
endpoints = [{endpoints}]
connect_timeout = "250ms"
outlier_detection = {{ consecutive_failures = 5, ejection = "2s", max_ejection = "10s", max_ejected_percent = 50 }}

[routes.app]
upstream = "app"
timeout = "3s"

[routes.app.retry]
attempts = 2
on = ["connect-failure", "refused-stream", "reset-before-response", "5xx"]
per_try_timeout = "500ms"
backoff = "25ms"
max_backoff = "250ms"
budget = 0.2
"""
ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
ERROR = b"HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\n\r\n"
REQUEST = b"GET / HTTP/1.1\r\nhost: load\r\n\r\n"
# A caller asks so often, if its last answer is there.
PACE = 0.02
# An answer that takes longer never came.
PATIENCE = 10


def envoy_config(port, endpoints):
    config = json.loads(peers.envoy_config(port, endpoints[0]))
    resources = config["static_resources"]
    manager = resources["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]
    manager["route_config"]["virtual_hosts"][0]["routes"][0]["route"] |= {
        "timeout": "3s",
        "retry_policy": {
            "retry_on": "connect-failure,refused-stream,reset,5xx", "num_retries": 2, "per_try_timeout": "0.5s",
            "retry_back_off": {"base_interval": "0.025s", "max_interval": "0.25s"},
            "retry_host_predicate": [{
                "name": "envoy.retry_host_predicates.previous_hosts",
                "typed_config": {"@type": "type.googleapis.com/envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"},
            }],
            "host_selection_retry_max_attempts": 5,
        },
    }
    cluster = resources["clusters"][0]
    address = lambda port: {"socket_address": {"address": "127.0.0.1", "port_value": port}}
    cluster["load_assignment"]["endpoints"][0]["lb_endpoints"] = [
        {"endpoint": {"address": address(port)}} for port in endpoints]
    cluster |= {
        "connect_timeout": "0.25s", "lb_policy": "LEAST_REQUEST",
        "outlier_detection": {
            "consecutive_5xx": 5, "base_ejection_time": "2s", "max_ejection_time": "10s",
            "max_ejection_percent": 50, "interval": "0.5s",
        },
        "circuit_breakers": {"thresholds": [
            {"retry_budget": {"budget_percent": {"value": 20}, "min_retry_concurrency": 20}}]},
    }
    return json.dumps(config)


class Endpoint:
    """A server in a process of its own, with which something can be wrong."""

    def __init__(self):
        self.port = harness.free_port()
        self.start()

    def start(self):
        self.process = multiprocessing.Process(target=serve, args=(self.port,), daemon=True)
        self.process.start()
        harness.eventually("an endpoint accepts", lambda: harness.accepts(self.port))

    def kill(self):
        self.process.kill()
        self.process.join()

    def signal(self, number):
        os.kill(self.process.pid, number)


def serve(port):
    """Answers every request; with errors from SIGUSR1 to SIGUSR2."""
    answer = [ANSWER]
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    class Connection(asyncio.Protocol):
        def connection_made(self, transport):
            self.transport = transport

        def data_received(self, data):
            self.transport.write(answer[0] * data.count(b"\r\n\r\n"))

    async def run():
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGUSR1, answer.__setitem__, 0, ERROR)
        loop.add_signal_handler(signal.SIGUSR2, answer.__setitem__, 0, ANSWER)
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        server = await loop.create_server(Connection, sock=listener, backlog=4096)
        await server.serve_forever()

    asyncio.run(run())


class Callers:
    """Callers of one proxy in a process of their own: the time of each answer, and what else came."""

    def __init__(self, port, count):
        self.results, theirs = multiprocessing.Pipe()
        self.stopping = multiprocessing.Event()
        arguments = (port, count, self.stopping, theirs)
        self.process = multiprocessing.Process(target=call_all, args=arguments, daemon=True)
        self.process.start()

    def stop(self):
        self.stopping.set()
        took, failed = self.results.recv()
        self.process.join()
        return sorted(took), failed


def call_all(port, count, stopping, results):
    took, failed = [], []

    async def call():
        reader = writer = None
        while not stopping.is_set():
            start = time.monotonic()
            try:
                async with asyncio.timeout(PATIENCE):
                    if writer is None:
                        reader, writer = await asyncio.open_connection("127.0.0.1", port)
                    writer.write(REQUEST)
                    head = await reader.readuntil(b"\r\n\r\n")
                    fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:] if line)
                    body = await reader.readexactly(int(fields[b"content-length"]))
                if body != b"ok":
                    failed.append(head.split(b"\r\n")[0].decode())
            except (OSError, EOFError, TimeoutError) as error:
                failed.append(repr(error))
                if writer:
                    writer.close()
                writer = None
            took.append(time.monotonic() - start)
            await asyncio.sleep(max(0, PACE - took[-1]))

    async def run():
        await asyncio.gather(*(call() for _ in range(count)))

    asyncio.run(run())
    results.send((took, failed))


def drill(endpoints, seconds):
    """What goes wrong, one after the other; each is mended before the next."""
    first, second, third = endpoints
    steps = [
        ("one is killed", first.kill, first.start),
        ("one stalls", lambda: second.signal(signal.SIGSTOP), lambda: second.signal(signal.SIGCONT)),
        ("one answers errors", lambda: third.signal(signal.SIGUSR1), lambda: third.signal(signal.SIGUSR2)),
    ]
    time.sleep(seconds / 2)
    for what, breaks, mends in steps:
        print(f"      {what}", flush=True)
        breaks()
        time.sleep(seconds)
        mends()
        time.sleep(seconds)


def percentile(sorted_values, share):
    return sorted_values[min(len(sorted_values) - 1, int(len(sorted_values) * share))] * 1000


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    harness.add_arguments(parser)
    parser.add_argument("--envoy", default=os.environ.get("ENVOY_BIN"), help="an Envoy to compare with (default: $ENVOY_BIN)")
    parser.add_argument("--callers", type=int, default=16, help="of each proxy")
    parser.add_argument("--seconds", type=float, default=5, help="how long each thing is wrong, and mended")
    arguments = parser.parse_args()
    verdict = harness.Verdict()
    endpoints = [Endpoint() for _ in range(ENDPOINTS)]
    ports = [endpoint.port for endpoint in endpoints]
    names = ", ".join(f'"127.0.0.1:{port}"' for port in ports)
    with contextlib.ExitStack() as stack:
        proxies = {"outrigger": stack.enter_context(harness.Proxy(arguments.binary, CONFIG.format(endpoints=names)))}
        if arguments.envoy:
            config = lambda port: envoy_config(port, ports)
            proxies["envoy"] = stack.enter_context(peers.Peer("envoy", arguments.envoy, ports[0], 1, config))
        callers = {name: Callers(proxy.port, arguments.callers) for name, proxy in proxies.items()}
        drill(endpoints, arguments.seconds)
        found = {name: these.stop() for name, these in callers.items()}
    for endpoint in endpoints:
        endpoint.kill()
    summary = {}
    for name, (took, failed) in found.items():
        success = 1 - len(failed) / len(took)
        p99, p999 = percentile(took, 0.99), percentile(took, 0.999)
        summary[name] = success, p99, p999
        print(f"      {name}: {len(took)} requests, {len(failed)} failed ({success:.4%} succeeded), median "
              f"{percentile(took, 0.5):.1f} ms, 99 % {p99:.1f} ms, 99.9 % {p999:.1f} ms, longest {took[-1] * 1000:.0f} ms")
        for failure in sorted(set(failed)):
            print(f"        {failed.count(failure)} times {failure}")
    success, p99, p999 = summary["outrigger"]
    verdict.holds("999 of 1000 requests succeed", success >= 0.999)
    if "envoy" in summary:
        verdict.holds("no fewer than with Envoy", success >= summary["envoy"][0])
        verdict.holds("the slowest hundredth and thousandth are no slower than Envoy's",
                      p99 <= summary["envoy"][1] and p999 <= summary["envoy"][2])
    verdict.end()


if __name__ == "__main__":
    main()
