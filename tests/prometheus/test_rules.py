"""The rules of Prometheus: they hold what their tests say, and each alert leads to a section of the runbook."""

import re
import shutil
import subprocess
from typing import Any

import pytest
import yaml

from tests.harness.processes import ROOT

RULES = ROOT / "deploy" / "prometheus" / "zai-proxy.rules.yaml"
TESTS = RULES.with_name("zai-proxy.rules.test.yaml")
RUNBOOK = ROOT / "docs" / "runbook.md"
GROUPS = yaml.safe_load(RULES.read_text())["groups"]
ALERTS: list[dict[str, Any]] = [rule for group in GROUPS for rule in group["rules"] if "alert" in rule]

every_alert = pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert["alert"])


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is missing: apt-get install prometheus")
def test_each_alert_fires_when_it_should_and_not_otherwise() -> None:
    done = subprocess.run(
        ["promtool", "test", "rules", TESTS.name],
        cwd=TESTS.parent,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr


@every_alert
def test_an_alert_is_tested_to_fire_and_to_be_quiet(alert: dict[str, Any]) -> None:
    name = alert["alert"]
    tests = yaml.safe_load(TESTS.read_text())["tests"]
    alert_tests = [case for test in tests for case in test.get("alert_rule_test", []) if case["alertname"] == name]
    samples = [
        case["exp_samples"]
        for test in tests
        for case in test.get("promql_expr_test", [])
        if f'"{name}"' in case["expr"]
    ]

    assert any(case.get("exp_alerts") for case in alert_tests) or any(samples)
    assert any(not case.get("exp_alerts") for case in alert_tests)


@every_alert
def test_an_alert_says_how_bad_it_is_what_it_means_what_to_look_at_and_where_to_read_on(alert: dict[str, Any]) -> None:
    annotations = alert["annotations"]
    assert alert["labels"]["severity"] in ("warning", "critical")
    assert annotations["summary"]
    assert annotations["description"].endswith(".")
    assert annotations["look_at"].endswith((".", "?"))
    path, _, anchor = annotations["runbook_url"].partition("#")
    assert ROOT / path == RUNBOOK
    assert anchor == alert["alert"].lower()


def test_the_runbook_has_a_section_for_each_alert_and_for_no_other() -> None:
    sections = re.findall(r"^## (\S+)$", RUNBOOK.read_text(), flags=re.MULTILINE)

    assert sections == [alert["alert"] for alert in ALERTS]


def test_the_operators_manifest_holds_the_same_rules_and_is_one() -> None:
    from cloudcoil.models.prometheus_operator.v1 import PrometheusRule  # seconds, for those who only collect tests

    text = RULES.with_name("prometheusrule.yaml").read_text()
    written = yaml.safe_load(text)

    assert written["spec"] == yaml.safe_load(RULES.read_text())
    typed = PrometheusRule.model_validate(written)
    assert typed.model_dump(mode="json", by_alias=True, exclude_unset=True) == written


@pytest.mark.skipif(shutil.which("amtool") is None, reason="amtool is missing: apt-get install prometheus-alertmanager")
def test_prometheus_and_alertmanager_take_their_example_configurations() -> None:
    for command in (
        ["promtool", "check", "config", "prometheus.yaml"],
        ["amtool", "check-config", "alertmanager.yaml"],
    ):
        done = subprocess.run(command, cwd=RULES.parent, capture_output=True, text=True, timeout=30, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
