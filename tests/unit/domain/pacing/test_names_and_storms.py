"""What is known of a model is its own: neither another model's storm takes it away, nor a name that wanders."""

from extproc.domain.pacing.clock import Steady
from extproc.domain.pacing.concurrency_limit import ConcurrencyLimit
from extproc.domain.pacing.config import PacingConfig
from extproc.domain.pacing.learned_limits import Learned, LearnedLimit
from extproc.domain.pacing.limits import UNKNOWN, Limits
from extproc.domain.request.business_codes import ErrorClass


def limits_of(**known: int) -> Limits:
    limits = Limits(PacingConfig(max_workers=60, rate_initial=100.0, rate_burst=100.0))
    each = {name.replace("_", "-"): LearnedLimit(limit, limit + 1.0, 0.0, 600.0) for name, limit in known.items()}
    limits.restore(
        Learned(0.0, LearnedLimit(40.0, None, None, None), LearnedLimit(100.0, None, None, None), each),
        Steady,
        Steady(0.0),
    )
    return limits


def test_a_name_that_another_model_answers_for_takes_nothing_from_the_one_before() -> None:
    limits = limits_of(glm_5=12, glm_air=2)

    limits.start("glm-5", {}, Steady(1.0))
    limits.move("glm-5", "glm-air", 1, Steady(2.0))
    limits.move("glm-air", "glm-5", 1, Steady(3.0))
    limits.move("glm-5", "glm-6", 1, Steady(4.0))

    assert (limits.limit_of("glm-5"), limits.limit_of("glm-air"), limits.limit_of("glm-6")) == (12, 2, 3)
    assert limits.places("glm-5", Steady(5.0)) == 12


def test_a_new_model_takes_over_what_was_learned_while_its_name_was_unknown() -> None:
    limits = limits_of(unknown=7)

    limits.start(UNKNOWN, {}, Steady(1.0))
    limits.move(UNKNOWN, "glm-6", 1, Steady(2.0))

    assert limits.limit_of("glm-6") == 7
    assert limits.limit_of(UNKNOWN) == 3


def refuse_alone(limits: Limits, model: str, at: float) -> None:
    limits.start(model, {}, Steady(at))
    limits.refused(model, ErrorClass.CONCURRENCY, "1302", at, at + 0.1, Steady(at + 0.1))
    limits.end(model, Steady(at + 0.1), refused=True)


def test_a_model_that_leaves_places_free_is_not_what_another_shares_its_limit_with() -> None:
    limits = limits_of(glm_a=3, glm_b=8)
    for _ in range(8):
        limits.start("glm-b", {}, Steady(1.0))
    limits.advance(Steady(9.0))
    for _ in range(7):
        limits.end("glm-b", Steady(10.0), refused=False)

    for second in range(12, 90, 6):
        refuse_alone(limits, "glm-a", float(second))

    assert limits.places("glm-b", Steady(91.0)) == 7


def with_room_in_the_account(**known: int) -> Limits:
    """Nothing runs at the 10th second; eight at once were fine in the account, and one of glm-a."""
    limits = limits_of(glm_c=8, **known)
    for model in ("glm-a", *7 * ("glm-c",)):
        limits.start(model, {}, Steady(1.0))
    limits.advance(Steady(9.0))
    for model in ("glm-a", *7 * ("glm-c",)):
        limits.end(model, Steady(10.0), refused=False)
    return limits


def share(limits: Limits, at: float) -> set[str]:
    """The models that share a limit, as far as is known."""
    return {model for model, places in limits.plan_places(float, Steady(at)).models.items() if places.group}


def test_a_model_of_which_nothing_got_through_meanwhile_is_not_what_another_shares_its_limit_with() -> None:
    limits = with_room_in_the_account(glm_a=1, glm_b=1)
    limits.start("glm-b", {}, Steady(11.0))

    for second in (12, 15, 19, 25):
        refuse_alone(limits, "glm-a", float(second))
    assert not share(limits, 26.0), "what runs of the other began before, when nothing was refused"

    limits.end("glm-b", Steady(27.0), refused=False)
    limits.start("glm-b", {}, Steady(28.0))
    limits.advance(Steady(33.0))
    refuse_alone(limits, "glm-a", 34.0)
    assert not share(limits, 35.0), "it may be a storm that strikes one model alone"
    refuse_alone(limits, "glm-a", 74.0)
    assert share(limits, 75.0) == {"glm-a", "glm-b"}


def test_a_model_that_the_storm_has_struck_too_is_not_what_another_shares_its_limit_with() -> None:
    limits = with_room_in_the_account(glm_a=1, glm_b=2)
    for _ in range(2):
        limits.start("glm-b", {}, Steady(11.0))
    limits.advance(Steady(14.0))
    for second in (15, 18, 22):
        refuse_alone(limits, "glm-a", float(second))
    limits.end("glm-b", Steady(23.0), refused=False)
    limits.start("glm-b", {}, Steady(24.0))
    limits.refused("glm-b", ErrorClass.CONCURRENCY, "1302", 24.0, 24.1, Steady(24.1))
    limits.end("glm-b", Steady(24.1), refused=True)
    limits.end("glm-b", Steady(24.5), refused=False)
    limits.start("glm-b", {}, Steady(26.0))
    limits.advance(Steady(29.0))

    refuse_alone(limits, "glm-a", 76.0)

    assert not share(limits, 77.0), "one of the other gets through again, and more may be back soon"


def test_a_try_of_the_account_tells_nothing_of_it_if_its_model_is_one_more_than_ever() -> None:
    limits = limits_of(glm_a=2, glm_b=2)
    for model in ("glm-a", "glm-b", "glm-b"):
        limits.start(model, {}, Steady(1.0))
    limits.advance(Steady(4.0))
    limits.account.refused(4, 4.0, "upstream 1302", Steady(4.1))
    for at in (199.0, 200.0):
        limits.account.set_demand(True, Steady(at))
    limits.start("glm-a", {}, Steady(200.1))

    limits.refused("glm-a", ErrorClass.CONCURRENCY, "1302", Steady(200.1), Steady(200.2), Steady(200.3))
    limits.end("glm-a", Steady(200.3), refused=True)
    assert limits.account.is_probing, "one of another model may tell"
    assert limits.limit_of("glm-a") == 1


def test_an_overload_of_one_model_leaves_what_others_try_of_the_limit_that_they_share() -> None:
    limits = Limits(PacingConfig(max_workers=60, rate_initial=100.0, rate_burst=100.0))
    for model in ("glm-a", "glm-b"):
        limits.start(model, {}, Steady(1.0))
    limits.advance(Steady(4.0))
    limits.account.refused(3, 4.0, "upstream 1302", Steady(4.1))
    for at in (199.0, 200.0):
        limits.account.set_demand(True, Steady(at))
    limits.start("glm-a", {}, Steady(200.1))
    assert limits.account.is_probing

    limits.refused("glm-b", ErrorClass.OVERLOAD, "1305", Steady(200.3), Steady(200.4), Steady(200.4))

    assert limits.account.is_probing


def test_an_attempt_that_met_an_overload_proves_no_level_of_the_limit_that_its_model_shares() -> None:
    limits = Limits(PacingConfig(max_workers=60, rate_initial=100.0, rate_burst=100.0))
    limits.start("glm-a", {}, Steady(1.0))
    limits.start("glm-b", {}, Steady(1.1))

    limits.refused("glm-b", ErrorClass.OVERLOAD, "1305", Steady(1.1), Steady(1.2), Steady(1.2))
    limits.end("glm-b", Steady(1.2), refused=True)
    limits.advance(Steady(9.0))

    assert limits.account.proven == 1


def test_what_a_late_place_may_explain_proves_no_level_of_a_larger_limit() -> None:
    limits = Limits(PacingConfig(max_workers=60, rate_initial=100.0, rate_burst=100.0))
    limits.start("glm-a", {}, Steady(1.0))
    limits.start("glm-b", {}, Steady(1.1))
    limits.advance(Steady(8.0))
    limits.end("glm-b", Steady(9.0), refused=False)
    limits.start("glm-b", {}, Steady(9.02))
    limits.start("glm-b", {}, Steady(9.03))
    assert limits.account.proven == 2

    limits.refused("glm-b", ErrorClass.CONCURRENCY, "1302", Steady(9.03), Steady(9.1), Steady(9.2))
    assert limits.of("glm-b").ceiling is None, "the place of the answer that has just ended may be late"
    limits.end("glm-b", Steady(9.2), refused=True)
    limits.advance(Steady(19.0))

    assert limits.account.proven == 2


def test_an_attempt_that_was_refused_proves_its_level_of_no_limit_though_more_were_in_flight_here() -> None:
    limit = ConcurrencyLimit(5, 8)
    limit.start(0, Steady(1.0))
    limit.start(0, Steady(5.0))
    limit.distrust(2, Steady(5.0))
    limit.start(1, Steady(5.5))  # the second at the upstream: one of the three waits to be sent again
    limit.distrust(3, Steady(5.5))
    limit.advance(Steady(9.0))

    assert limit.proven == 1


def test_a_level_that_another_model_comes_to_is_not_taken_for_the_accounts_limit_before_that_is_known() -> None:
    limits = Limits(PacingConfig(max_workers=60, concurrency_initial=8, rate_initial=100.0, rate_burst=100.0))
    for model in ("glm-a", "glm-b", "glm-c"):
        limits.start(model, {}, Steady(1.0))
    limits.advance(Steady(4.0))
    for at, model in ((5.0, "glm-a"), (5.5, "glm-c")):
        limits.start(model, {}, Steady(at))
        limits.refused(model, ErrorClass.CONCURRENCY, "1302", Steady(at), Steady(at + 0.1), Steady(at + 0.2))
        limits.end(model, Steady(at + 0.2), refused=True)
    limits.start("glm-b", {}, Steady(6.5))

    limits.advance(Steady(7.3))
    assert limits.account.ceiling is None, "glm-b may get past where the two were refused"
    limits.advance(Steady(8.1))

    assert limits.account.ceiling is None
    assert limits.limit_of("glm-a") == 1


def test_what_began_just_before_an_answer_ended_proves_no_level() -> None:
    limit = ConcurrencyLimit(5, 8)
    limit.start(0, Steady(1.0))
    limit.start(0, Steady(5.0))
    limit.end()
    limit.answered(Steady(5.05))
    limit.advance(Steady(9.0))

    assert limit.proven == 1


def test_a_refusal_that_comes_late_takes_back_what_its_attempt_seemed_to_prove() -> None:
    limit = ConcurrencyLimit(5, 8)
    limit.start(0, Steady(1.0))
    limit.start(0, Steady(5.0))
    limit.advance(Steady(7.1))
    assert limit.proven == 2

    limit.distrust(2, Steady(5.02))

    assert limit.proven == 1
