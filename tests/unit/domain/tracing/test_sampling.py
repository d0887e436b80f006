"""Which traces are recorded."""

import secrets

import pytest

from extproc.domain.tracing.sampling import read_sampler

LOW, HIGH = "f" * 16 + "0" * 15 + "1", "0" * 16 + "f" * 16


@pytest.mark.parametrize(
    ("name", "argument", "alone", "below_recorded", "below_unrecorded"),
    [
        ("always_on", None, True, True, True),
        ("always_off", None, False, False, False),
        ("traceidratio", "1", True, True, True),
        ("traceidratio", "0", False, False, False),
        ("traceidratio", None, True, True, True),
        ("parentbased_always_on", None, True, True, False),
        ("parentbased_always_off", None, False, True, False),
        ("parentbased_traceidratio", "0", False, True, False),
        ("PARENTBASED_ALWAYS_ON", "of no meaning", True, True, False),
    ],
)
def test_a_sampler_follows_its_name(
    name: str, argument: str | None, alone: bool, below_recorded: bool, below_unrecorded: bool
) -> None:
    sampler = read_sampler(name, argument)

    seen = [sampler.samples(trace_id, parent) for parent in (None, True, False) for trace_id in (LOW, HIGH)]
    assert seen == [alone, alone, below_recorded, below_recorded, below_unrecorded, below_unrecorded]


def test_a_ratio_decides_by_the_end_of_the_trace_id() -> None:
    sampler = read_sampler("traceidratio", "0.5")

    assert sampler.samples(LOW, None)
    assert not sampler.samples(HIGH, None)
    kept = sum(sampler.samples(secrets.token_hex(16), None) for _ in range(2000))
    assert 800 < kept < 1200


@pytest.mark.parametrize(
    ("name", "argument"),
    [("jaeger_remote", None), ("", None), ("traceidratio", "1.5"), ("traceidratio", "half"), ("traceidratio", "nan")],
)
def test_what_is_no_sampler_is_refused(name: str, argument: str | None) -> None:
    with pytest.raises(ValueError):
        read_sampler(name, argument)
