#!/usr/bin/env python3
"""Renders the Helm charts of deploy/helm and holds them against the schemas of Kubernetes; see `run` beside this file."""

import pathlib
import shutil
import sys
import tempfile

import manifests
import yaml
from kubernetes import HELM, Wrong, read, run, validate

CHARTS = manifests.ROOT / "deploy/helm"
# Values that nobody means, and what is said of each.
REFUSED = {
    "outrigger.imagee=1": "additional properties 'imagee' not allowed",
    "outrigger.ports[0].containerPort=99999": "/ports/0/containerPort",
    "outrigger.config=null": "set `config`",
    "outrigger.config.a=b": "invalid propertyName 'a'",
    "outrigger.spiffe=true,outrigger.tlsSecret=a": "'not' failed",
    "outrigger.terminationGracePeriodSeconds=25": "/terminationGracePeriodSeconds",
}


def main():
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder) / "helm"
        shutil.copytree(CHARTS, folder)
        example = str(folder / "example")
        run(HELM, "dependency", "build", example)
        run(HELM, "lint", "--strict", example)
        run(HELM, "lint", "--strict", str(folder / "outrigger"), "--set", "existingConfigMap=a")
        plain = render(example)
        secrets = ["--set=outrigger.secret=outrigger-secrets,outrigger.tlsSecret=outrigger-tls"]
        whole = render(example, *secrets, "--set=outrigger.podMonitor.enabled=true,outrigger.annotations=false")
        if "PodMonitor" not in whole or "annotations" in manifests.pod_of(whole["Deployment"])["metadata"]:
            raise Wrong("the values for Prometheus have no effect")
        spiffe = render(example, "--set=outrigger.spiffe=true,outrigger.prometheusRule.enabled=true",
                        "--set=outrigger.terminationGracePeriodSeconds=60")
        has_the_rules(spiffe)
        manifests.check_config(plain["ConfigMap"], "chart")
        for rendered, grace in [(plain, 30), (spiffe, 60)]:
            manifests.ends_in_time(rendered["Deployment"], manifests.drain_timeout([rendered["ConfigMap"]]), "chart")
            if manifests.pod_of(rendered["Deployment"])["spec"]["terminationGracePeriodSeconds"] != grace:
                raise Wrong("terminationGracePeriodSeconds has no effect")
        for rendered, components in [
            (plain, ["sidecar"]),
            (whole, ["sidecar", "mtls", "egress"]),
            (spiffe, ["sidecar", "mtls-spiffe"]),
        ]:
            is_like_the_components(rendered["Deployment"], components)
        for values, said in REFUSED.items():
            try:
                run(HELM, "template", "shop", example, "--set", values)
            except Wrong as wrong:
                if said in str(wrong):
                    continue
                raise Wrong(f"{values} is refused, but not for {said}: {wrong}") from wrong
            raise Wrong(f"{values} is not refused")
    print(f"the charts render, and refuse {len(REFUSED)} bad values")


def has_the_rules(rendered):
    rules = yaml.safe_load((manifests.ROOT / "deploy/prometheus/rules.yaml").read_text())
    if rendered["PrometheusRule"]["spec"] != rules:
        raise Wrong("the chart has other rules than deploy/prometheus")


def render(chart, *options):
    """The objects by their kinds."""
    objects = read(run(HELM, "template", "shop", chart, *options))
    validate(objects, "chart")
    return {thing["kind"]: thing for thing in objects}


def is_like_the_components(deployment, components):
    found = manifests.assert_sidecar(deployment, "chart")
    del found["image"], found["imagePullPolicy"]
    workload = manifests.with_components(["Deployment"], components)["Deployment", "labelled"]
    wanted = manifests.assert_sidecar(workload, "components")
    del wanted["image"]
    sources = [sources_of(thing) for thing in (deployment, workload)]
    if sources[0] != sources[1]:
        raise Wrong(f"the chart has the volumes {sources[0]}, the components {sources[1]}")
    if manifests.sorted_lists(found) != manifests.sorted_lists(wanted):
        raise Wrong(f"the chart gives {found}, the components {wanted}")


def sources_of(deployment):
    """The volumes by their names, but for that of the config, whose ConfigMap has a name of its own in each."""
    volumes = manifests.pod_of(deployment)["spec"]["volumes"]
    return {volume["name"]: volume for volume in volumes if volume["name"] != "outrigger"}


if __name__ == "__main__":
    try:
        main()
    except Wrong as wrong:
        sys.exit(f"charts: {wrong}")
