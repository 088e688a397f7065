"""Reload under load: see README.md."""

import argparse
import time

import callers
import generators
import harness
import streams
import volume

CONFIG = """
[upstreams.app]
endpoints = ["127.0.0.1:{upstream}"]

[routes.app]
upstream = "app"
idle_timeout = "none"
response = {{ set_headers = {{ x-version = "{version}" }} }}
"""
LIVE_WITHIN = 1.0


def broken(number, text):
    """A config with one mistake, and its line there."""
    kinds = [
        ("upstream = \"app\"", "upstraem = \"app\""),
        ("idle_timeout = \"none\"", "idle_timeout = \"soon\""),
        ("[routes.app]", "[routes.app"),
        ("upstream = \"app\"", "upstream = \"ap\""),
        ("endpoints = [", "endpoints = {"),
    ]
    right, wrong = kinds[number % len(kinds)]
    text = text.replace(right, wrong)
    return text, text[:text.index(wrong)].count("\n") + 1


class InPlace:
    """Writes over the file, or renames another over it, in turn."""

    def __init__(self):
        self.count = 0

    def write(self, directory, text):
        self.count += 1
        file = directory / "outrigger.toml"
        if self.count % 2:
            file.write_text(text)
        else:
            new = directory / ".outrigger.toml.new"
            new.write_text(text)
            new.rename(file)


class ConfigMap:
    """Does as kubelet with a ConfigMap volume."""

    def __init__(self):
        self.volume = None

    def write(self, directory, text):
        self.volume = self.volume or volume.Volume(directory)
        self.volume.write({"outrigger.toml": text})


class Watcher:
    """Sees what serves: one connection that asks again and again."""

    def __init__(self, proxy):
        self.proxy = proxy
        self.client = callers.Client(proxy.port)
        self.slowest = 0.0

    def version(self):
        start = time.monotonic()
        version = int(self.client.ask("/").fields["x-version"])
        self.slowest = max(self.slowest, time.monotonic() - start)
        return version

    def until_live(self, version):
        """Seconds until a request sees this version."""
        start = time.monotonic()
        harness.eventually(f"version {version} serves", lambda: self.version() == version)
        return time.monotonic() - start

    def until_reported(self, line, before):
        """Seconds until the admin API names the file and the line of a mistake; `before` is the report of the last."""
        start = time.monotonic()

        def error():
            error = self.proxy.status()["last_error"]
            return error if error and error["at"] != before else None

        error = harness.eventually("the broken file is reported", error)
        if f"outrigger.toml:{line}:" not in error["summary"]:
            raise ValueError(f"line {line} is wrong, but the report says: {error['summary']}")
        return time.monotonic() - start


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    harness.add_arguments(parser)
    parser.add_argument("--reloads", type=int, default=300, help="valid configs; half as many broken ones come between them")
    parser.add_argument("--configmap", action="store_true", help="through a simulated ConfigMap volume")
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--alone", action="store_true", help="without wrk and h2load beside")
    arguments = parser.parse_args()
    verdict = harness.Verdict()
    writer = ConfigMap() if arguments.configmap else InPlace()
    with harness.Upstream() as upstream:
        config = lambda version: CONFIG.format(upstream=upstream.port, version=version)
        with harness.Proxy(arguments.binary, config(0), writer.write) as proxy:
            run(arguments, verdict, proxy, config, writer)
    verdict.end()


def run(arguments, verdict, proxy, config, writer):
    crowd = callers.Crowd(proxy.port, arguments.connections)
    beside = [] if arguments.alone else generators.found(proxy.port, arguments.connections)
    held = [kind(proxy.port) for kind in (streams.WebSocket, streams.Events, streams.Grpc)]
    watcher = Watcher(proxy)
    watcher.until_live(0)
    time.sleep(1)
    footprints, live, reported, mixed = [proxy.footprint()], [], [], 0
    for version in range(1, arguments.reloads + 1):
        writer.write(proxy.config, proxy.preamble + config(version))
        live.append(watcher.until_live(version))
        if version % 2 == 0:
            error = proxy.status()["last_error"]
            text, line = broken(version // 2, proxy.preamble + config(version + 1))
            writer.write(proxy.config, text)
            reported.append(watcher.until_reported(line, error and error["at"]))
            mixed += watcher.version() != version
        if version % 100 == 0:
            print(f"      {version} reloads", flush=True)
            footprints.append(proxy.footprint())
    counts = crowd.stop()
    for generator in beside:
        generator.stop()
        verdict.holds(f"{generator.name}: {generator.total} requests, {generator.failed} failed", generator.failed == 0)
    verdict.holds(f"{arguments.connections} callers: {counts.answered} requests, {counts.failed} failed, "
                  f"{counts.connects - arguments.connections} connections closed",
                  counts.failed == 0 and counts.connects == arguments.connections)
    for failure in counts.told:
        print("      " + failure)
    for stream in held:
        well = stream.finish()
        verdict.holds(f"{type(stream).__name__}: {stream.passed} messages, {stream.failure or 'open to the end'}", well)
    verdict.holds(f"{len(live)} valid configs live: {spread(live)}", max(live) < LIVE_WITHIN)
    print(f"      slowest answer {watcher.slowest * 1000:.0f} ms")
    verdict.holds(f"{len(reported)} broken ones reported with file and line: {spread(reported)}", True)
    verdict.holds(f"{mixed} broken ones served", mixed == 0)
    applied, refused = (proxy.metric("outrigger_config_reloads_total", result=result) for result in ("applied", "refused"))
    verdict.holds(f"the proxy counts {applied:.0f} applied and {refused:.0f} refused",
                  (applied, refused) == (len(live), len(reported)))
    for step in footprints + [proxy.footprint()]:
        print(f"      resident {harness.mib(step.resident)}, {step.descriptors} descriptors")
    code, seconds = proxy.terminate(harness.SOON)
    verdict.holds(f"exit code {code} after {seconds:.1f} s", code == 0)


def spread(seconds):
    """Median, 99th percentile and worst."""
    ordered = sorted(seconds)
    at = lambda share: ordered[min(len(ordered) - 1, int(share * len(ordered)))] * 1000
    return f"median {at(0.5):.0f} ms, p99 {at(0.99):.0f} ms, worst {at(1):.0f} ms"


if __name__ == "__main__":
    main()
