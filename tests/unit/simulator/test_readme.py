"""The simulator's page tells of everything that can be asked of it."""

import dataclasses
from enum import StrEnum
from pathlib import Path

import pytest

import simulator
from simulator.cli import simulator_command
from simulator.plan.limit_changes import KNOWN_KEYS
from simulator.scenario.model import Envelope, Fault, Framing, Gzip, LineEnd, Pieces, QuotaForm, Scenario, UsageForm

README = (Path(simulator.__file__).parent / "README.md").read_text()
UNTOLD = {"--host", "--speed", "--plan-level", "--expected-host", "--tls-cert", "--tls-key"}
NEGATED = {"--general-balance": "--no-general-balance"}


@pytest.mark.parametrize("name", [field.name for field in dataclasses.fields(Scenario)])
def test_every_key_of_a_scenario_is_told(name: str) -> None:
    assert f"`{name}`" in README


@pytest.mark.parametrize("choices", [Envelope, Fault, Framing, Gzip, LineEnd, Pieces, QuotaForm, UsageForm])
def test_every_choice_is_told(choices: type[StrEnum]) -> None:
    assert [choice.value for choice in choices if f"`{choice.value}`" not in README] == []


def test_every_option_is_told_unless_its_name_says_all() -> None:
    options = {option for parameter in simulator_command.params for option in parameter.opts}

    assert {option for option in options if NEGATED.get(option, option) not in README} <= UNTOLD


@pytest.mark.parametrize("name", KNOWN_KEYS)
def test_every_limit_that_can_be_changed_is_told(name: str) -> None:
    assert name in README or f"--{name.replace('_', '-')}" in README
