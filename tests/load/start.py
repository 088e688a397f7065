"""How long a start and a reload take: see README.md."""

import argparse
import multiprocessing
import pathlib
import statistics
import subprocess
import tempfile
import time

import callers
import harness

UPSTREAM = """
[upstreams.app]
endpoints = ["127.0.0.1:{upstream}"]
"""
ROUTE = """
[routes.r{number}]
match = {{ host = "h{number}.test", path = "/r{number}/{{*rest}}" }}
upstream = "app"
timeout = "{generation}s"
"""
# Seconds.
START_AIM = 0.020
RELOAD_AIM = 0.100
# How often each caller asks while configs are reloaded, and how much slower its answers may be then.
PAUSE = 0.002
STALL_AIM = 0.020


class Caller(callers.Client):
    def ask_route(self, number):
        self.socket.sendall(f"GET /r{number}/x HTTP/1.1\r\nhost: h{number}.test\r\n\r\n".encode())
        answer = self.read_answer()
        if answer.status != 200:
            raise callers.Failed(f"route {number} answered {answer.status}")


def config(upstream, routes, generation=1):
    return UPSTREAM.format(upstream=upstream) + "".join(ROUTE.format(number=number, generation=generation)
                                                        for number in range(routes))


def seconds_to_serve(binary, text, route):
    """From the start of the process to the first answer."""
    port = harness.free_port()
    listen = f'[admin]\nlisten = "none"\nprobe_listen = "none"\n[listeners.main]\nlisten = "127.0.0.1:{port}"\n'
    with tempfile.TemporaryDirectory(prefix="outrigger-load-") as directory:
        file = pathlib.Path(directory) / "outrigger.toml"
        file.write_text(listen + text)
        start = time.monotonic()
        process = subprocess.Popen([binary, "run", "--config", file], stdin=subprocess.DEVNULL,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            while not harness.accepts(port):
                if process.poll() is not None:
                    raise RuntimeError(f"the proxy ended with {process.returncode}")
            client = Caller(port)
            client.ask_route(route)
            return time.monotonic() - start
        finally:
            process.kill()
            process.wait()


def ask_until(port, end, latencies):
    client = Caller(port)
    took = []
    while not end.is_set():
        start = time.monotonic()
        client.ask_route(7)
        took.append(time.monotonic() - start)
        time.sleep(PAUSE)
    latencies.put(took)


def latencies_while(port, count, work):
    """How long the answers to so many callers took while `work` was done."""
    end, latencies = multiprocessing.Event(), multiprocessing.Queue()
    processes = [multiprocessing.Process(target=ask_until, args=(port, end, latencies)) for _ in range(count)]
    for process in processes:
        process.start()
    work()
    end.set()
    took = [value for _ in processes for value in latencies.get()]
    for process in processes:
        process.join()
    return sorted(took)


def reload(proxy, upstream, routes, generation):
    proxy.write(proxy.config, proxy.preamble + config(upstream, routes, generation))
    start = time.monotonic()
    status, text = proxy.admin("POST", "/reload")
    if status != 200:
        raise RuntimeError(f"the reload was refused: {text}")
    return time.monotonic() - start


def slowest(took, share):
    return took[min(len(took) - 1, int(len(took) * share))]


def milliseconds(seconds):
    return f"{seconds * 1000:.1f} ms"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    harness.add_arguments(parser)
    parser.add_argument("--routes", type=int, default=100, help="how many to start with")
    parser.add_argument("--reloaded", type=int, default=1000, help="how many to reload")
    parser.add_argument("--times", type=int, default=20, help="how often each is done")
    parser.add_argument("--callers", type=int, default=4, help="how many ask meanwhile")
    arguments = parser.parse_args()
    verdict = harness.Verdict()
    with harness.Upstream() as upstream:
        text = config(upstream.port, arguments.routes)
        starts = [seconds_to_serve(arguments.binary, text, arguments.routes - 1) for _ in range(arguments.times)]
        took = statistics.median(starts)
        verdict.holds(f"from start to first answer with {arguments.routes} routes: {milliseconds(took)} "
                      f"(from {milliseconds(min(starts))} to {milliseconds(max(starts))}), aim {milliseconds(START_AIM)}",
                      took < START_AIM)
        with harness.Proxy(arguments.binary, config(upstream.port, arguments.reloaded)) as proxy:
            quiet = latencies_while(proxy.port, arguments.callers, lambda: time.sleep(3))
            reloads = []

            def reload_often():
                for generation in range(arguments.times):
                    reloads.append(reload(proxy, upstream.port, arguments.reloaded, generation + 2))
                    time.sleep(0.1)

            busy = latencies_while(proxy.port, arguments.callers, reload_often)
        took = statistics.median(reloads)
        verdict.holds(f"a reload of {arguments.reloaded} routes: {milliseconds(took)} "
                      f"(from {milliseconds(min(reloads))} to {milliseconds(max(reloads))}), aim {milliseconds(RELOAD_AIM)}",
                      took < RELOAD_AIM)
        before, meanwhile = slowest(quiet, 0.99), slowest(busy, 0.99)
        verdict.holds(f"p99 of callers: {milliseconds(before)} without, {milliseconds(meanwhile)} while configs are reloaded; "
                      f"median {milliseconds(slowest(quiet, 0.5))} and {milliseconds(slowest(busy, 0.5))}",
                      meanwhile < before + STALL_AIM)
    verdict.end()


if __name__ == "__main__":
    main()
