"""Spans by the official classes of OTLP, and collectors that are away or worse: see README.md."""

import argparse
import gzip
import http.server
import os
import pathlib
import socketserver
import subprocess
import sys
import threading
import time

import callers
import harness

PACKAGES = ["opentelemetry-proto"]
TRACE, CALLER = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
CONFIG = """
[upstreams.app]
endpoints = ["127.0.0.1:{upstream}"]

[routes.app]
upstream = "app"
mirror = {{ upstream = "app" }}

[tracing]
endpoint = "http://127.0.0.1:{collector}"
sample_ratio = 1.0
"""
# A request, its attempt, and the mirror's copy.
SPANS = 3


class Collector(http.server.ThreadingHTTPServer):
    """Reads what is sent to it by the official classes."""

    def __init__(self, port):
        from opentelemetry.proto.collector.trace.v1 import trace_service_pb2
        self.message = trace_service_pb2.ExportTraceServiceRequest
        self.spans, self.lock = [], threading.Lock()
        super().__init__(("127.0.0.1", port), Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def end(self):
        self.shutdown()
        self.server_close()


class Handler(http.server.BaseHTTPRequestHandler):
    # A connection for each batch, so that none is left when this ends.
    protocol_version = "HTTP/1.0"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        if self.headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        message = self.server.message()
        message.ParseFromString(body)
        with self.server.lock:
            for resource in message.resource_spans:
                for scope in resource.scope_spans:
                    self.server.spans += scope.spans
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


def with_packages():
    """Runs this script with the packages that it needs, in a folder of its own."""
    try:
        import opentelemetry.proto  # noqa: F401
    except ImportError:
        folder = pathlib.Path(os.environ.get("XDG_CACHE_HOME", pathlib.Path.home() / ".cache")) / "outrigger-traces"
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        subprocess.run([folder / "bin/pip", "install", "--quiet", *PACKAGES], check=True)
        os.execv(folder / "bin/python", [str(folder / "bin/python"), *sys.argv])


def silent(connection):
    """Takes what comes, and never answers."""
    while connection.recv(1 << 16):
        pass


def busy(connection):
    """Asks to come again."""
    connection.recv(1 << 16)
    connection.sendall(b"HTTP/1.1 503 Busy\r\nretry-after: 2\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")


def cuts(connection):
    """Ends within its answer."""
    connection.recv(1 << 16)
    connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf")


class Bad(socketserver.ThreadingTCPServer):
    """A collector that does one of these with each connection."""

    allow_reuse_address = daemon_threads = True
    block_on_close = False

    def __init__(self, behaves):
        class Connection(socketserver.BaseRequestHandler):
            def handle(self):
                self.server.seen += 1
                behaves(self.request)

        self.seen = 0
        super().__init__(("127.0.0.1", 0), Connection)
        threading.Thread(target=self.serve_forever, daemon=True).start()


def stands(binary, upstream, behaves, seconds, verdict):
    """Requests while the collector is as it should not be."""
    collector = Bad(behaves)
    config = CONFIG.format(upstream=upstream.port, collector=collector.server_address[1])
    with harness.Proxy(binary, config) as proxy:
        asked, sent = 200, ask(proxy.port, 200)
        before, highest = proxy.footprint(), 0
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            sent += ask(proxy.port, 200)
            asked += 200
            highest = max(highest, proxy.footprint().anonymous)
            time.sleep(0.05)
        what = behaves.__name__
        verdict.holds(f"{what}: {asked} requests, {asked - sent} failed, {collector.seen} connections", sent == asked)
        grown = highest - before.anonymous
        verdict.holds(f"{what}: memory grew by {harness.mib(grown)} at most", grown < 6 << 20)
        lost = proxy.metric("outrigger_spans_dropped_total")
        # No more than wait, and a batch that is under way.
        left = SPANS * asked - int(lost)
        verdict.holds(f"{what}: {lost:.0f} spans were dropped, and {left} wait", 0 <= left <= 2048 + 512)
        code, seconds = proxy.terminate(30)
        verdict.holds(f"{what}: ended with {code} after {seconds:.1f} s", code == 0)
    collector.shutdown()
    collector.server_close()


class Caller(callers.Client):
    fields = f"traceparent: 00-{TRACE}-{CALLER}-01\r\n"


def ask(port, count):
    """So many requests over one connection; how many were answered with 200."""
    client = Caller(port)
    good = sum(client.ask("/").status == 200 for _ in range(count))
    client.close()
    return good


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    harness.add_arguments(parser)
    parser.add_argument("--away", type=float, default=600, help="seconds for which there is no collector")
    parser.add_argument("--bad", type=float, default=60, help="seconds for which there is each kind of bad collector")
    arguments = parser.parse_args()
    with_packages()
    verdict = harness.Verdict()
    port = harness.free_port()
    os.environ["OTEL_BSP_SCHEDULE_DELAY"] = "200"
    with harness.Upstream() as upstream:
        for behaves in (silent, busy, cuts):
            stands(arguments.binary, upstream, behaves, arguments.bad, verdict)
        # Behind the upstream, whose processes would keep its socket open.
        collector = Collector(port)
        config = CONFIG.format(upstream=upstream.port, collector=port)
        with harness.Proxy(arguments.binary, config) as proxy:
            sent = ask(proxy.port, 100)
            harness.eventually("all spans arrive", lambda: len(collector.spans) >= SPANS * 100)
            spans = list(collector.spans)
            ids = {span.span_id.hex(): span for span in spans}
            servers = [span for span in spans if span.kind == span.SPAN_KIND_SERVER]
            clients = [span for span in spans if span.kind == span.SPAN_KIND_CLIENT]
            verdict.holds(f"{len(spans)} spans of 100 requests, each once", len(ids) == len(spans) == SPANS * 100)
            verdict.holds("all are in the caller's trace", all(span.trace_id.hex() == TRACE for span in spans))
            verdict.holds("requests are below the caller", all(span.parent_span_id.hex() == CALLER for span in servers))
            verdict.holds("attempts and copies are below their requests", all(
                ids[span.parent_span_id.hex()].kind == span.SPAN_KIND_SERVER for span in clients))

            collector.end()
            before, highest, asked = proxy.footprint(), 0, 0
            end = time.monotonic() + arguments.away
            while time.monotonic() < end:
                sent += ask(proxy.port, 200)
                asked += 200
                highest = max(highest, proxy.footprint().anonymous)
                time.sleep(0.05)
            verdict.holds(f"{asked} requests without a collector, {asked + 100 - sent} failed", sent == asked + 100)
            grown = highest - before.anonymous
            verdict.holds(f"memory grew by {harness.mib(grown)} at most", grown < 6 << 20)
            lost = proxy.metric("outrigger_spans_dropped_total")
            verdict.holds(f"{lost:.0f} spans were dropped, and counted", lost > 0)

            collector = Collector(port)
            begun = time.monotonic()
            harness.eventually("spans arrive again", lambda: collector.spans, 60)
            print(f"      they arrive {time.monotonic() - begun:.1f} s after the collector is back")
            code, seconds = proxy.terminate(30)
            verdict.holds(f"ended with {code} after {seconds:.1f} s", code == 0)
            arrived, kept = len(collector.spans), SPANS * asked - int(lost)
            verdict.holds(f"{arrived} that waited were sent, and {kept} were not counted as lost", arrived == kept)
    collector.end()
    verdict.end()


if __name__ == "__main__":
    main()
