"""What brokers, applications and proxies do wrong, one after the other: see README.md."""

import argparse
import collections
import json
import time

import application
import callers
import harness
import publishers
import servers

BASE = """
[upstreams.app]
endpoints = ["127.0.0.1:{app}"]

[routes.app]
match = {{ path = "/events/{{*rest}}" }}
upstream = "app"

[shutdown]
drain_timeout = "20s"
{blocks}
"""
PUBLISH = """
[routes.{name}]
match = {{ path = "/publish/{name}", methods = ["POST"] }}
publish = {{ broker = "{broker}", {to} }}
"""
SUBSCRIBE = """
[subscriptions.{name}]
broker = "events"
{source}
route = "app"
path = "/events/{name}"
"""
# What the steps of the ladder wait, in seconds.
LADDER = [2, 5, 10]
# By how much of that a step may be early or late.
TOLERANCE = 0.1
# How long each caller waits between two messages, where the application is to keep up, in seconds.
PACE = 0.02
# With fewer lives than this a message would be dead when it was handed back so often as the drills have it.
LIVES = 5


class Drill:
    """A broker, an application and a proxy between them, of their own for each drill."""

    def __init__(self, arguments, verdict, server):
        self.arguments, self.verdict, self.server = arguments, verdict, server
        self.work = server.keep("work", retry=[f"{seconds}s" for seconds in LADDER], lives=LIVES)

    def route(self, name, to=None, broker="events"):
        return PUBLISH.format(name=name, to=to or self.server.to(name), broker=broker)

    def subscribe(self, name):
        return SUBSCRIBE.format(name=name, source=self.server.source(name))

    def proxy(self, app, *blocks):
        """One that publishes to `work` and delivers it, and whatever else `blocks` say."""
        own = [self.server.block("events"), self.work, self.route("work"), self.subscribe("work")]
        proxy = harness.Proxy(self.arguments.binary, BASE.format(app=app.port, blocks="\n".join(own + list(blocks))))
        until_delivering(proxy)
        return proxy

    def application(self, delay=0.0):
        (self.server.directory / "arrivals").unlink(missing_ok=True)
        return application.Application(self.server.directory, delay)

    def holds(self, what, true):
        self.verdict.holds(f"{self.server.kind}: {what}", true)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    harness.add_arguments(parser)
    parser.add_argument("--broker", choices=["rabbitmq", "nats", "kafka"], action="append", help="default: RabbitMQ and NATS, one after the other")
    parser.add_argument("--only", choices=DRILLS, action="append", help="default: all")
    parser.add_argument("--down", type=float, default=60, help="seconds for which the application is not there")
    parser.add_argument("--times", type=int, default=10, help="how often something is rolled out or drained")
    arguments = parser.parse_args()
    verdict = harness.Verdict()
    for broker in arguments.broker or ["rabbitmq", "nats"]:
        for name in arguments.only or DRILLS:
            print(f"----- {broker}: {name}", flush=True)
            with servers.of(broker) as server:
                DRILLS[name](Drill(arguments, verdict, server))
    verdict.end()


def poison(drill):
    """A message that always fails climbs the ladder in its time, and is replayed from the dead letters."""
    with drill.application() as app, drill.proxy(app) as proxy:
        # The first has what attaching costs in it.
        publish(proxy, "work", "first")
        status, _ = publish(proxy, "work", "poison", b"answer 503")
        drill.holds(f"it is published: {status}", status == 202)
        for number in range(50):
            publish(proxy, "work", f"other-{number}")
        attempts = len(LADDER) + 1
        arrived = lambda: [arrival for arrival in app.arrivals() if arrival.id == "poison"]
        limit = 2 * sum(LADDER) + harness.SOON
        harness.eventually("it was tried as often as there are steps", lambda: len(arrived()) == attempts, limit)
        tries = arrived()
        drill.holds(f"its attempts are counted: {[one.attempt for one in tries]}",
                    [one.attempt for one in tries] == list(range(1, attempts + 1)))
        waits = [later.at - earlier.at for earlier, later in zip(tries, tries[1:])]
        drill.holds(f"it waited {', '.join(f'{wait:.2f} s' for wait in waits)} on steps of {LADDER} s",
                    all(abs(wait - step) <= TOLERANCE * step for wait, step in zip(waits, LADDER)))
        letters = harness.eventually("it is a dead letter", lambda: dead_letters(proxy, "work"))
        drill.holds(f"it is the one dead letter: {letters}", [letter["message_id"] for letter in letters] == ["poison"]
                    and letters[0]["attempts"] == attempts and letters[0]["reason"] == "status_503")
        others = [arrival for arrival in app.arrivals() if arrival.id.startswith("other")]
        drill.holds(f"{len(others)} of 50 others arrived meanwhile", len(others) == 50)
        status, answer = proxy.admin("POST", "/subscriptions/work/dead-letters/replay?limit=10")
        drill.holds(f"it is replayed: {status} {json.loads(answer)}", (status, json.loads(answer)) == (200, {"replayed": 1}))
        harness.eventually("it comes again", lambda: len(arrived()) > attempts)
        again = arrived()[attempts]
        drill.holds(f"it comes with attempt {again.attempt}", again.attempt == 1)
        harness.eventually("it climbs anew", lambda: len(arrived()) == attempts + 2, LADDER[0] + 10)


def reasons(drill):
    """A full queue, one that is not there, one that is otherwise, and a wrong password each have a reason of their own."""
    server = drill.server
    if server.kind != "kafka":
        return judge_reasons(drill, server.url.replace("guest@", "hush@"))
    # Nobody logs in there.
    with servers.of("kafka-cluster", login=("guest", "guest")) as locked:
        judge_reasons(drill, locked.url.replace("guest@", "hush@"))


def judge_reasons(drill, wrong):
    """`wrong` is the URL of a broker with a password that is not its user's."""
    server = drill.server
    # Topics of Kafka are never full.
    can_be_full = server.kind != "kafka"
    more = [server.keep("other"), drill.route("other"), drill.subscribe("other"),
            drill.route("nowhere", to=server.nowhere),
            server.block("locked", wrong), drill.route("locked", broker="locked")]
    if can_be_full:
        more += [server.keep("full", most=5), drill.route("full")]
    with drill.application() as app:
        with drill.proxy(app, server.keep("other", variant=True)):
            pass
        with drill.proxy(app, *more) as proxy:
            crowd = publishers.Publishers(proxy.port, "/publish/work", "good", 4, every=PACE)
            if can_be_full:
                fill(drill, proxy)
            expect(drill, "what leads nowhere", publish(proxy, "nowhere", "lost"), (502, "message_unroutable"))
            begun = time.monotonic()
            expect(drill, "a wrong password", publish(proxy, "locked", "locked"), (503, "broker_unavailable"))
            drill.holds(f"that is said after {(time.monotonic() - begun) * 1000:.0f} ms", time.monotonic() - begun < 1)
            brokers = lambda: {one["name"]: one for one in json.loads(proxy.admin("GET", "/brokers")[1])}
            locked = harness.eventually("the reason of the broker is told", lambda: brokers()["locked"]["error"])
            drill.holds(f"the reason of the broker is told: {locked}", not brokers()["locked"]["connected"])
            drill.holds("the password is nowhere in the log", "hush" not in (proxy.directory / "log").read_text())
            mismatches = brokers()["events"]["mismatches"]
            drill.holds(f"what is otherwise is told: {mismatches}",
                        {one["what"] for one in mismatches} == {server.declared.format("other")})
            expect(drill, "what is otherwise still takes messages", publish(proxy, "other", "otherwise"), (202, None))
            harness.eventually("it is delivered", lambda: any(one.id == "otherwise" for one in app.arrivals()))
            time.sleep(2)
            went_on(drill, proxy, app, crowd)


def fill(drill, proxy):
    full = [publish(proxy, "full", f"full-{number}") for number in range(60)]
    expect(drill, "a full queue", full[-1], (503, "message_rejected"))
    taken = sum(status == 202 for status, _ in full)
    drill.holds(f"it took {taken} messages of 60, with room for 5", 5 <= taken < 60)


def alarm(drill):
    """While the broker is short of memory it says so at once, and what it has is still delivered."""
    if drill.server.kind != "rabbitmq":
        return print("      there is nothing of the kind")
    ctl = lambda mark: drill.server.run("ctl", "set_vm_memory_high_watermark", mark)
    with drill.application(delay=0.05) as app, drill.proxy(app) as proxy:
        crowd = publishers.Publishers(proxy.port, "/publish/work", "before", 16, 3000)
        crowd.wait()
        ctl("0")
        # The broker says so to whoever publishes, and may take what was on its way.
        first = [publish(proxy, "work", f"alarmed-{number}") for number in range(3)]
        print(f"      the first ones are told {first}")
        begun, told = time.monotonic(), collections.Counter()
        for number in range(100):
            told[publish(proxy, "work", f"blocked-{number}")] += 1
        seconds = time.monotonic() - begun
        drill.holds(f"100 callers are told {dict(told)} within {seconds:.2f} s",
                    set(told) == {(503, "broker_blocked")} and seconds < 5)
        expect_route(drill, proxy)
        state = json.loads(proxy.admin("GET", "/brokers")[1])[0]
        drill.holds(f"the state says so: {state['blocked']}", state["connected"] and state["blocked"])
        had = app.count()
        harness.eventually("what it has is delivered", lambda: app.count() >= had + 100)
        drill.holds("what it has is delivered meanwhile", True)
        ctl("0.4")
        answer = harness.eventually("it takes messages again", lambda: publish(proxy, "work", "after")[0] == 202)
        drill.holds("it takes messages again", answer)
        harness.eventually("all arrived", lambda: not missing(app, [f"before-{number}" for number in range(3000)]), 60)
        drill.holds("all that was confirmed arrived", True)


def absence(drill):
    """An application that is not there for a while costs no message an attempt."""
    with drill.application() as app, drill.proxy(app) as proxy:
        publish(proxy, "work", "first")
        harness.eventually("the first arrives", lambda: app.count() == 1)
        app.kill()
        for number in range(200):
            publish(proxy, "work", f"late-{number}")
        time.sleep(drill.arguments.down)
        state = subscription(proxy, "work")
        drill.holds(f"the state says why: {state['state']}, {state.get('why')}",
                    state["state"] == "waiting" and "connect_failed" in state["why"])
        begun = time.monotonic()
        app.start()
        harness.eventually("all arrive", lambda: not missing(app, [f"late-{number}" for number in range(200)]), 60)
        print(f"      all arrived {time.monotonic() - begun:.1f} s after the application was there again")
        untouched(drill, proxy, app)


def rollout(drill):
    """The application is ended in order and started anew, again and again, under traffic."""
    with drill.application(delay=0.005) as app, drill.proxy(app) as proxy:
        crowd = publishers.Publishers(proxy.port, "/publish/work", "rolled", 4, every=PACE)
        for number in range(drill.arguments.times):
            had = app.count()
            harness.eventually("messages arrive", lambda: app.count() > had + 100, 60)
            app.end()
            app.start()
        went_on(drill, proxy, app, crowd)
        untouched(drill, proxy, app)


def drain(drill):
    """The proxy is ended in order and started anew, again and again, under traffic, with messages in flight."""
    with drill.application(delay=0.05) as app, drill.proxy(app) as proxy:
        crowd = publishers.Publishers(proxy.port, "/publish/work", "drained", 4, every=PACE)
        codes, took, starts = [], [], []
        for number in range(drill.arguments.times):
            had = app.count()
            harness.eventually("messages arrive", lambda: app.count() > had + 50, 60)
            code, seconds = proxy.terminate(60)
            codes.append(code)
            took.append(seconds)
            began = time.time()
            proxy.start()
            until_delivering(proxy)
            starts.append((began, time.time()))
        drill.holds(f"exit codes {set(codes)}, each after {min(took):.1f} to {max(took):.1f} s",
                    set(codes) == {0} and max(took) < 20)
        went_on(drill, proxy, app, crowd, starts)
        untouched(drill, proxy, app)
        doubles = [name for name, count in collections.Counter(one.id for one in app.arrivals()).items() if count > 1]
        drill.holds(f"{len(doubles)} came more than once {doubles[:5]}", not doubles)


def handed_back(drill):
    """The proxy is ended in order again and again while the application is not there: the same messages go back each time,
    more often than they have lives."""
    names = [f"waiting-{number}" for number in range(40)]
    with drill.application() as app, drill.proxy(app) as proxy:
        app.kill()
        for name in names:
            publish(proxy, "work", name)
        for _ in range(drill.arguments.times):
            harness.eventually("it waits with a message", lambda: subscription(proxy, "work")["state"] == "waiting", 60)
            proxy.terminate(60)
            proxy.start()
        app.start()
        harness.eventually("all arrive", lambda: not missing(app, names), 60)
        drill.holds(f"{len(names)} messages arrived that were handed back {drill.arguments.times} times", True)
        untouched(drill, proxy, app)


def went_on(drill, proxy, app, crowd, starts=()):
    """What was published meanwhile was confirmed at once, and arrives. While the proxy starts, it may have no connection to
    the broker yet."""
    published = crowd.stop()
    missed = lambda: missing(app, published.confirmed)
    try:
        harness.eventually("all arrived", lambda: not missed(), 90)
    except TimeoutError:
        pass
    early = [(at, reason) for at, reason in published.refusals
             if reason == "broker_unavailable" and any(began <= at <= ended for began, ended in starts)]
    refused = [refusal for refusal in published.refusals if refusal not in early]
    if early:
        print(f"      {len(early)} were told at a start that there is no connection yet")
    drill.holds(f"{len(published.confirmed)} good messages were confirmed meanwhile, {len(missed())} of them did not "
                f"arrive; {len(refused)} were refused {publishers.reasons(refused)}, {published.unanswered} not answered",
                published.confirmed and not missed() and not refused and not published.unanswered)


def untouched(drill, proxy, app):
    """No attempt was counted, and nothing is a dead letter."""
    attempts = collections.Counter(arrival.attempt for arrival in app.arrivals())
    letters = dead_letters(proxy, "work")
    again = sum(arrival.redelivered for arrival in app.arrivals())
    drill.holds(f"attempts as they arrived: {dict(attempts)}; {again} said that they come again", set(attempts) == {1})
    drill.holds(f"dead letters: {letters}", not letters)


def expect(drill, what, found, wanted):
    drill.holds(f"{what}: {found[0]} {found[1]}", found == wanted)


def expect_route(drill, proxy):
    answer = callers.Client(proxy.port).ask("/events/plain", b"plain")
    drill.holds(f"a route without a broker answers {answer.status}", answer.status == 200)


def publish(proxy, name, message, body=b"message"):
    return publishers.once(proxy.port, f"/publish/{name}", message, body)


def missing(app, names):
    return set(names) - {arrival.id for arrival in app.arrivals()}


def subscription(proxy, name):
    return json.loads(proxy.admin("GET", f"/subscriptions/{name}")[1])


def dead_letters(proxy, name):
    return json.loads(proxy.admin("GET", f"/subscriptions/{name}/dead-letters")[1])


def until_delivering(proxy):
    harness.eventually("messages are delivered", lambda: subscription(proxy, "work")["state"] == "delivering", 60)


DRILLS = {drill.__name__: drill for drill in (poison, reasons, alarm, absence, rollout, drain, handed_back)}

if __name__ == "__main__":
    main()
