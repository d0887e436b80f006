"""The autoscaler does what Kubernetes publishes: worked examples, one rule a test."""

import pytest

from bench.autoscale_hpa import Autoscaler, Behavior, Metric, Policy, Target, desired

CPU = Metric("cpu", 100.0)
RATIO = Metric("ratio", 0.8)
AT_ONCE = Behavior(Policy(percent=1000, period=15), 0.0, Policy(percent=100, period=15), 0.0)


def autoscaler(behavior: Behavior = AT_ONCE, *metrics: Metric, least: int = 1, most: int = 100) -> Autoscaler:
    return Autoscaler(metrics or (CPU,), least, most, behavior)


@pytest.mark.parametrize(
    ("replicas", "value", "wanted"),
    [
        (1, 200.0, 2),  # twice the target: twice the pods
        (4, 50.0, 2),  # half the target: half the pods
        (3, 150.0, 5),  # 4.5 is rounded up
        (3, 100.0, 3),
    ],
)
def test_the_number_of_pods_follows_the_ratio_to_the_target_rounded_up(
    replicas: int, value: float, wanted: int
) -> None:
    assert desired(CPU, replicas, [value] * replicas) == wanted


@pytest.mark.parametrize(("value", "wanted"), [(109.0, 10), (111.0, 12), (91.0, 10), (90.0, 10), (89.0, 9)])
def test_a_tenth_off_the_target_changes_nothing(value: float, wanted: int) -> None:
    assert desired(CPU, 10, [value] * 10) == wanted


def test_exactly_the_target_is_not_rounded_up_by_a_floats_last_digit() -> None:
    assert desired(RATIO, 3, [0.8 * 1.2, 0.8 * 1.2, 0.8 * 1.2]) == 4
    assert desired(Metric("ratio", 0.1), 3, [0.2] * 3) == 6


def test_pods_without_a_reading_count_as_idle_when_it_would_grow() -> None:
    assert desired(CPU, 3, [200.0, 200.0, None]) == 4  # (200 + 200 + 0) / 3 is 1.33 times the target: 4, not 6


def test_pods_without_a_reading_count_as_at_the_target_when_it_would_shrink() -> None:
    assert desired(CPU, 4, [40.0, 40.0, 40.0, None]) == 3  # (120 + 100) / 4 is 0.55: 2.2 pods, rounded up


def test_nothing_changes_if_the_missing_readings_would_turn_the_direction() -> None:
    assert desired(CPU, 3, [150.0, None, None]) == 3  # with idle ones the mean is 0.5: that isn't growth any more


def test_a_metric_that_is_missing_altogether_asks_for_nothing() -> None:
    assert desired(CPU, 3, None) is None
    assert desired(CPU, 3, [None, None, None]) is None


def test_a_sum_is_compared_with_the_target_as_it_is() -> None:
    assert desired(Metric("sum", 0.8, Target.SUM), 2, 1.2) == 3


def test_the_metric_that_asks_for_most_wins() -> None:
    hpa = autoscaler(AT_ONCE, CPU, RATIO)
    assert hpa.scale(0.0, 2, {"cpu": [50.0, 50.0], "ratio": [1.6, 1.6]}) == 4


def test_with_a_metric_missing_the_others_may_grow_the_set_and_not_shrink_it() -> None:
    hpa = autoscaler(AT_ONCE, CPU, RATIO)
    assert hpa.scale(0.0, 2, {"cpu": [200.0, 200.0]}) == 4
    assert hpa.scale(15.0, 4, {"cpu": [20.0] * 4}) == 4


def test_with_every_metric_missing_nothing_changes() -> None:
    assert autoscaler().scale(0.0, 3, {}) == 3


def test_the_bounds_hold() -> None:
    hpa = autoscaler(AT_ONCE, CPU, least=2, most=5)
    assert hpa.scale(0.0, 4, {"cpu": [900.0] * 4}) == 5
    assert hpa.scale(15.0, 4, {"cpu": [1.0] * 4}) == 2


@pytest.mark.parametrize(("least", "most"), [(0, 5), (3, 2)])
def test_bounds_without_room_are_refused(least: int, most: int) -> None:
    with pytest.raises(ValueError, match="need 1 <="):
        autoscaler(AT_ONCE, CPU, least=least, most=most)


def test_it_grows_by_the_larger_of_100_percent_and_2_pods_in_30_seconds() -> None:
    up = Behavior(up_stabilization=0.0)
    assert [autoscaler(up).scale(0.0, count, {"cpu": [9000.0] * count}) for count in (1, 2, 3)] == [3, 4, 6]


def test_what_was_added_in_the_period_counts_against_the_policy() -> None:
    hpa = autoscaler(Behavior(up_stabilization=0.0))
    counts, replicas = [], 1
    for now in (0.0, 15.0, 30.0, 45.0):
        replicas = hpa.scale(now, replicas, {"cpu": [9000.0] * replicas})
        counts.append(replicas)
    assert counts == [3, 3, 6, 6]


def test_a_peak_shorter_than_the_window_of_30_seconds_adds_no_pod() -> None:
    hpa = autoscaler(Behavior())
    readings = [(0.0, 100.0), (15.0, 300.0), (30.0, 100.0)]
    assert [hpa.scale(now, 1, {"cpu": [value]}) for now, value in readings] == [1, 1, 1]


def test_a_demand_that_outlasts_the_window_adds_pods() -> None:
    hpa = autoscaler(Behavior())
    assert [hpa.scale(now, 1, {"cpu": [value]}) for now, value in [(0.0, 100.0), (15.0, 300.0), (30.0, 300.0)]] == [
        1,
        1,
        3,
    ]


def test_it_waits_five_minutes_before_it_shrinks_and_then_by_a_quarter_a_minute() -> None:
    hpa = autoscaler(Behavior())
    replicas, changes = 5, []
    hpa.scale(0.0, replicas, {"cpu": [100.0] * replicas})
    for step in range(1, 60):
        now = step * 15.0
        after = hpa.scale(now, replicas, {"cpu": [1.0] * replicas})
        if after != replicas:
            changes.append((now, after))
        replicas = after
    assert changes == [(300.0, 3), (360.0, 2), (420.0, 1)]
