"""The CronJob and the AnalysisTemplate call the command as it is, and fit their schemas as far as there are any."""

from typing import Any

import pytest
import yaml

from canary.cli import canary_check
from tests.harness.processes import ROOT
from tests.unit.canary import trials
from tests.unit.canary.trials import TRIALS

FOLDER = ROOT / "deploy" / "canary-analysis"


def manifest(name: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((FOLDER / name).read_text())
    return found


def pod(name: str) -> dict[str, Any]:
    spec = manifest(name)["spec"]
    job = spec["jobTemplate"]["spec"] if "jobTemplate" in spec else spec["metrics"][0]["provider"]["job"]["spec"]
    template: dict[str, Any] = job["template"]["spec"]
    return template


def fits_its_schema(whole: dict[str, Any], version: str) -> None:
    import kubernetes_validate  # takes seconds, which each process that collects tests would pay

    kubernetes_validate.validate(whole, version, strict=True)


@pytest.mark.parametrize("version", ["1.31", "1.32", "1.33", "1.34"])
def test_the_cronjob_fits_its_schema(version: str) -> None:
    fits_its_schema(manifest("cronjob.yaml"), version)


@pytest.mark.parametrize("version", ["1.31", "1.32", "1.33", "1.34"])
def test_the_job_of_the_analysis_fits_its_schema(version: str) -> None:
    job = manifest("analysistemplate.yaml")["spec"]["metrics"][0]["provider"]["job"]
    whole = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "job"}, **job}
    fits_its_schema(whole, version)


@pytest.mark.parametrize("name", ["cronjob.yaml", "analysistemplate.yaml"])
def test_the_arguments_are_those_of_the_command(name: str) -> None:
    command, *arguments = pod(name)["containers"][0]["args"]
    filled = [each.replace("{{args.prometheus}}", "http://prometheus:9090") for each in arguments]
    assert command == canary_check.name
    assert canary_check.make_context(command, filled).params["looks"] == 8


def test_the_job_of_the_analysis_has_time_for_all_looks() -> None:
    spec = manifest("analysistemplate.yaml")["spec"]["metrics"][0]["provider"]["job"]["spec"]
    assert spec["activeDeadlineSeconds"] > 8 * 15 * 60 + 8 * 60


@pytest.mark.parametrize("name", ["cronjob.yaml", "analysistemplate.yaml"])
def test_the_pod_keeps_to_the_restricted_standard(name: str) -> None:
    spec = pod(name)
    assert spec["securityContext"]["runAsNonRoot"] is True
    for container in spec["containers"]:
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        assert container["securityContext"]["readOnlyRootFilesystem"] is True


def test_the_page_tells_every_trial() -> None:
    page = (ROOT / "docs/canary.md").read_text()
    assert f"{TRIALS} rollouts" in page
    rows = {line.split(" | ")[0] for line in page.splitlines()}
    assert {f"| {each.name}" for each in trials.SCENARIOS} <= rows


@pytest.mark.parametrize("option", [option for each in canary_check.params for option in each.opts])
def test_the_page_tells_every_option(option: str) -> None:
    assert f"`{option}`" in (ROOT / "docs/canary.md").read_text()
