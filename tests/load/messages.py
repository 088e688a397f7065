"""Messages through a broker and a proxy that end again and again: see README.md."""

import argparse
import collections
import json
import time

import application
import harness
import publishers
import servers

CONFIG = """
[upstreams.app]
endpoints = ["127.0.0.1:{app}"]

[routes.app]
match = {{ path = "/events/{{*rest}}" }}
upstream = "app"

[routes.publish]
match = {{ path = "/publish", methods = ["POST"] }}
publish = {{ broker = "events", {to} }}

[subscriptions.orders]
broker = "events"
{source}
route = "app"
path = "/events/orders"

{block}
{keep}
"""
NAME = "orders"
# At which part of the messages what ends.
ENDS = [(1 / 6, "broker", "stop"), (2 / 6, "proxy", "kill"), (3 / 6, "broker", "kill"), (4 / 6, "proxy", "kill"),
        (5 / 6, "broker", "stop")]
# How long a broker that ends may still give out.
FORGOTTEN = 1
# Two that are under way at once may overtake each other: then the one that says so comes first.
TOGETHER = 0.1
# How long nothing new may arrive before what is missing counts as lost.
SILENCE = 90


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    harness.add_arguments(parser)
    parser.add_argument("--broker", choices=["rabbitmq", "nats", "kafka"], default="rabbitmq")
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--callers", type=int, default=16)
    parser.add_argument("--fails", type=int, default=0, help="one of so many is answered with 503 at its first attempt")
    arguments = parser.parse_args()
    verdict = harness.Verdict()
    with servers.of(arguments.broker) as server:
        config = config_for(server)
        with application.Application(server.directory) as app:
            with harness.Proxy(arguments.binary, config.replace("{app}", str(app.port))) as proxy:
                run(arguments, verdict, server, app, proxy)
    verdict.end()


def config_for(server):
    """The config of a proxy, but for the port of its application."""
    return CONFIG.format(app="{app}", to=server.to(NAME), source=server.source(NAME), block=server.block("events"),
                         keep=server.keep(NAME, retry=["1s", "5s"]))


def run(arguments, verdict, server, app, proxy):
    begun = time.monotonic()
    ends = {"broker": [], "proxy": []}
    crowd = publishers.Publishers(proxy.port, "/publish", "order", arguments.callers, arguments.count,
                                  fails=arguments.fails)
    for part, what, how in ENDS:
        wanted = part * arguments.count
        while crowd.confirmed() < wanted and not crowd.are_done():
            time.sleep(0.01)
        confirmed = crowd.confirmed()
        which = server if what == "broker" else proxy
        ends[what].append(time.time())
        getattr(which, how)()
        which.start()
        print(f"      {time.monotonic() - begun:.0f} s: {confirmed} are confirmed, {app.count()} have arrived; "
              f"the {what} was ended ({how}) and is there again", flush=True)
    published = crowd.wait()
    publishing = time.monotonic() - begun
    missing = wait_for(app, published.confirmed)
    delivering = time.monotonic() - begun
    arrivals = app.arrivals()
    print(f"      published within {publishing:.0f} s, all arrived within {delivering:.0f} s; "
          f"not confirmed at first: {publishers.reasons(published.refusals)}, {published.unanswered} without an answer")
    verdict.holds(f"{len(published.confirmed)} of {arguments.count} messages are confirmed",
                  len(published.confirmed) == arguments.count)
    verdict.holds(f"of those, {len(missing)} did not arrive", not missing)
    judge_doubles(verdict, arrivals, published, forgetting(server, ends))
    harness.eventually("nothing is in flight", lambda: subscription(proxy)["in_flight"] == 0, 60)
    dead = json.loads(proxy.admin("GET", f"/subscriptions/{NAME}/dead-letters")[1])
    verdict.holds(f"no message is dead-lettered {dead}", not dead)
    report = {key: value for key, value in subscription(proxy).items() if key in ("acked", "retried", "unsettled")}
    print(f"      since the proxy's last start: {report}; resident {harness.mib(proxy.footprint().resident)}")
    code, seconds = proxy.terminate(60)
    verdict.holds(f"exit code {code} after {seconds:.1f} s", code == 0)


def wait_for(app, confirmed):
    """What has not come through, once nothing comes any more."""
    missing, count, heard = set(confirmed), -1, time.monotonic()
    while time.monotonic() < heard + SILENCE:
        now = app.count()
        if now != count:
            count, heard = now, time.monotonic()
            missing = set(confirmed) - {arrival.id for arrival in app.arrivals() if arrival.status == 200}
            if not missing:
                break
        time.sleep(1)
    return missing


def forgetting(server, ends):
    """When was forgotten what had been given out, and when while a copy was put on the ladder. Where RabbitMQ forgets, the
    proxy knows, for as long as it lives. What Kafka does not know, the proxy has it note."""
    if server.kind == "kafka":
        return [], []
    if server.kind == "rabbitmq":
        return ends["proxy"], ends["proxy"]
    return ends["broker"], ends["broker"] + ends["proxy"]


def judge_doubles(verdict, arrivals, published, forgotten_at):
    """What comes through more than once says so, unless it was published more than once, or it was forgotten meanwhile that
    it had been given out."""
    by_id, failed = collections.defaultdict(list), set()
    for arrival in arrivals:
        if arrival.status == 200:
            by_id[arrival.id].append(arrival)
        else:
            failed.add(arrival.id)
    unknown = [name for name in by_id if name not in published.confirmed]
    doubled = {name: all_of for name, all_of in by_id.items() if len(all_of) > 1}
    repeated = {name for name in doubled if published.confirmed.get(name, 0) > 1}
    said = {name for name, all_of in doubled.items()
            if any(later.redelivered or later.attempt > all_of[0].attempt for later in all_of[1:])
            or all_of[0].redelivered and all_of[-1].at < all_of[0].at + TOGETHER}

    def ended_meanwhile(name):
        which = forgotten_at[name in failed]
        return any(doubled[name][0].at < end + FORGOTTEN and end < doubled[name][-1].at for end in which)

    unsaid = set(doubled) - repeated - said
    forgotten = {name for name in unsaid if ended_meanwhile(name)}
    silent = [doubled[name] for name in unsaid - forgotten]
    most = max(map(len, by_id.values()), default=0)
    print(f"      {len(arrivals)} arrivals, {len(failed)} messages failed at first; {len(doubled)} ids came through more than "
          f"once (at most {most} times): {len(repeated)} of them were published more than once, {len(said)} said that they come "
          f"again, {len(forgotten)} fell together with an end")
    attempts = collections.Counter(arrival.attempt for arrival in arrivals)
    wanted = {1, 2} if failed else {1}
    verdict.holds(f"attempts as they arrived: {dict(attempts)}", set(attempts) == wanted)
    verdict.holds(f"{len(silent)} messages were doubled without a word {silent[:3]}", not silent)
    verdict.holds(f"{len(unknown)} arrived that nobody published {unknown[:5]}", not unknown)


def subscription(proxy):
    return json.loads(proxy.admin("GET", f"/subscriptions/{NAME}")[1])


if __name__ == "__main__":
    main()
