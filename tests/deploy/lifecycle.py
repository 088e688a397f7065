#!/usr/bin/env python3
"""The life of a pod with the proxy, from its start to its end, and what it takes: with figures, and what does not hold.

    lifecycle.py OUTRIGGER [DRILL...]

Needs root, podman, busybox-static, iproute2 and wrk. The proxy is a container with the user, the limits and the arguments of
the manifest that `outrigger inject` prints. The containers share a loopback, as those of a pod do. podman has no native
sidecars, so this starts and ends them in the order in which kubelet would: the proxy first, the application once `/readyz`
says 200, and the other way round. Unless a drill wants another one.
"""

import argparse
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time

import pod
import yaml

sys.path.insert(0, str(pod.ROOT / "tests/load"))
import callers
import harness

# In its own network, so ports are free.
CONFIG = """
[listeners.inbound]
listen = "0.0.0.0:15001"
[listeners.outbound]
listen = "127.0.0.1:15002"
[upstreams.app]
endpoints = ["127.0.0.1:8080"]
[upstreams.service]
endpoints = ["127.0.0.1:{service}"]
[routes.app]
match = {{ listener = "inbound" }}
upstream = "app"
[routes.service]
match = {{ listener = "outbound" }}
upstream = "service"
"""
SERVE = "mkdir -p /tmp/www; echo ok > /tmp/www/index.html; exec /busybox httpd -f -p 127.0.0.1:8080 -h /tmp/www"
# Calls out so many times, one after the other.
CALL = "i=0; while [ $i -lt 200 ]; do /busybox wget -q -O /dev/null http://127.0.0.1:15002/ || exit 1; i=$((i+1)); done"
# Calls out until 3 s after SIGTERM; its exit code says how many calls failed.
CALL_TO_THE_END = """
failed=0; ends=; trap 'ends=$(($(date +%s) + 3))' TERM
while [ -z "$ends" ] || [ "$(/busybox date +%s)" -lt "$ends" ]; do
    /busybox wget -q -O /dev/null http://127.0.0.1:15002/ || failed=$((failed+1))
    echo called
done
exit $failed
""".replace("$(date", "$(/busybox date")
CONNECTIONS = 1000
# The most that the kernel keeps for a connection, as a pod may set it in `securityContext.sysctls`.
SOCKETS = {"tcp_rmem": "4096 32768 65536", "tcp_wmem": "4096 16384 32768"}
# kubelet's own, where a probe does not say `timeoutSeconds`.
PROBE_TIMEOUT = 1.0


class Pod:
    """The proxy, and whatever else is started; all of it ends with it."""

    def __init__(self, podman, folder, program, service):
        self.podman, self.folder, self.program, self.service = podman, folder, program, service
        self.started = []
        manifest = pod.manifests(program)[1]
        (self.sidecar,) = manifest["spec"]["initContainers"]

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind:
            for name in self.started:
                print(self.log(name), file=sys.stderr)
        self.remove()

    def remove(self):
        for name in self.started:
            self.podman.run("rm", "--force", "--time=0", name, check=False)
        self.started = []

    def proxy(self, more="", options=()):
        """Starts it and waits until it is ready, as kubelet does by the startup probe; gives how long that took."""
        config = pathlib.Path(tempfile.mkdtemp(dir=self.folder))
        config.chmod(0o755)
        (config / "outrigger.toml").write_text(CONFIG.format(service=self.service) + more)
        user = self.sidecar["securityContext"]["runAsUser"]
        memory = self.sidecar["resources"]["limits"]["memory"].replace("Mi", "m")
        # Of a thousandth of a core, 1.024 shares.
        shares = int(self.sidecar["resources"]["requests"]["cpu"].replace("m", "")) * 1024 // 1000
        began = time.monotonic()
        self.run("proxy", f"--user={user}:{user}", f"--memory={memory}", f"--cpu-shares={shares}", "--read-only",
                 "--cap-drop=all", "--security-opt=no-new-privileges", f"--volume={config}:/etc/outrigger:ro", *options,
                 "localhost/outrigger:test", *self.sidecar["args"])
        harness.eventually("the proxy is ready", lambda: pod.ask("127.0.0.1", 15021, "/readyz")[0] == 200)
        return time.monotonic() - began

    def application(self, script, name="app"):
        self.run(name, "localhost/app:1", "/busybox", "sh", "-c", script)

    def run(self, name, *words):
        self.started.append(name)
        self.podman.run("run", "--detach", "--network=host", f"--name={name}", *words)

    def stop(self, name):
        """Its exit code and the seconds until it ended."""
        began = time.monotonic()
        self.podman.run("stop", "--time=30", name)
        return self.state(name)["ExitCode"], time.monotonic() - began

    def state(self, name):
        return json.loads(self.podman.run("inspect", name))[0]["State"]

    def log(self, name):
        path = self.podman.run("inspect", "--format={{.HostConfig.LogConfig.Path}}", name, check=False).strip()
        return pathlib.Path(path).read_text() if path and pathlib.Path(path).is_file() else ""

    def group(self, controller):
        """The folder of the proxy's cgroup, in its second version or of this controller."""
        pid = self.state("proxy")["Pid"]
        found = {}
        for line in pathlib.Path(f"/proc/{pid}/cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            found |= {each: path for each in controllers.split(",")}
        if controller in found:
            return pathlib.Path(f"/sys/fs/cgroup/{controller}{found[controller]}")
        return pathlib.Path(f"/sys/fs/cgroup{found['']}")


def job(verdict, pod_):
    """A Job: its container ends, and then the proxy is ended."""
    ready = pod_.proxy()
    pod_.application(CALL)
    harness.eventually("the application has ended", lambda: pod_.state("app")["Status"] == "exited", 60)
    code, runs = pod_.state("app")["ExitCode"], pod_.state("proxy")["Running"]
    verdict.holds(f"job: the proxy was ready after {ready:.2f} s, and 200 calls later the application exits with {code}",
                  code == 0 and runs)
    code, seconds = pod_.stop("proxy")
    verdict.holds(f"job: then the proxy exits with {code} after {seconds:.2f} s", code == 0 and seconds < 2)


def egress(verdict, pod_):
    """The application calls out when it was told to end already."""
    pod_.proxy()
    pod_.application(CALL_TO_THE_END)
    harness.eventually("the application calls", lambda: "called" in pod_.log("app"))
    before = pod_.log("app").count("called")
    failed, seconds = pod_.stop("app")
    after = pod_.log("app").count("called") - before
    verdict.holds(f"egress: {after} calls in the {seconds:.1f} s after SIGTERM, {failed} failed", failed == 0 and after > 1)
    code, seconds = pod_.stop("proxy")
    verdict.holds(f"egress: then the proxy exits with {code} after {seconds:.2f} s", code == 0)


def first(verdict, pod_):
    """SIGTERM reaches the proxy while the application still calls, as it does in an ordinary container."""
    pod_.proxy()
    crowds = [callers.Crowd(15002, 32, kind, ends=True) for kind in (callers.Caller, callers.ShortCaller)]
    time.sleep(1)
    code, seconds = pod_.stop("proxy")
    counts = [crowd.wait() for crowd in crowds]
    answered, failed = sum(part.answered for part in counts), sum(part.failed for part in counts)
    verdict.holds(f"first: {answered} calls until no connection was accepted, {failed} of those sent failed; "
                  f"the proxy exits with {code} after {seconds:.1f} s", failed == 0 and code == 0 and answered > 0)
    for part in counts:
        print("".join(f"      {failure}\n" for failure in part.told), end="")


def delayed(verdict, pod_):
    """The same for one that ends within `delay`: it notices nothing."""
    pod_.proxy('[shutdown]\ndelay = "5s"\n')
    crowd = callers.Crowd(15002, 32, callers.ShortCaller)
    time.sleep(1)
    ended = threading.Thread(target=pod_.stop, args=("proxy",))
    ended.start()
    harness.eventually("the proxy fails its readiness", lambda: pod.ask("127.0.0.1", 15021, "/readyz")[0] == 503)
    time.sleep(2)
    counts = crowd.stop()
    ended.join()
    verdict.holds(f"delayed: with `delay`, {counts.answered} calls before and in the 2 s after SIGTERM, {counts.failed} failed "
                  f"and none was refused", counts.failed == 0)


def early(verdict, pod_):
    """The proxy is there before what it leads to."""
    ready = pod_.proxy()
    status, body = pod.ask("127.0.0.1", 15001, "/")
    alive = pod.ask("127.0.0.1", 15021, "/livez")[0]
    verdict.holds(f"early: ready after {ready:.2f} s and alive ({alive}) without an application; a call is answered with {status}: "
                  f"{str(body)[:90]}", status in (502, 503) and alive == 200)
    began = time.monotonic()
    pod_.application(SERVE)
    harness.eventually("the application is reached", lambda: pod.ask("127.0.0.1", 15001, "/")[0] == 200)
    verdict.holds(f"early: it is reached {time.monotonic() - began:.2f} s after its start began", pod_.state("proxy")["Running"])


def memory(verdict, pod_):
    """The limit of the manifest holds for 1,000 connections, and what the kernel keeps for those who do not read."""
    pod_.proxy("[process]\nworkers = 2\n")
    group = pod_.group("memory")
    # The second version of cgroups counts what is in sockets as the group's; the first counts it apart, once it is limited.
    if (group / "memory.kmem.tcp.limit_in_bytes").is_file():
        (group / "memory.kmem.tcp.limit_in_bytes").write_text(str(4 << 30))
    limit = int(re.match(r"\d+", pod_.sidecar["resources"]["limits"]["memory"])[0])
    idle = used(group)
    clients = [callers.Client(15002) for _ in range(CONNECTIONS)]
    for client in clients:
        client.ask("/", b"x" * (64 << 10))
    busy = used(group)
    for client in clients:
        client.close()
    verdict.holds(f"memory: {idle[0]} MiB idle, and {busy[0]} MiB with {busy[1]} MiB in sockets when a body of "
                  f"64 KiB has passed on each of {CONNECTIONS} connections: of {limit} MiB", sum(busy) < limit / 2)
    for told in ("the kernel's own sockets", "small sockets"):
        is_small = told == "small sockets"
        if is_small:
            for name, sizes in SOCKETS.items():
                pathlib.Path("/proc/sys/net/ipv4", name).write_text(sizes)
        own, sockets, whole = unread(group)
        verdict.holds(f"memory: {told}, {CONNECTIONS} callers that do not read an answer of 1 MiB: {own} MiB and {sockets} MiB in "
                      f"sockets; {whole} answers came whole in the end",
                      whole == CONNECTIONS and own + (sockets if is_small else 0) < limit)
    state = pod_.state("proxy")
    verdict.holds(f"memory: the proxy was killed for its memory: {state['OOMKilled']}", state["Running"])


def unread(group):
    """MiB while nobody reads what was asked for, those of them in sockets, and how many answers came whole afterwards."""
    clients = [callers.Client(15002) for _ in range(CONNECTIONS)]
    for client in clients:
        client.socket.sendall(f"GET /big/{1 << 20} HTTP/1.1\r\nhost: load\r\n\r\n".encode())
    # All that can be kept on the way is there once it grows no more.
    found, before = used(group), None
    while found != before:
        time.sleep(1)
        found, before = used(group), found
    whole = sum(len(client.read_answer().body) == 1 << 20 for client in clients)
    for client in clients:
        client.close()
    return *found, whole


def used(group):
    """MiB of the proxy, and those in its sockets where they are counted apart."""
    def number(name):
        path = group / name
        return int(path.read_text()) // (1 << 20) if path.is_file() else 0

    return number("memory.current") or number("memory.usage_in_bytes"), number("memory.kmem.tcp.usage_in_bytes")


def cpu(verdict, pod_):
    """A quota of a fifth of a core: probes are answered while callers ask for all there is."""
    for quota in ("0.2", None):
        ready = pod_.proxy("", [f"--cpus={quota}"] if quota else [])
        tasks = pathlib.Path(f"/proc/{pod_.state('proxy')['Pid']}/task")
        workers = sum("worker" in (task / "comm").read_text() for task in tasks.iterdir())
        probes, over = [], threading.Event()

        def probe():
            while not over.is_set():
                for path in ("/livez", "/readyz"):
                    began = time.monotonic()
                    status = pod.ask("127.0.0.1", 15021, path)[0]
                    probes.append((time.monotonic() - began, status))
                over.wait(0.1)

        prober = threading.Thread(target=probe)
        prober.start()
        said = subprocess.run(["wrk", "--threads=1", "--connections=64", "--duration=10s", "--latency", "http://127.0.0.1:15002/"],
                              capture_output=True, text=True, check=True).stdout
        over.set()
        prober.join()
        rate = float(re.search(r"Requests/sec:\s+([\d.]+)", said)[1])
        median, high = (re.search(rf"{share}%\s+(\S+)", said)[1] for share in (50, 99))
        failed = re.search(r"(Socket errors|Non-2xx).*", said)
        slowest = max(seconds for seconds, _ in probes)
        held = slowest < PROBE_TIMEOUT and all(status == 200 for _, status in probes) and not failed
        verdict.holds(f"cpu: quota {quota or 'none'}: ready after {ready:.2f} s, {workers} workers, {rate:.0f} requests/s on 64 "
                      f"connections, half within {median}, 99 % within {high}; of {len(probes)} probes the slowest took "
                      f"{slowest * 1000:.0f} ms", held and (workers == 1 or not quota))
        if failed:
            print("      " + failed[0])
        pod_.remove()


DRILLS = {drill.__name__: drill for drill in (job, egress, first, delayed, early, memory, cpu)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("outrigger", type=pathlib.Path)
    parser.add_argument("drills", nargs="*", choices=[[], *DRILLS], metavar="DRILL", help=", ".join(DRILLS))
    arguments = parser.parse_args()
    if os.readlink("/proc/self/ns/net") == os.readlink(f"/proc/{os.getppid()}/ns/net"):
        # A network of its own: with it goes what is left on it.
        os.execvp("unshare", ["unshare", "--net", "--mount", sys.executable, *sys.argv])
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    verdict = harness.Verdict()
    with tempfile.TemporaryDirectory(prefix="outrigger-pod-") as folder:
        folder = pathlib.Path(folder)
        # The proxy's user must get to its config.
        folder.chmod(0o755)
        podman = pod.Podman(folder)
        pod.images(podman, folder, arguments.outrigger.resolve(), pathlib.Path(shutil.which("busybox")))
        with harness.Upstream() as service:
            for name in arguments.drills or DRILLS:
                with Pod(podman, folder, arguments.outrigger, service.port) as pod_:
                    DRILLS[name](verdict, pod_)
    verdict.end()


if __name__ == "__main__":
    main()
