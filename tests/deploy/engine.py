"""A container engine of the test's own: no bridge, no firewall rules, everything under one directory."""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import docker
import pytest

from tests.harness.processes import ROOT, Process
from tests.harness.waiting import wait_until

BASE = "zai-proxy-base:test"
COMMIT = "c0ffee" * 6 + "c0ff"
"""What the images are told they were built from."""
STAND_INS = {"prometheus": "prometheus", "alertmanager": "prometheus-alertmanager"}
TEMPLATES = Path("/usr/share/prometheus/alertmanager")
_WGET = """#!/usr/bin/python3
import sys, urllib.request
urllib.request.urlopen(sys.argv[-1], timeout=3)
"""
_DOCKER = "/usr/bin/docker"
_CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")


def require_engine() -> None:
    """Skips where no engine can run."""
    missing = [each for each in ("dockerd", "mmdebstrap") if shutil.which(each) is None]
    if missing or not Path(_DOCKER).exists() or os.getuid() != 0:
        pytest.skip(f"needs root, {_DOCKER}, dockerd and mmdebstrap; missing: {', '.join(missing) or 'root or docker'}")


@contextmanager
def running_engine(directory: Path) -> Iterator[str]:
    """Yields the address of a dockerd with the base image in it."""
    address = f"unix://{directory / 'sock'}"
    where = [f"--{each}-root={directory / each}" for each in ("data", "exec")]
    off = ["--iptables=false", "--ip6tables=false", "--bridge=none"]
    command = ["dockerd", *where, f"--pidfile={directory / 'pid'}", "-H", address, *off]
    engine = Process("dockerd", command, dict(os.environ), directory)
    try:
        wait_until((directory / "sock").exists, "dockerd listens", within=30)
        _import_base(address, directory)
        yield address
    finally:
        if engine.is_running:
            engine.signal(signal.SIGTERM)
        engine.wait(30)
        for namespace in (directory / "exec" / "netns").glob("*"):  # it leaves its network namespace mounted
            subprocess.run(["umount", namespace], check=True, timeout=30)
        shutil.rmtree(directory)


def _import_base(address: str, directory: Path) -> None:
    base = directory / "base.tar"
    packages = "--include=ca-certificates,python3,python3-venv"
    made = ["mmdebstrap", "--quiet", "--variant=minbase", packages, "bookworm", str(base)]
    subprocess.run(made, check=True, timeout=300, capture_output=True)
    subprocess.run([_DOCKER, "-H", address, "import", str(base), BASE], check=True, timeout=120, capture_output=True)
    base.unlink()


def build(address: str, target: str) -> str:
    """Builds a target and returns the image's name."""
    image = f"zai-proxy-{target}:test"
    values = {"BASE_IMAGE": BASE, "DASHBOARD_PAGE": "plain", "BUILD_COMMIT": COMMIT}
    arguments = [part for name, value in values.items() for part in ("--build-arg", f"{name}={value}")]
    secret = ["--secret", f"id=ca,src={_CERTIFICATES}"] if _CERTIFICATES.exists() else []
    _build(address, image, ROOT, "--target", target, *arguments, *secret)
    return image


def _build(address: str, image: str, context: Path, *options: str) -> None:
    done = subprocess.run(
        [_DOCKER, "-H", address, "build", "--network=host", *options, "--tag", image, "."],
        cwd=context,
        env={**os.environ, "DOCKER_BUILDKIT": "1"},
        capture_output=True,
        text=True,
        timeout=400,
    )
    assert done.returncode == 0, done.stderr[-3000:]


def build_stand_ins(address: str, directory: Path) -> None:
    """Builds prometheus:test and alertmanager:test of Debian's programs: what Compose would pull is not here.

    Like those they run as nobody, own their volume, and have a wget for the health check.
    """
    dockerfile = [
        f"FROM {BASE}",
        "RUN mkdir /prometheus /alertmanager && chown nobody /prometheus /alertmanager",
        "COPY wget /usr/local/bin/",
        "COPY templates /usr/share/prometheus/alertmanager",
        "ARG PROGRAM",
        "COPY $PROGRAM /bin/program",
        "USER nobody",
        'ENTRYPOINT ["/bin/program"]',
    ]
    directory.mkdir()
    (directory / "Dockerfile").write_text("\n".join(dockerfile))
    (directory / "wget").write_text(_WGET)
    (directory / "wget").chmod(0o755)
    shutil.copytree(TEMPLATES, directory / "templates", ignore=shutil.ignore_patterns("ui"))
    for name, program in STAND_INS.items():
        shutil.copy(f"/usr/bin/{program}", directory)
        _build(address, f"{name}:test", directory, "--build-arg", f"PROGRAM={program}")


def client(address: str) -> docker.DockerClient:
    """The SDK on this engine."""
    return docker.DockerClient(base_url=address, timeout=120)
