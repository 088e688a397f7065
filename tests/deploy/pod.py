#!/usr/bin/env python3
"""A pod that runs: an application, the proxy beside it and its ConfigMap, of the manifests that `outrigger inject` prints.

    pod.py OUTRIGGER

podman runs it, without a cluster. What it lacks of Kubernetes (4.3 at least) is replaced, and nothing else:

- It has no native sidecars: the proxy is an ordinary container, so nothing is said about the order of start and end.
- It asks probes with programs of the container, which an image with one program lacks: there are none.
- A ConfigMap is copied into a volume once: what kubelet would do when it changes is done here.

Whatever the program is linked to is put into its image; a static one needs nothing, as in a real image. busybox, which is
the application, must be static.
"""

import http.client
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import threading
import time

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
# The application serves on 8080, and calls out through the proxy again and again.
APPLICATION = """
apiVersion: v1
kind: Pod
metadata:
  name: outrigger-test
  labels: { outrigger: sidecar }
spec:
  terminationGracePeriodSeconds: 30
  containers:
    - name: app
      image: localhost/app:1
      command: [/busybox, sh, -c]
      args:
        - |
          mkdir -p /tmp/www; echo 'from the application' > /tmp/www/index.html
          /busybox httpd -p 127.0.0.1:8080 -h /tmp/www
          while :; do /busybox wget -q -O - http://127.0.0.1:15002/out; /busybox sleep 0.2; done
"""
CONFIG = """
[listeners.inbound]
listen = "0.0.0.0:15001"
[listeners.outbound]
listen = "127.0.0.1:15002"
[upstreams.app]
endpoints = ["127.0.0.1:8080"]
[routes.app]
match = { listener = "inbound" }
upstream = "app"
[routes.out]
match = { listener = "outbound" }
respond = { body = "VERSION\\n" }
"""
# What containers may have here: less than what podman asks for by default.
CONTAINERS = """
[containers]
default_ulimits = ["nofile=4096:4096", "nproc=4096:4096"]
pids_limit = 0
log_driver = "k8s-file"
"""
SOON = 20
CALLERS = 8


class Wrong(Exception):
    """What is not as it should be."""


class Podman:
    """With images, containers and networks of its own, which end with it."""

    def __init__(self, folder):
        self.folder = folder
        (folder / "containers.conf").write_text(CONTAINERS)
        self.environment = os.environ | {"CONTAINERS_CONF": str(folder / "containers.conf"), "TMPDIR": str(folder)}
        self.options = [f"--root={folder}/root", f"--runroot={folder}/run", "--cgroup-manager=cgroupfs",
                        "--events-backend=file", f"--network-config-dir={folder}/networks"]
        if shutil.which("runc"):
            self.options.append("--runtime=runc")

    def run(self, *words, check=True):
        done = subprocess.run(["podman", *self.options, *map(str, words)], env=self.environment, capture_output=True,
                              text=True, timeout=120)
        if check and done.returncode != 0:
            raise Wrong(f"podman {' '.join(map(str, words))} exited with {done.returncode}:\n{done.stdout}{done.stderr}")
        return done.stdout

    def log(self, container):
        """What a container of the pod has said. `podman logs` says nothing for some versions."""
        path = self.run("inspect", "--format={{.HostConfig.LogConfig.Path}}", f"outrigger-test-{container}", check=False)
        path = pathlib.Path(path.strip() or "none")
        return path.read_text() if path.is_file() else ""


def main():
    outrigger, busybox = pathlib.Path(sys.argv[1]), pathlib.Path(shutil.which("busybox"))
    with tempfile.TemporaryDirectory(prefix="outrigger-pod-") as folder:
        folder = pathlib.Path(folder)
        podman = Podman(folder)
        images(podman, folder, outrigger, busybox)
        manifest = folder / "pod.yaml"
        manifest.write_text(without_what_podman_lacks(manifests(outrigger)))
        try:
            podman.run("kube", "play", manifest)
            pod_lives(podman)
        except (Wrong, TimeoutError):
            for name in ["outrigger", "app"]:
                print(podman.log(name), file=sys.stderr)
            raise
        finally:
            podman.run("pod", "rm", "--force", "--time=0", "outrigger-test", check=False)


def images(podman, folder, outrigger, busybox):
    """The proxy's by deploy/Dockerfile, and one of the application, which has nothing but busybox either."""
    context = folder / "outrigger"
    context.mkdir()
    shutil.copy("/etc/ssl/certs/ca-certificates.crt", context)
    # What a debugger wants to know is most of a program that was not built for others.
    subprocess.run(["strip", "-o", context / "outrigger", outrigger], check=True)
    podman.run("build", "--target=ready", f"--file={ROOT / 'deploy/Dockerfile'}", "--build-arg=OUTRIGGER_COMMIT=test",
               "--tag=localhost/outrigger:test", context)
    inspected = json.loads(podman.run("image", "inspect", "localhost/outrigger:test"))[0]
    size, labels = inspected["Size"], inspected["Labels"]
    if inspected["User"] != "65532:65532" or labels["org.opencontainers.image.revision"] != "test":
        raise Wrong(f"the image has the user {inspected['User']} and the labels {labels}")
    if linked := libraries(outrigger):
        add(podman, context / "libraries", "localhost/outrigger:test", linked, "localhost/outrigger:test")
    add(podman, folder / "app", "scratch", {"/busybox": busybox}, "localhost/app:1")
    print(f"the image has {size / 1e6:.1f} MB, and {len(linked)} libraries were added to it")


def libraries(program):
    """What a program is linked to, by where it looks for it."""
    done = subprocess.run(["ldd", program], capture_output=True, text=True)
    words = done.stdout.split() if done.returncode == 0 else []
    return {word: word for word in words if word.startswith("/")}


def add(podman, context, base, files, name):
    """An image with these files, by their places in it, on top of another one."""
    context.mkdir()
    lines = [f"FROM {base}"]
    for number, (place, source) in enumerate(files.items()):
        shutil.copy(source, context / str(number))
        lines.append(f"COPY {number} {place}")
    (context / "Containerfile").write_text("\n".join(lines))
    podman.run("build", f"--file={context / 'Containerfile'}", f"--tag={name}", context)


def manifests(outrigger):
    """What one would give to a cluster."""
    command = [outrigger, "inject", "--image=localhost/outrigger:test", "-f", "-"]
    pod = subprocess.run(command, input=APPLICATION, capture_output=True, text=True, check=True).stdout
    config_map = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "outrigger"},
        "data": {"outrigger.toml": CONFIG.replace("VERSION", "one")},
    }
    return [config_map, yaml.safe_load(pod)]


def without_what_podman_lacks(objects):
    for thing in objects:
        if thing["kind"] == "Pod":
            (sidecar,) = thing["spec"].pop("initContainers")
            del sidecar["restartPolicy"]
            for probe in ["startupProbe", "readinessProbe", "livenessProbe"]:
                del sidecar[probe]
            thing["spec"]["containers"].insert(0, sidecar)
    return yaml.safe_dump_all(objects)


def pod_lives(podman):
    address = podman.run("inspect", "--format={{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}",
                         infra_of(podman)).strip()
    eventually("the proxy is ready", lambda: ask(address, 15021, "/readyz") == (200, b"ok\n"))
    eventually("the application is reached", lambda: ask(address, 15001, "/") == (200, b"from the application\n"))
    print("the application is reached through the proxy")
    eventually("the application reaches out", lambda: "one" in podman.log("app"))
    volume = pathlib.Path(podman.run("volume", "inspect", "--format={{.Mountpoint}}", "outrigger").strip())
    kubelet_updates(volume, CONFIG.replace("VERSION", "two"))
    began = time.monotonic()
    eventually("the new config serves", lambda: "two" in podman.log("app"))
    print(f"a change of the ConfigMap serves within {time.monotonic() - began:.1f} s")
    inspected = json.loads(podman.run("inspect", "outrigger-test-outrigger"))[0]
    if inspected["Config"]["User"] != "65532:65532" or not inspected["HostConfig"]["ReadonlyRootfs"]:
        raise Wrong("the proxy is not its own user, or can write")
    answered = ends_under_load(podman, address)
    code = json.loads(podman.run("inspect", "outrigger-test-outrigger"))[0]["State"]["ExitCode"]
    if code != 0:
        raise Wrong(f"the proxy exited with {code}")
    print(f"{answered} requests were answered until it had ended, and none failed")


def infra_of(podman):
    return podman.run("pod", "inspect", "--format={{.InfraContainerID}}", "outrigger-test").strip()


def kubelet_updates(directory, text):
    """As it changes a ConfigMap: the new content whole, beside the old one, and a link that leads to it."""
    new = directory / "..new"
    new.mkdir()
    (new / "outrigger.toml").write_text(text)
    (directory / "..data_tmp").symlink_to("..new")
    (directory / "..data_tmp").rename(directory / "..data")
    (directory / "link").symlink_to("..data/outrigger.toml")
    (directory / "link").rename(directory / "outrigger.toml")


def ends_under_load(podman, address):
    """How many requests were answered. One that was not sent, as nobody listens any more, has not failed."""
    outcomes, over = [], threading.Event()

    def call():
        while not over.is_set():
            connection = http.client.HTTPConnection(address, 15001, timeout=SOON)
            try:
                connection.connect()
            except OSError:
                return
            try:
                connection.request("GET", "/", headers={"connection": "close"})
                answer = connection.getresponse()
                outcomes.append((answer.status, answer.read()))
            except (OSError, http.client.HTTPException) as error:
                outcomes.append((0, error))
            finally:
                connection.close()

    callers = [threading.Thread(target=call) for _ in range(CALLERS)]
    for caller in callers:
        caller.start()
    time.sleep(1)
    podman.run("stop", "--time=30", "outrigger-test-outrigger")
    over.set()
    for caller in callers:
        caller.join()
    failed = [outcome for outcome in outcomes if outcome != (200, b"from the application\n")]
    if failed or not outcomes:
        raise Wrong(f"of {len(outcomes)} requests {len(failed)} failed: {failed[:3]}")
    return len(outcomes)


def ask(address, port, path):
    connection = http.client.HTTPConnection(address, port, timeout=2)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read()
    except (OSError, http.client.HTTPException) as error:
        return 0, str(error)
    finally:
        connection.close()


def eventually(what, condition):
    end = time.monotonic() + SOON
    while time.monotonic() < end:
        if condition():
            return
        time.sleep(0.1)
    raise TimeoutError(f"not within {SOON} s: {what}")


if __name__ == "__main__":
    try:
        main()
    except (Wrong, TimeoutError) as wrong:
        sys.exit(f"pod: {wrong}")
