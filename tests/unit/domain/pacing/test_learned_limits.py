"""What was learned is written under its account, and read in every form that a version has written."""

import json
from typing import Any, Final

import pytest

from extproc.domain.pacing.learned_limits import ACCOUNT, Learned, LearnedGroup, LearnedLimit, read_learned

NOW: Final = 1_800_000_000.0
FIVE: Final = LearnedLimit(5, 6.0, NOW - 7.0, 20.0)
FOUR: Final = LearnedLimit(4, None, None, None)
RATE: Final = LearnedLimit(2.5, None, None, None)
LEARNED: Final = Learned(NOW, FIVE, RATE, {"a": FOUR, "b": FOUR}, (LearnedGroup(("a", "b"), FIVE),))
AS_FIVE: Final = {"limit": 5, "ceiling": 6.0, "seen": NOW - 7.0, "half_life": 20.0}
AS_FOUR: Final = {"limit": 4, "ceiling": None, "seen": None, "half_life": None}
AS_RATE: Final = {"limit": 2.5, "ceiling": None, "seen": None, "half_life": None}
BEFORE_MODELS: Final = {"version": 1, "saved_at": NOW, "concurrency": AS_FIVE, "rate": AS_RATE}
BEFORE_GROUPS: Final = {**BEFORE_MODELS, "models": {"main": {"a": AS_FOUR, "b": AS_FOUR}}}
BEFORE_ACCOUNTS: Final = {**BEFORE_GROUPS, "groups": {"main": [{"models": ["a", "b"], **AS_FIVE}]}}
OTHERS: Final = {"concurrency": AS_FOUR, "rate": {**AS_RATE, "limit": 9.0}}


def written() -> dict[str, Any]:
    return dict(json.loads(json.dumps(LEARNED.as_dict())))


@pytest.mark.parametrize(
    ("form", "learned"),
    [
        (BEFORE_MODELS, Learned(NOW, FIVE, RATE)),
        (BEFORE_GROUPS, Learned(NOW, FIVE, RATE, LEARNED.models)),
        (BEFORE_ACCOUNTS, LEARNED),
        (written(), LEARNED),
    ],
    ids=["before models", "before groups", "before accounts", "now"],
)
def test_what_any_version_has_written_is_read(form: dict[str, Any], learned: Learned) -> None:
    assert read_learned(form) == learned


def test_everything_that_was_learned_is_written_under_its_account() -> None:
    form = written()

    assert form["accounts"] == {ACCOUNT: {"concurrency": AS_FIVE, "rate": AS_RATE}}
    assert form.keys() - BEFORE_MODELS.keys() == {"accounts", "models", "groups"}
    assert [list(form[each]) for each in ("accounts", "models", "groups")] == [[ACCOUNT]] * 3


def test_versions_that_know_of_no_accounts_find_what_they_have_written_themselves() -> None:
    form = written()
    assert {name: form[name] for name in BEFORE_ACCOUNTS} == BEFORE_ACCOUNTS


def test_the_account_knows_better_than_what_is_there_for_older_versions() -> None:
    assert read_learned({**written(), **OTHERS}) == LEARNED


@pytest.mark.parametrize(
    ("accounts", "says"),
    [
        (None, "accounts: need an object"),
        ([], "accounts: need an object"),
        ({}, "main of accounts: need an object"),
        ({"main": 3}, "main of accounts: need an object"),
        ({"main": {}}, "concurrency: need an object"),
        ({"main": {**OTHERS, "rate": "fast"}}, "rate: need an object"),
        ({"main": {**OTHERS, "concurrency": {"limit": 0}}}, "limit=0: need 1 to 10000"),
        ({"main": {**OTHERS, "rate": {"limit": True}}}, "limit=True: need a number"),
    ],
)
def test_what_cannot_be_an_account_is_named_and_no_older_form_is_taken_for_it(accounts: object, says: str) -> None:
    with pytest.raises(ValueError) as error:
        read_learned({**written(), "accounts": accounts})
    assert str(error.value) == says


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        ({"concurrency": None}, "concurrency: need an object"),
        ({"rate": {**AS_RATE, "limit": "8"}}, "limit='8': need a number"),
        ({"concurrency": {**AS_FOUR, "ceiling": 5}}, "seen=None: need a number"),
        ({"models": {"main": [AS_FOUR]}}, "models of main: need an object"),
    ],
)
def test_what_no_older_version_can_have_written_is_named(damage: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError) as error:
        read_learned({**BEFORE_ACCOUNTS, **damage})
    assert str(error.value) == says
