"""What a cluster would say to a manifest, as far as that can be known without one."""

import os
import subprocess
import warnings

import yaml

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import kubernetes_validate

# The three newest.
VERSIONS = ["1.35", "1.36", "1.37"]
# What operators add to a cluster: their schemas are not known here.
ADDED = {"PodMonitor", "PrometheusRule"}

KUBECTL = os.environ["KUBECTL"]
HELM = os.environ["HELM"]


class Wrong(Exception):
    """A manifest that a cluster would refuse, or that does not do what it says."""


def run(*command, text=None, cwd=None):
    done = subprocess.run(command, input=text, capture_output=True, text=True, cwd=cwd)
    if done.returncode != 0:
        raise Wrong(f"{' '.join(map(str, command))} exited with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


def read(text):
    """The objects of a manifest, those of lists among them."""
    found = []
    for document in yaml.load_all(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
        if document is None:
            continue
        found += document["items"] if document.get("kind") == "List" else [document]
    return found


def kustomize(folder):
    """The objects that a kustomization makes."""
    return read(run(KUBECTL, "kustomize", str(folder)))


def validate(objects, where, versions=VERSIONS):
    """Holds each object against the schemas of Kubernetes; a field that they do not name is wrong."""
    for thing in objects:
        if thing["kind"] in ADDED:
            continue
        for version in versions:
            try:
                kubernetes_validate.validate(thing, version, strict=True)
            except (kubernetes_validate.ValidationError, kubernetes_validate.SchemaNotFoundError) as error:
                name = f"{thing['kind']} {thing['metadata'].get('name')}"
                raise Wrong(f"{where}: {name}, Kubernetes {version}: {error}") from error


def pod_of(thing):
    """The description of the pods that an object makes: their metadata and spec."""
    if thing["kind"] == "Pod":
        return thing
    spec = thing["spec"]
    if thing["kind"] == "CronJob":
        spec = spec["jobTemplate"]["spec"]
    return spec.get("template")
