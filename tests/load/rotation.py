"""Rotation of certificates under load: see README.md."""

import argparse
import asyncio
import hashlib
import json
import multiprocessing
import pathlib
import re
import ssl
import tempfile
import time

import callers
import harness
import pki
from reload import spread
from volume import Renamed, Volume

CONFIG = """tls = {{ cert = "{files}/tls.crt", key = "{files}/tls.key", client_ca = "{files}/ca.crt" }}

[upstreams.app]
endpoints = ["localhost:{upstream}"]
tls = {{ cert = "{files}/tls.crt", key = "{files}/tls.key", ca = "{files}/ca.crt", identity = "spiffe://load/origin" }}

[routes.app]
upstream = "app"
"""
# The contract's limit from the change of a file to the first handshake with what it holds.
LIVE_WITHIN = 2.0
# Connections to the upstream under a replaced certificate are gone after this.
RETIRED_WITHIN = 10


def fingerprint(der):
    return hashlib.sha256(der).hexdigest()


class Origin(asyncio.Protocol):
    """The upstream's side of a connection. It echoes, or tells at `/identities` whom it knows."""

    # Fingerprints of what the proxy shows on connections that are open, and when each caller was last heard of.
    open, heard = {}, {}

    def connection_made(self, transport):
        self.transport, self.buffer = transport, b""
        self.open[self] = fingerprint(transport.get_extra_info("ssl_object").getpeercert(binary_form=True))

    def connection_lost(self, _):
        self.open.pop(self, None)

    def data_received(self, data):
        self.buffer += data
        while b"\r\n\r\n" in self.buffer:
            head, _, rest = self.buffer.partition(b"\r\n\r\n")
            length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
            length = int(length[1]) if length else 0
            if len(rest) < length:
                return
            body, self.buffer = rest[:length] or b"ok", rest[length:]
            caller = re.search(rb"(?i)\r\nx-forwarded-client-cert: *Hash=([0-9a-f]+)", head)
            if caller:
                self.heard[caller[1].decode()] = time.time()
            if head.startswith(b"GET /identities "):
                body = json.dumps({"open": list(self.open.values()), "heard": self.heard}).encode()
            self.transport.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(body) + body)


def serve(port, files):
    """An upstream that takes up its own certificate when it changes."""

    async def run():
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(files / "all.crt")
        pair = files / "origin.crt", files / "origin.key"
        context.load_cert_chain(*pair)
        server = await asyncio.get_running_loop().create_server(Origin, "127.0.0.1", port, ssl=context, backlog=4096)
        taken = pair[1].stat().st_mtime_ns
        while server.is_serving():
            await asyncio.sleep(0.05)
            changed = pair[1].stat().st_mtime_ns
            if changed != taken:
                context.load_cert_chain(*pair)
                taken = changed

    asyncio.run(run())


class SecureCaller(callers.Caller):
    """Is closed when its CA is not believed any more, and comes back with a certificate of the new one."""

    # Where it finds its certificates, and what it speaks.
    files = None
    kind = callers.Client

    @classmethod
    def client_type(cls, port):
        pair = (cls.files / "caller").resolve()
        return pki.client(cls.kind, cls.files / "all.crt", (pair / "caller.crt", pair / "caller.key"))(port)

    def may_close(self):
        return True


class SecureMultiplexedCaller(SecureCaller):
    kind = callers.MultiplexedClient


class Site:
    """All certificates of a run, and who has them."""

    def __init__(self, directory, cas, volume):
        self.directory = pathlib.Path(directory)
        self.cas = [pki.Authority(directory, f"ca-{number}") for number in range(cas + 1)]
        self.ca = self.cas[0]
        self.peers = self.directory / "peers"
        self.proxy = self.directory / "proxy"
        self.peers.mkdir()
        self.proxy.mkdir()
        self.others, self.own = Renamed(self.peers), volume(self.proxy)
        self.others.write({"all.crt": "".join(ca.pem for ca in self.cas)})
        # Fingerprints of the proxy's own certificates, and of its callers'; which of these the CA of now has signed.
        self.proxies, self.callers, self.callers_of_now = [], [], []
        self.believe(self.ca)
        self.issue()

    def issue(self):
        """New certificates for everybody, by the CA of now."""
        origin, caller, proxy = (self.ca.issue(name) for name in ("origin", "caller", "proxy"))
        self.others.write({"origin.crt": origin.cert, "origin.key": origin.key})
        # Callers may connect at any time: what they read must fit.
        pair = self.peers / f"caller-{len(self.callers)}"
        pair.mkdir()
        Renamed(pair).write({"caller.crt": caller.cert, "caller.key": caller.key})
        link = self.peers / ".caller.new"
        link.symlink_to(pair)
        link.rename(self.peers / "caller")
        self.own.write({"tls.crt": proxy.cert, "tls.key": proxy.key})
        self.proxies.append(fingerprint(proxy.der()))
        self.callers.append(fingerprint(caller.der()))
        self.callers_of_now.append(self.callers[-1])

    def believe(self, *cas):
        self.own.write({"ca.crt": "\n".join(ca.pem for ca in cas)})


def shown(port):
    """The fingerprint of what the proxy shows to whoever connects now."""
    client = SecureCaller.client_type(port)
    der = client.socket.getpeercert(binary_form=True)
    client.close()
    return fingerprint(der)


def identities(port):
    client = SecureCaller.client_type(port)
    answer = client.ask("/identities")
    client.close()
    return json.loads(answer.body)


def until(what, condition):
    start = time.monotonic()
    harness.eventually(what, condition)
    return time.monotonic() - start


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    harness.add_arguments(parser)
    parser.add_argument("--leaves", type=int, default=50, help="rotations of all leaf certificates")
    parser.add_argument("--cas", type=int, default=3, help="rotations of the CA among them, each by way of a bundle of both")
    parser.add_argument("--volume", action="store_true", help="through a simulated volume of Kubernetes")
    parser.add_argument("--connections", type=int, default=48, help="over HTTP/1.1")
    parser.add_argument("--multiplexed", type=int, default=16, help="over HTTP/2")
    arguments = parser.parse_args()
    verdict = harness.Verdict()
    with tempfile.TemporaryDirectory(prefix="outrigger-load-") as directory:
        site = Site(directory, arguments.cas, Volume if arguments.volume else Renamed)
        SecureCaller.files = site.peers
        port = harness.free_port()
        origin = multiprocessing.Process(target=serve, args=(port, site.peers), daemon=True)
        origin.start()
        harness.eventually("the upstream accepts", lambda: harness.accepts(port))
        with harness.Proxy(arguments.binary, CONFIG.format(files=site.proxy, upstream=port)) as proxy:
            run(arguments, verdict, proxy, site)
        origin.terminate()
        origin.join()
    verdict.end()


def run(arguments, verdict, proxy, site):
    crowds = [callers.Crowd(proxy.port, count, kind, processes=1) for kind, count in (
        (SecureCaller, arguments.connections), (SecureMultiplexedCaller, arguments.multiplexed)) if count]
    harness.eventually("the callers are heard", lambda: site.callers[0] in identities(proxy.port)["heard"])
    time.sleep(1)
    footprints, live, dropped = [proxy.footprint()], [], None
    turns = {round(arguments.leaves * number / (arguments.cas + 1)) for number in range(1, arguments.cas + 1)}
    for number in range(1, arguments.leaves + 1):
        old = site.ca
        if number in turns:
            site.ca, site.callers_of_now = site.cas[site.cas.index(old) + 1], []
            believe(proxy, site, old, site.ca)
        site.issue()
        live.append(until(f"certificate {number} serves", lambda: shown(proxy.port) == site.proxies[-1]))
        if site.ca is not old:
            believe(proxy, site, site.ca)
            dropped = dropped or time.time()
    footprints.append(proxy.footprint())
    current = site.proxies[-1]
    retired = until("no connection to the upstream is older than the last certificate",
                    lambda: set(identities(proxy.port)["open"]) == {current})
    known = identities(proxy.port)
    counts = [crowd.stop() for crowd in crowds]
    judge(arguments, verdict, site, counts, live)
    verdict.holds(f"all connections to the upstream show the newest certificate {retired:.1f} s after it came",
                  retired < RETIRED_WITHIN + 1)
    late = known["heard"][site.callers[0]] - dropped
    verdict.holds(f"callers with the first certificate were last heard {late:+.2f} s after their CA went", late < LIVE_WITHIN)
    verdict.holds("callers with a certificate of the last CA are heard", any(caller in known["heard"] for caller in site.callers_of_now))
    results = {result: proxy.metric("outrigger_config_reloads_total", result=result) for result in ("applied", "refused")}
    print(f"      reloads: {results}; resident " + " ".join(harness.mib(step.resident) for step in footprints + [proxy.footprint()]))
    code, seconds = proxy.terminate(harness.SOON)
    verdict.holds(f"exit code {code} after {seconds:.1f} s", code == 0)


def believe(proxy, site, *cas):
    generation = proxy.status()["generation"]
    site.believe(*cas)
    harness.eventually("the CAs are believed", lambda: proxy.status()["generation"] > generation)


def judge(arguments, verdict, site, counts, live):
    for kind, count in zip(("HTTP/1.1", "HTTP/2"), counts):
        verdict.holds(f"{kind}: {count.answered} requests, {count.failed} failed, {count.connects} connections", count.failed == 0)
        for failure in count.told:
            print("      " + failure)
    most = (arguments.connections + arguments.multiplexed) * (1 + arguments.cas)
    connects = sum(count.connects for count in counts)
    verdict.holds(f"only a CA that goes closes connections: {connects} were made, at most {most}", connects <= most)
    verdict.holds(f"{len(live)} certificates live: {spread(live)}", max(live) < LIVE_WITHIN)


if __name__ == "__main__":
    main()
