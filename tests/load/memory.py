"""Memory and descriptors: see README.md."""

import argparse
import multiprocessing
import pathlib
import re
import resource
import shutil
import socket
import tempfile
import threading
import time

import callers
import harness
import peers
import pki

CONFIG = """
[upstreams.app]
endpoints = ["127.0.0.1:{upstream}"]
pool = {{ max_connections = 1000 }}

[routes.app]
upstream = "app"

[process]
workers = {workers}
"""
UNITS = {"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
# What an idle proxy may take at the most,
IDLE_AIM = 6 << 20
# within the seconds after which a proxy has done all that it does now and then,
REST = 35
# and by what factor it may take more when load is over.
AFTER_LOAD = 1.2
# And for a proxy with so many idle TLS connections.
IDLE_TLS = 1000
IDLE_TLS_AIM = 32 << 20
BODY = 64 << 10
BUFFERS = 256 << 10
# What measuring itself may add.
SLACK = 1 << 20
READ = 1 << 20


def byte_size(text):
    match = re.fullmatch(r"(\d+)(KiB|MiB|GiB)", text)
    if not match:
        raise argparse.ArgumentTypeError("write it as 256MiB or 1GiB")
    return int(match[1]) * UNITS[match[2]]


def download(port, size):
    """Reads a body and throws it away inside the kernel; whether all of it came."""
    try:
        client = callers.Client(port)
        client.socket.sendall(f"GET /big/{size} HTTP/1.1\r\nhost: load\r\n\r\n".encode())
        client.read_head()
        left = size - len(client.buffer)
        buffer = bytearray(READ)
        while left:
            count = client.socket.recv_into(buffer, min(left, READ), socket.MSG_TRUNC)
            if not count:
                return False
            left -= count
        return True
    except OSError:
        return False


def download_many(port, size, count, whole):
    def one():
        if download(port, size):
            with whole.get_lock():
                whole.value += 1

    threads = [threading.Thread(target=one) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


class Figures:
    """What one proxy takes at each step."""

    def __init__(self, proxy, arguments):
        self.idle = self.at_rest(proxy)
        self.with_idle = self.with_idle_connections(proxy, arguments.idle)
        self.streaming, self.rate, self.whole = self.while_streaming(proxy, arguments.bodies, arguments.size)
        time.sleep(arguments.after)
        self.after = self.at_rest(proxy)
        # Smaller: it is to show what grows by the number of bodies.
        self.again, _, again = self.while_streaming(proxy, arguments.bodies, arguments.size // 8)
        self.whole += again

    @staticmethod
    def settled(proxy):
        time.sleep(1)
        return proxy.footprint()

    @staticmethod
    def at_rest(proxy):
        most = Figures.settled(proxy)
        for _ in range(REST):
            time.sleep(1)
            most = max(most, proxy.footprint())
        return most

    def with_idle_connections(self, proxy, count):
        clients = [callers.Client(proxy.port) for _ in range(count)]
        for client in clients:
            client.ask("/")
        figures = self.settled(proxy)
        for client in clients:
            client.close()
        return figures

    @staticmethod
    def while_streaming(proxy, bodies, size):
        """The most that it took, how fast the bytes passed, and how many bodies came whole."""
        whole = multiprocessing.Value("i", 0)
        processes = [multiprocessing.Process(target=download_many, args=(proxy.port, size, share, whole))
                     for share in (bodies // 2, bodies - bodies // 2)]
        start = time.monotonic()
        for process in processes:
            process.start()
        most = proxy.footprint()
        while any(process.is_alive() for process in processes):
            most = max(most, proxy.footprint())
            time.sleep(0.1)
        seconds = time.monotonic() - start
        return most, bodies * size / seconds, whole.value

    def row(self, name):
        steps = self.idle, self.with_idle, self.streaming, self.after, self.again
        cells = [name, *(harness.mib(step.resident) for step in steps), f"{self.rate / (1 << 30):.2f} GiB/s",
                 " ".join(str(step.descriptors) for step in steps)]
        return "| " + " | ".join(cells) + " |"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    harness.add_arguments(parser)
    parser.add_argument("--size", type=byte_size, default="1GiB", help="of each body")
    parser.add_argument("--bodies", type=int, default=100, help="how many stream at once")
    parser.add_argument("--idle", type=int, default=1000, help="how many idle connections")
    parser.add_argument("--after", type=int, default=60, help="seconds until all should be back as it was")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--tls", action="store_true", help=f"only {IDLE_TLS} idle connections over TLS")
    parser.add_argument("--peer", action="append", metavar="NAME[=BINARY]", default=[],
                        help="also measure nginx, haproxy or envoy; may be repeated")
    arguments = parser.parse_args()
    # Every connection has an end in one of these processes.
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    verdict = harness.Verdict()
    with harness.Upstream() as upstream:
        if arguments.tls:
            idle_over_tls(verdict, arguments, upstream)
            verdict.end()
        config = CONFIG.format(upstream=upstream.port, workers=arguments.workers)
        with harness.Proxy(arguments.binary, config) as proxy:
            ours = Figures(proxy, arguments)
            judge(verdict, ours, arguments)
        rows = [ours.row("outrigger")]
        for peer in arguments.peer:
            name, _, binary = peer.partition("=")
            binary = pathlib.Path(binary or shutil.which(name) or name).expanduser()
            with peers.Peer(name, binary, upstream.port, arguments.workers) as proxy:
                rows.append(Figures(proxy, arguments).row(name))
    print(f"\n| resident, {arguments.workers} worker | idle | {arguments.idle} idle connections "
          f"| {arguments.bodies} bodies of {harness.mib(arguments.size)} at once | {arguments.after} s later "
          f"| others of {harness.mib(arguments.size // 8)} | rate | descriptors at each step |\n" + "| --- " * 8 + "|")
    print("\n".join(rows))
    verdict.end()


def idle_over_tls(verdict, arguments, upstream):
    """What idle TLS connections take, once all that was said on them was a handshake, and once a body has passed."""
    with tempfile.TemporaryDirectory() as directory:
        ca = pki.Authority(directory, "ca")
        cert, key = ca.write(ca.issue("server"), "server")
        caller = ca.write(ca.issue("caller"), "caller")
        believed = ca.directory / "ca.crt"
        for name, trust, shown in (("TLS", "", None), ("mTLS", f', client_ca = "{believed}"', caller)):
            tls = f'tls = {{ cert = "{cert}", key = "{key}"{trust} }}\n'
            client_type = pki.client(callers.Client, believed, shown)
            with harness.Proxy(arguments.binary, tls + CONFIG.format(upstream=upstream.port, workers=arguments.workers)) as proxy:
                steps = [Figures.settled(proxy)]
                clients = [client_type(proxy.port) for _ in range(IDLE_TLS)]
                steps.append(Figures.settled(proxy))
                for client in clients:
                    client.ask("/", b"x" * BODY)
                steps.append(Figures.settled(proxy))
                for client in clients:
                    client.close()
            said = " -> ".join(harness.mib(step.resident) for step in steps)
            each = (steps[2].anonymous - steps[0].anonymous) / IDLE_TLS / 1024
            verdict.holds(f"idle, with {IDLE_TLS} connections over {name}, and after a body on each: {said}, "
                          f"{each:.1f} KiB a connection; below {harness.mib(IDLE_TLS_AIM)}", steps[2].resident < IDLE_TLS_AIM)


def judge(verdict, figures, arguments):
    resident, descriptors, anonymous = zip(figures.idle, figures.streaming, figures.after, figures.again)
    idle, streaming, after, again = map(harness.mib, resident)
    verdict.holds(f"idle, it takes {idle}: below {harness.mib(IDLE_AIM)}; {harness.mib(anonymous[0])} of it are no pages of files", resident[0] < IDLE_AIM)
    verdict.holds(f"{figures.whole} of {2 * arguments.bodies} bodies came whole", figures.whole == 2 * arguments.bodies)
    # Each may have its buffers, but not its bytes.
    room = arguments.bodies * BUFFERS
    verdict.holds(f"while they stream, it takes {streaming}: at most {harness.mib(room)} more than before",
                  resident[1] < figures.with_idle.resident + room)
    verdict.holds(f"{arguments.after} s later, it takes {after}: at most {AFTER_LOAD} times as much as before",
                  resident[2] < resident[0] * AFTER_LOAD)
    verdict.holds(f"while others stream, it takes {again}: no more than the first time", resident[3] < resident[1] + SLACK)
    verdict.holds(f"descriptors go from {descriptors[0]} to {descriptors[1]} and back to {descriptors[2]}",
                  descriptors[2] == descriptors[0])


if __name__ == "__main__":
    main()
