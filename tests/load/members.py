"""Messages that proxies share, while some of these come, go and are killed: see README.md."""

import argparse
import time

import application
import harness
import messages
import publishers
import servers

# What one that has come delivers before it goes.
SHARE = 200
# How long each caller waits between two messages, so that they keep up, in seconds.
PACE = 0.05


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    harness.add_arguments(parser)
    parser.add_argument("--broker", choices=["rabbitmq", "nats", "kafka"], default="kafka")
    parser.add_argument("--times", type=int, default=4, help="how often one comes; every second one is killed")
    parser.add_argument("--callers", type=int, default=8)
    arguments = parser.parse_args()
    verdict = harness.Verdict()
    with servers.of(arguments.broker) as server:
        config = messages.config_for(server)
        with application.Application(server.directory) as app:
            with harness.Proxy(arguments.binary, config.replace("{app}", str(app.port))) as proxy:
                run(arguments, verdict, server, app, proxy)
    verdict.end()


def run(arguments, verdict, server, app, proxy):
    config = messages.config_for(server)
    crowd = publishers.Publishers(proxy.port, "/publish", "order", arguments.callers, every=PACE)
    kills = []
    for number in range(arguments.times):
        is_killed = number % 2 == 1
        with harness.Proxy(arguments.binary, config.replace("{app}", str(app.port))) as other:
            begun = time.monotonic()
            harness.eventually("it has its share", lambda: messages.subscription(other)["acked"] >= SHARE, 60)
            took = time.monotonic() - begun
            if is_killed:
                kills.append(time.time())
                other.kill()
            else:
                code, seconds = other.terminate(60)
                verdict.holds(f"exit code {code} after {seconds:.1f} s", code == 0)
        acked = lambda: messages.subscription(proxy)["acked"]
        before, begun = acked(), time.monotonic()
        harness.eventually("the first goes on", lambda: acked() >= before + SHARE, 60)
        print(f"      one came, had its share after {took:.1f} s and was {'killed' if is_killed else 'ended'}; the first "
              f"went on after {time.monotonic() - begun:.1f} s", flush=True)
    published = crowd.stop()
    missing = messages.wait_for(app, published.confirmed)
    arrivals = app.arrivals()
    verdict.holds(f"of {len(published.confirmed)} messages that are confirmed, {len(missing)} did not arrive", not missing)
    forgotten = messages.forgetting(server, {"broker": [], "proxy": kills})
    messages.judge_doubles(verdict, arrivals, published, forgotten)


if __name__ == "__main__":
    main()
