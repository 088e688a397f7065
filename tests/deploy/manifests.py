#!/usr/bin/env python3
"""Renders what stands in deploy/ and holds it against the schemas of Kubernetes; see `run` beside this file.

OUTRIGGER is the program. What is wrong is said, and the exit code is 1.
"""

import os
import pathlib
import re
import sys
import tempfile

import yaml

from kubernetes import VERSIONS, Wrong, kustomize, pod_of, read, run, validate

ROOT = pathlib.Path(__file__).resolve().parents[2]
KUSTOMIZE = ROOT / "deploy/kubernetes"
OUTRIGGER = os.environ["OUTRIGGER"]

# What adds objects of its own, and nothing to workloads.
BESIDE = {"prometheus"}
# Kubernetes' own.
GRACE = 30
# In seconds, `preStop` included.
OWN_END = 5

WORKLOADS = ["Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job", "CronJob", "Pod"]
API = {"Job": "batch/v1", "CronJob": "batch/v1", "Pod": "v1"}


def main():
    versions_agree()
    for folder in sorted((KUSTOMIZE / "examples").iterdir()):
        objects = kustomize(folder)
        validate(objects, folder.name)
        for thing in objects:
            if thing["kind"] == "ConfigMap":
                check_config(thing, folder.name)
            elif thing["kind"] in WORKLOADS:
                assert_sidecar(thing, folder.name)
                ends_in_time(thing, drain_timeout(objects), folder.name)
        print(f"examples/{folder.name}: {len(objects)} objects")
    base = kustomize(KUSTOMIZE / "base")
    validate(base, "base")
    check_config(base[0], "base")
    is_injected_alike()
    components = sorted(path.name for path in (KUSTOMIZE / "components").iterdir())
    for component in components:
        if component in BESIDE:
            adds_objects(component)
        else:
            reaches_every_kind(component)
    minute = with_components(WORKLOADS, ["sidecar", "grace"])
    for (_, name), thing in minute.items():
        if name == "labelled":
            ends_in_time(thing, drain_timeout([]), "component grace")
    print(f"components do what they say, for {len(WORKLOADS)} kinds: {', '.join(components)}")


def versions_agree():
    """What stands in deploy/ is of the program's version."""
    version = re.search(r'^version = "(.*)"', (ROOT / "Cargo.toml").read_text(), re.MULTILINE)[1]
    said = {
        "deploy/Dockerfile": r'image\.version="(.*?)"',
        "deploy/helm/outrigger/Chart.yaml": r"(?:appVersion|^version): (\S+)",
        "deploy/helm/example/Chart.yaml": r"^    version: (\S+)",
    }
    said |= {f"{path.relative_to(ROOT)}": r"newTag: (\S+)" for path in (KUSTOMIZE / "examples").glob("*/kustomization.yaml")
             if path.parent.name != "mtls"}
    for path, pattern in said.items():
        found = set(re.findall(pattern, (ROOT / path).read_text(), re.MULTILINE))
        if found != {version}:
            raise Wrong(f"{path} is of {found or 'no version'}, the program of {version}")


def check_config(config_map, where):
    """A config in a manifest is a good one. The files that it names come from volumes, which are not here."""
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        stand_ins = folder / "volumes"
        stand_ins.mkdir()
        tls = ROOT / "config/examples/tls"
        for name, source in [("tls.crt", "server.crt"), ("tls.key", "server.key"), ("ca.crt", "ca.crt")]:
            (stand_ins / name).write_bytes((tls / source).read_bytes())
        (stand_ins / "payments-key").write_text("a key")
        for name, text in config_map["data"].items():
            for volume in ["tls", "secrets"]:
                text = text.replace(f"/etc/outrigger-{volume}/", f"{stand_ins}/")
            (folder / name).write_text(text)
        run(OUTRIGGER, "check", "--strict", str(folder))


def assert_sidecar(thing, where):
    """It is a native one, it is there once, and what it mounts is there."""
    pod = pod_of(thing)
    spec = pod["spec"]
    name = f"{where}: {thing['kind']} {thing['metadata']['name']}"
    found = [each for each in spec.get("initContainers", []) if each["name"] == "outrigger"]
    if len(found) != 1:
        raise Wrong(f"{name}: {len(found)} sidecars")
    sidecar = found[0]
    for key in ["image", "startupProbe", "readinessProbe", "livenessProbe", "resources", "securityContext"]:
        if key not in sidecar:
            raise Wrong(f"{name}: the sidecar has no {key}")
    if sidecar["restartPolicy"] != "Always":
        raise Wrong(f"{name}: the sidecar is an ordinary init container")
    if pod["metadata"]["labels"].get("outrigger") != "sidecar":
        raise Wrong(f"{name}: its pods cannot be told from others")
    mounted = [mount["name"] for mount in sidecar["volumeMounts"]]
    volumes = [volume["name"] for volume in spec["volumes"]]
    if missing := set(mounted) - set(volumes):
        raise Wrong(f"{name}: no volumes {missing}")
    return sidecar


def drain_timeout(objects):
    """The seconds that the proxy has by the config among these objects, else by itself, as config/outrigger.toml shows it."""
    configs = [text for thing in objects if thing["kind"] == "ConfigMap" for text in thing["data"].values()]
    for text in [*configs, (ROOT / "config/outrigger.toml").read_text()]:
        if found := re.search(r'^drain_timeout = "(\d+)s"', text, re.MULTILINE):
            return int(found[1])
    raise Wrong("config/outrigger.toml shows no drain_timeout")


def ends_in_time(thing, drains, where):
    """A pod is not killed while its proxy still drains: both ends, one after the other, fit into its grace period."""
    spec = pod_of(thing)["spec"]
    hooks = [container.get("lifecycle", {}).get("preStop", {}) for container in spec["containers"]]
    sleeps = max(hook.get("sleep", {}).get("seconds", 0) for hook in hooks)
    grace = spec.get("terminationGracePeriodSeconds", GRACE)
    if grace < max(sleeps, OWN_END) + drains:
        raise Wrong(f"{where}: {thing['kind']} has {grace} s to end in, and sleeps {sleeps} s before it drains {drains} s")


def adds_objects(component):
    before, after = (with_components(["Deployment"], each) for each in (["sidecar"], ["sidecar", component]))
    if len(after) <= len(before) or any(after[key] != thing for key, thing in before.items()):
        raise Wrong(f"component {component} adds nothing, or changes a workload")


def reaches_every_kind(component):
    """A workload of each kind that has a label is given what the component gives; one without the label is left alone."""
    with_sidecar = with_components(WORKLOADS, ["sidecar"])
    with_both = with_sidecar if component == "sidecar" else with_components(WORKLOADS, ["sidecar", component])
    for kind in WORKLOADS:
        assert_sidecar(with_both[kind, "labelled"], f"component {component}")
        if component != "sidecar" and pod_of(with_both[kind, "labelled"]) == pod_of(with_sidecar[kind, "labelled"]):
            raise Wrong(f"component {component} does not reach {kind}")
        if "initContainers" in pod_of(with_both[kind, "plain"])["spec"]:
            raise Wrong(f"component {component} reaches a {kind} without the label")


def with_components(kinds, components):
    """Workloads of these kinds as a kustomization with these components makes them, each by its kind and name: one
    `labelled`, one `plain`."""
    with tempfile.TemporaryDirectory(dir=KUSTOMIZE) as folder:
        folder = pathlib.Path(folder)
        workloads = [workload(kind, labelled) for kind in kinds for labelled in [True, False]]
        (folder / "kinds.yaml").write_text(yaml.safe_dump_all(workloads))
        kustomization = {
            "resources": ["kinds.yaml"],
            "components": [f"../components/{name}" for name in components],
        }
        (folder / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
        objects = kustomize(folder)
    # What is added is the same in the examples, which all versions see.
    validate(objects, f"components {components}", VERSIONS[-1:])
    return {(thing["kind"], thing["metadata"]["name"]): thing for thing in objects}


def is_injected_alike():
    """`outrigger inject` gives every kind what the components give it."""
    components = ["sidecar", "mtls", "egress"]
    wanted = [thing for (_, name), thing in with_components(WORKLOADS, components).items() if name == "labelled"]
    options = ["--image=outrigger", "--secret=outrigger-secrets", "--tls-secret=outrigger-tls", "-f", "-"]
    workloads = yaml.safe_dump_all([workload(kind, True) for kind in WORKLOADS], sort_keys=False)
    found = read(run(OUTRIGGER, "inject", *options, text=workloads))
    run(OUTRIGGER, "inject", "--check", "-f", "-", text=yaml.safe_dump_all(wanted))
    validate(found, "inject")
    found = {thing["kind"]: sorted_lists(thing) for thing in found}
    for thing in wanted:
        if found[thing["kind"]] != sorted_lists(thing):
            raise Wrong(f"inject gives {found[thing['kind']]}, kustomize {sorted_lists(thing)}")
    print(f"inject and the components give the same to {len(wanted)} kinds")


def sorted_lists(thing):
    """The same with what has names in the order of these, which means nothing for volumes."""
    if isinstance(thing, dict):
        return {key: sorted_lists(value) for key, value in thing.items()}
    if isinstance(thing, list) and all(isinstance(item, dict) and "name" in item for item in thing):
        return sorted(map(sorted_lists, thing), key=lambda item: item["name"])
    return thing


def workload(kind, labelled):
    """The smallest one of a kind."""
    labels = {"outrigger": "sidecar"} if labelled else {}
    name = "labelled" if labelled else "plain"
    pod = {
        "metadata": {"labels": {"app": name}},
        "spec": {"containers": [{"name": "app", "image": "app:1"}]},
    }
    whole = {"apiVersion": API.get(kind, "apps/v1"), "kind": kind, "metadata": {"name": name, "labels": labels}}
    if kind == "Pod":
        whole["metadata"]["labels"] = labels | {"app": name}
        return whole | {"spec": pod["spec"]}
    if kind in ["Job", "CronJob"]:
        pod["spec"]["restartPolicy"] = "Never"
        spec = {"template": pod}
        if kind == "CronJob":
            spec = {"schedule": "0 0 * * *", "jobTemplate": {"spec": spec}}
        return whole | {"spec": spec}
    spec = {"selector": {"matchLabels": {"app": name}}, "template": pod}
    if kind == "StatefulSet":
        spec["serviceName"] = name
    return whole | {"spec": spec}


if __name__ == "__main__":
    try:
        main()
    except Wrong as wrong:
        sys.exit(f"manifests: {wrong}")
