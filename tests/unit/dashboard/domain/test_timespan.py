"""The window and the step of a chart."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.domain.rollup import Tier
from dashboard.domain.timespan import MOST_POINTS, make_grid, parse_moment

NOW = 1_764_000_000.0
KEPT = {Tier.FIVE_SECONDS: 86400.0, Tier.MINUTE: 30 * 86400.0, Tier.TEN_MINUTES: 30 * 86400.0, Tier.HOUR: NOW}


def oldest(tier: Tier) -> float:
    return NOW - KEPT[tier]


@pytest.mark.parametrize(
    ("window", "step", "tier"),
    [
        (15 * 60, 5, Tier.FIVE_SECONDS),
        (3600, 10, Tier.FIVE_SECONDS),
        (6 * 3600, 60, Tier.MINUTE),
        (86400, 300, Tier.MINUTE),
        (7 * 86400, 1800, Tier.TEN_MINUTES),
        (30 * 86400, 7200, Tier.HOUR),
        (90 * 86400, 21600, Tier.HOUR),
    ],
)
def test_a_chart_has_some_hundred_points_from_the_coarsest_rows_that_fit(window: int, step: int, tier: Tier) -> None:
    grid = make_grid(NOW - window, NOW, None, oldest, 5.0)

    assert (grid.step, grid.tier) == (step, tier)


def test_points_lie_on_whole_steps_and_cover_the_window() -> None:
    grid = make_grid(NOW - 601, NOW + 1, 60, oldest, 5.0)

    assert grid.begin % 60 == 0
    assert grid.begin <= NOW - 601
    assert grid.end >= NOW + 1
    assert grid.points == 12


def test_a_step_that_is_asked_for_is_taken_if_it_can_be() -> None:
    assert make_grid(NOW - 3600, NOW, 5, oldest, 5.0).step == 10  # 720 points are the most
    assert make_grid(NOW - 3000, NOW, 5, oldest, 5.0).step == 5
    assert make_grid(NOW - 3600, NOW, 7, oldest, 5.0).step == 10


def test_a_chart_is_never_finer_than_the_proxies_are_asked() -> None:
    assert make_grid(NOW - 900, NOW, 5, oldest, 30.0).step == 30


def test_what_is_no_longer_kept_so_finely_is_drawn_more_coarsely() -> None:
    assert make_grid(NOW - 2 * 86400, NOW - 2 * 86400 + 900, None, oldest, 5.0).tier is Tier.MINUTE
    assert make_grid(NOW - 60 * 86400, NOW - 60 * 86400 + 7200, None, oldest, 5.0).tier is Tier.HOUR


@pytest.mark.parametrize(("begin", "end"), [(10, 10), (20, 10), (-5, 10), (0, 1e12)])
def test_a_window_that_is_none_is_an_error(begin: float, end: float) -> None:
    with pytest.raises(ValueError, match="need a window"):
        make_grid(begin, end, None, oldest, 5.0)


@given(
    begin=st.floats(0, NOW),
    length=st.floats(0.001, 30 * 365 * 86400),
    step=st.one_of(st.none(), st.floats(0.1, 1e7)),
    interval=st.sampled_from([0.2, 5.0, 60.0]),
)
def test_every_grid_is_bounded_and_fits_its_rows(
    begin: float, length: float, step: float | None, interval: float
) -> None:
    grid = make_grid(begin, begin + length, step, oldest, interval)

    assert 1 <= grid.points <= MOST_POINTS
    assert grid.step % grid.tier.value == 0
    assert grid.begin <= begin
    assert grid.end >= begin + length


def test_a_time_is_unix_seconds_or_before_now() -> None:
    assert parse_moment("1764000000.5", NOW) == 1764000000.5
    assert parse_moment("-15m", NOW) == NOW - 900
    for wrong in ("", "now", "-", "1e9", "--5m", "12:00", "NaN"):
        with pytest.raises(ValueError, match=r"no (time|length)"):
            parse_moment(wrong, NOW)
