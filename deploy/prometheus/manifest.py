"""Writes the rules as the manifest that the Prometheus operator reads: `python deploy/prometheus/manifest.py`."""

from pathlib import Path
from typing import Final

import yaml

HERE: Final = Path(__file__).parent
RULES: Final = HERE / "zai-proxy.rules.yaml"
MANIFEST: Final = HERE / "prometheusrule.yaml"


def manifest() -> str:
    """The PrometheusRule with the same groups."""
    document = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": "zai-proxy", "labels": {"app.kubernetes.io/name": "zai-proxy"}},
        "spec": yaml.safe_load(RULES.read_text()),
    }
    head = "# Written by deploy/prometheus/manifest.py from zai-proxy.rules.yaml: change that one.\n"
    return head + yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=1000)


if __name__ == "__main__":
    MANIFEST.write_text(manifest())
