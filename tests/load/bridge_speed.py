"""Messages a second, and CPU time a message, beside a bare client of the same library: see README.md."""

import argparse
import json
import os
import statistics
import subprocess
import time

import harness
import servers

BARE = harness.ROOT / "tests/load/bare/Cargo.toml"
CONFIG = """
[upstreams.app]
endpoints = ["127.0.0.1:{app}"]

[routes.app]
match = {{ path = "/events/{{*rest}}" }}
upstream = "app"

[routes.publish]
match = {{ path = "/publish", methods = ["POST"] }}
publish = {{ broker = "events", {to} }}

[subscriptions.speed]
broker = "events"
{source}
route = "app"
path = "/events/speed"
prefetch = 16

{block}
{own}
{bare}
"""
BROKERS = ["rabbitmq", "nats", "kafka", "kafka-cluster"]
# A broker of Kafka that keeps what it has elsewhere is slower than what is measured.
FAST = {"kafka": {"in_memory": True}}
PUBLISHING = "a loop that publishes"
BY_HTTP = "a bare server that publishes"
DELIVERING = "a loop that consumes, posts and acknowledges"
# Of the messages a second of the other.
WANTED = 0.7
# By which part the memory may grow from the middle to the end.
GROWTH = 0.1
# How many messages go between two looks at the memory.
BATCH = 5000


class Spent:
    def __init__(self, count, seconds, cpu):
        self.rate, self.cpu = count / seconds, cpu / count * 1e6

    def __str__(self):
        return f"{self.rate:.0f}/s, {self.cpu:.0f} us"


class Bare:
    """The program beside which all is measured."""

    def __init__(self, program):
        self.program = program

    def run(self, count, *arguments):
        """Runs it to its end."""
        process = subprocess.Popen([self.program, *map(str, arguments)], stdout=subprocess.PIPE, text=True)
        said = process.stdout.read()
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise RuntimeError(f"{arguments} ended with {process.returncode}")
        return Spent(count, float(said), used.ru_utime + used.ru_stime)

    def serve(self, port, *how):
        process = subprocess.Popen([self.program, *(how or ["serve"]), str(port)])
        harness.eventually("it accepts", lambda: harness.accepts(port))
        return process


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    harness.add_arguments(parser)
    parser.add_argument("--bare", help="the program of tests/load/bare (default: it is built)")
    parser.add_argument("--broker", choices=BROKERS, action="append", help="default: all, one after the other")
    parser.add_argument("--count", type=int, default=20_000, help="messages in each round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--minutes", type=float, default=3, help="how long memory is watched")
    arguments = parser.parse_args()
    bare = Bare(arguments.bare or build())
    verdict = harness.Verdict()
    for broker in arguments.broker or BROKERS:
        port = harness.free_port()
        app = bare.serve(port)
        try:
            with servers.of(broker, **FAST.get(broker, {})) as server:
                config = CONFIG.format(app=port, to=server.to("speed"), source=server.source("speed"),
                                       block=server.block("events"), own=server.keep("speed"), bare=server.keep("bare"))
                with harness.Proxy(arguments.binary, config) as proxy:
                    harness.eventually("messages are delivered", lambda: state(proxy)["state"] == "delivering", 60)
                    compare(arguments, verdict, server, proxy, bare, port)
                    watch(arguments, verdict, server, proxy, bare)
        finally:
            app.kill()
            app.wait()
    verdict.end()


def build():
    target = harness.ROOT / "target/bare"
    subprocess.run(["cargo", "build", "--release", "--locked", "--manifest-path", BARE, "--target-dir", target], check=True)
    return target / "release/outrigger-bare"


def compare(arguments, verdict, server, proxy, bare, port):
    count = arguments.count
    name = "bare.new" if server.kind == "nats" else "bare"
    # What is compared, and what the proxy spends beside what the other does.
    compared = {PUBLISHING: [], BY_HTTP: [], DELIVERING: []}
    post = lambda port: bare.run(count, "post", port, "/publish", count)
    for number in range(arguments.rounds):
        pause(proxy)
        ours, loop, by_http = in_turn(number, [
            lambda: spent_by(proxy.process.pid, count, lambda: post(proxy.port)),
            lambda: bare.run(count, "publish", server.url, name, count),
            lambda: publish_by_http(bare, server, name, count, post)])
        note(number, compared, PUBLISHING, ours, loop)
        note(number, compared, BY_HTTP, ours, by_http)
        ours, loop = in_turn(number, [
            lambda: spent_by(proxy.process.pid, count, lambda: deliver(proxy, count)),
            lambda: bare.run(count, "consume", server.url, "bare", count, port)])
        note(number, compared, DELIVERING, ours, loop)
    for what, pairs in compared.items():
        rates = [ours.rate / theirs.rate for ours, theirs in pairs]
        cost = statistics.median(ours.cpu / theirs.cpu for ours, theirs in pairs)
        verdict.holds(f"{server.kind}: {statistics.median(rates):.2f} ({min(rates):.2f} to {max(rates):.2f}) of the messages "
                      f"a second of {what}, for {cost:.2f} of its CPU time", statistics.median(rates) >= WANTED)


def in_turn(number, works):
    """What each gives. Who begins changes from round to round."""
    order = [(number + place) % len(works) for place in range(len(works))]
    given = {place: works[place]() for place in order}
    return [given[place] for place in range(len(works))]


def publish_by_http(bare, server, name, count, post):
    port = harness.free_port()
    process = bare.serve(port, "bridge", server.url, name)
    try:
        return spent_by(process.pid, count, lambda: post(port))
    finally:
        process.kill()
        process.wait()


def note(number, compared, what, ours, theirs):
    compared[what].append((ours, theirs))
    print(f"      round {number + 1}: {ours} a message; {what} {theirs}", flush=True)


def pause(proxy):
    proxy.admin("POST", "/subscriptions/speed/pause")
    harness.eventually("it pauses", lambda: state(proxy)["state"] == "paused" and state(proxy)["in_flight"] == 0)


def deliver(proxy, count):
    before = state(proxy)["acked"]
    proxy.admin("POST", "/subscriptions/speed/resume")
    # Looking often would be work for the proxy.
    while state(proxy)["acked"] < before + count:
        time.sleep(0.02)


def spent_by(pid, count, work):
    """What a process spends while this is done."""
    cpu, begun = processor_time(pid), time.monotonic()
    work()
    return Spent(count, time.monotonic() - begun, processor_time(pid) - cpu)


def processor_time(pid):
    """Seconds on a core, of all its threads."""
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def watch(arguments, verdict, server, proxy, bare):
    """Memory while messages go through, at full speed."""
    if not arguments.minutes:
        return
    proxy.admin("POST", "/subscriptions/speed/resume")
    begun, looks, count, minute = time.monotonic(), [], 0, 0
    while time.monotonic() < begun + arguments.minutes * 60:
        bare.run(BATCH, "post", proxy.port, "/publish", BATCH)
        count += BATCH
        looks.append(proxy.footprint().resident)
        if time.monotonic() >= begun + minute * 60:
            print(f"      minute {minute}: resident {harness.mib(looks[-1])}, {count} messages, "
                  f"{state(proxy)['lag']} of them not delivered", flush=True)
            minute += 1
    quarter = max(1, len(looks) // 4)
    start, middle = max(looks[:quarter]), max(looks[quarter:-quarter] or looks)
    end = max(looks[-quarter:])
    verdict.holds(f"{server.kind}: resident {harness.mib(start)} at the start, {harness.mib(middle)} in the middle, "
                  f"{harness.mib(end)} at the end of {time.monotonic() - begun:.0f} s with {count} messages",
                  end <= (1 + GROWTH) * middle)


def state(proxy):
    return json.loads(proxy.admin("GET", "/subscriptions/speed")[1])


if __name__ == "__main__":
    main()
