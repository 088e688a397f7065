#!/usr/bin/env python3
"""Runs what deploy/README.md shows.

Its blocks marked `sh` are one session of a shell, from top to bottom, in a copy of the repository. What would need a
cluster or a registry is replaced: a manifest that is applied or a chart that is installed is rendered and held against the
schemas of Kubernetes; other commands of kubectl and docker are taken as they are written, and their answers are empty.
"""

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

from kubernetes import HELM, KUBECTL, Wrong, kustomize, read, run, validate

ROOT = pathlib.Path(__file__).resolve().parents[2]
# Each is this file under another name.
REPLACED = ["docker", "helm", "kubectl"]


def main():
    blocks = shell_blocks((ROOT / "deploy/README.md").read_text())
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        programs = folder / "programs"
        programs.mkdir()
        for name in REPLACED:
            (programs / name).symlink_to(pathlib.Path(__file__).resolve())
        (programs / "outrigger").symlink_to(os.environ["OUTRIGGER"])
        copy = folder / "outrigger"
        copy.mkdir()
        for name in ["config", "deploy"]:
            shutil.copytree(ROOT / name, copy / name)
        environment = os.environ | {
            "PATH": f"{programs}:{os.environ['PATH']}",
            "PYTHONPATH": f"{ROOT / 'tests/deploy'}:{os.environ['PYTHONPATH']}",
        }
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", "\n".join(blocks)],
            cwd=copy,
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
        )
    if done.returncode != 0:
        raise Wrong(f"deploy/README.md: exit code {done.returncode}\n{done.stdout}{done.stderr}")
    print(f"deploy/README.md: {len(blocks)} blocks run")


def shell_blocks(text):
    found, block = [], None
    for line in text.splitlines():
        if block is None and line == "```sh":
            block = []
        elif block is not None and line == "```":
            found.append("\n".join(block))
            block = None
        elif block is not None:
            block.append(line)
    return found


def replaced(name, words):
    """What a cluster would be told by this command is held against the schemas instead."""
    command = " ".join([name, *words])
    if name == "kubectl":
        objects = told_by_kubectl(words)
    elif name == "helm":
        objects = told_by_helm(words)
    else:
        objects = []
    validate(objects, command)


def told_by_kubectl(words):
    match words:
        case ["kustomize", *_]:
            sys.stdout.write(run(KUBECTL, *words))
        case ["apply", "-k", folder]:
            return kustomize(folder)
        case ["apply", "-f", "-"]:
            return read(sys.stdin.read())
        case ["apply", "-f", path]:
            return read(pathlib.Path(path).read_text())
        case ["create", *_]:
            return read(run(KUBECTL, *words, "--dry-run=client", "--output=yaml"))
        case ["get" | "logs" | "rollout" | "set" | "wait", *_]:
            pass
        case _:
            raise Wrong(f"kubectl {' '.join(words)}: not known here")
    return []


def told_by_helm(words):
    match words:
        case ["dependency" | "lint" | "template", *_]:
            sys.stdout.write(run(HELM, *words))
        case ["install" | "upgrade", name, chart, *flags]:
            return read(run(HELM, "template", name, chart, *[flag for flag in flags if flag != "--install"]))
        case _:
            raise Wrong(f"helm {' '.join(words)}: not known here")
    return []


if __name__ == "__main__":
    called = pathlib.Path(sys.argv[0]).name
    try:
        if called in REPLACED:
            replaced(called, sys.argv[1:])
        else:
            main()
    except Wrong as wrong:
        sys.exit(f"{called}: {wrong}")
