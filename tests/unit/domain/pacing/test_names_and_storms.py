"""What is known of a model is its own: neither another model's storm takes it away, nor a name that wanders."""

from extproc.domain.pacing.clock import Steady
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

    for second in range(12, 30, 3):
        refuse_alone(limits, "glm-a", float(second))

    assert limits.places("glm-b", Steady(31.0)) == 7
