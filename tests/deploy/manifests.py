"""The rendered manifests, as the cluster would get them."""

import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from tests.harness.processes import ROOT

DEPLOY = ROOT / "deploy"
KUBECTL = Path(sys.executable).parent / "kubectl"
RENDERED = ["base", *sorted(f"overlays/{each.name}" for each in (DEPLOY / "overlays").iterdir() if each.is_dir())]

Manifest = dict[str, Any]


@cache
def _rendered(name: str) -> str:
    done = subprocess.run([KUBECTL, "kustomize", str(DEPLOY / name)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def render(name: str) -> list[Manifest]:
    """Every object of the base or of an overlay."""
    return list(yaml.safe_load_all(_rendered(name)))


def of_kind(manifests: list[Manifest], kind: str) -> dict[str, Manifest]:
    """The objects of one kind, by name."""
    return {each["metadata"]["name"]: each for each in manifests if each["kind"] == kind}


def pods(manifests: list[Manifest]) -> dict[str, Manifest]:
    """The pod templates of the Deployments, by the Deployment's name."""
    return {name: each["spec"]["template"] for name, each in of_kind(manifests, "Deployment").items()}


def containers(pod: Manifest) -> dict[str, Manifest]:
    """Every container of a pod, init containers first."""
    spec = pod["spec"]
    return {each["name"]: each for each in [*spec.get("initContainers", []), *spec["containers"]]}


def ports(pod: Manifest) -> dict[str, int]:
    """The named ports of a pod."""
    return {port["name"]: port["containerPort"] for each in containers(pod).values() for port in each.get("ports", [])}


def chosen(selector: dict[str, str], manifests: list[Manifest]) -> list[Manifest]:
    """The pods whose labels the selector matches."""
    return [pod for pod in pods(manifests).values() if selector.items() <= pod["metadata"]["labels"].items()]
