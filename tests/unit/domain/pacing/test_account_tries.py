"""A try of the account goes to a model that may not be bound by it."""

import random

import pytest

from extproc.domain.pacing.account_tries import AccountTries
from extproc.domain.pacing.clock import Steady
from extproc.domain.pacing.gate import Gate
from extproc.domain.pacing.kept_place import KeptPlace
from tests.unit.domain.pacing.plan_model import Agent, Plan
from tests.unit.domain.pacing.plan_model import Gate as Bound
from tests.unit.domain.pacing.worlds import PLENTY, draw, score

A, B = "glm-a", "glm-b"
START, NOW = Steady(0.0), Steady(20.0)


class Account:
    """Both models have three places of their own, as far as is known. The account is held to two, which glm-a has."""

    def __init__(self) -> None:
        self.models = {A: Gate(3, 20), B: Gate(3, 20)}
        self.whole = Gate(3, 20)
        self.kept = KeptPlace(self.models, self.whole)
        self.tries = AccountTries(self.models, self.whole, self.kept)
        for gate in self.models.values():
            gate.limit.assume(3, START)
        self.whole.limit.assume(2, START)
        for _ in range(2):
            self.models[A].start(0, START)
            self.whole.start(0, START)
        self.whole.limit.set_demand(True, START)
        self.tries.advance((), START)

    def let_try(self, *wanting: str) -> None:
        """A try is due while some models have work waiting."""
        self.whole.limit.expect_change(NOW)
        self.whole.limit.advance(NOW)
        assert self.whole.limit.is_probing
        self.tries.advance(wanting, NOW)


def test_the_place_of_a_try_is_kept_for_a_model_that_was_not_refused_yet() -> None:
    account = Account()
    account.tries.refused(A)

    account.let_try(A, B)

    assert account.kept.shuts_out(A, NOW)
    assert not account.kept.shuts_out(B, NOW)


def test_once_all_that_wait_were_refused_it_is_anybodys() -> None:
    account = Account()
    account.tries.refused(A)
    account.tries.refused(B)

    account.let_try(A, B)

    assert not account.kept.shuts_out(A, NOW)


def test_a_model_that_was_forgotten_meanwhile_begins_anew() -> None:
    account = Account()
    account.tries.refused(B)
    forgotten = account.models.pop(B)
    account.tries.refused(A)
    account.models[B] = forgotten

    account.let_try(A, B)

    assert account.kept.shuts_out(A, NOW)


def test_it_is_not_kept_for_who_has_no_work() -> None:
    account = Account()
    account.tries.refused(A)

    account.let_try(A)

    assert not account.kept.shuts_out(A, NOW)


def test_it_is_not_kept_for_who_would_be_at_a_level_that_is_new_to_its_own_limit() -> None:
    account = Account()
    account.tries.refused(A)
    account.models[B].limit.assume(1, START)
    account.models[B].start(0, START)

    account.let_try(A, B)

    assert not account.kept.shuts_out(A, NOW)


def test_it_is_not_kept_while_what_was_there_before_a_fall_may_be_back() -> None:
    account = Account()
    account.tries.refused(A)
    account.whole.limit.refused(2, Steady(5.0), "upstream 1302", Steady(5.1))
    account.whole.limit.advance(NOW)

    account.tries.advance({A, B}, NOW)

    assert account.whole.limit.has_fallen
    assert not account.kept.shuts_out(A, NOW)


def test_at_another_ceiling_all_are_asked_anew() -> None:
    account = Account()
    account.tries.refused(A)
    account.tries.refused(B)
    account.whole.limit.assume(3, Steady(1.0))
    for gate in (account.models[A], account.whole):
        gate.start(0, Steady(1.0))

    account.let_try(B)

    assert account.kept.shuts_out(A, NOW)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("shared", "lost"), [((3, 12), 0.03), ((1, 3), 0.085)], ids=["3 to 12 places", "1 to 3 places"]
)
def test_where_all_models_but_one_share_places_little_is_lost(shared: tuple[int, int], lost: float) -> None:
    """With one place or two the best pause between tries alone loses 4 %."""
    *together, alone = models = [f"glm-{number}" for number in range(5)]
    agents = [Agent(f"{model}-{number}", model=model) for model in models for number in range(12)]
    got = best = 0.0
    for seed in range(1001, 1013):
        rng = random.Random(seed * 7919)
        gates = [
            Bound(frozenset(together), draw(rng, *shared, 1200.0, 3600.0)),
            Bound(frozenset([alone]), draw(rng, 1, 7, 1200.0, 3600.0)),
        ]
        result = score(Plan([(0.0, PLENTY)], gates, mean=rng.uniform(2.0, 60.0)), agents, seed, 3600.0)
        got, best = got + result.got, best + result.best
    assert got >= (1.0 - lost) * best
