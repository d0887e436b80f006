"""Growth of counters over restarts, gaps and new series."""

import math

from canary.domain.counts import added, histogram, increases

UP = [1.0] * 5


def test_a_counter_grows_by_its_differences_and_the_lead_counts_nothing() -> None:
    assert increases([5, 10, 12, 12, 20], UP, lead=1) == [2, 0, 8]


def test_after_a_restart_the_counter_began_at_zero() -> None:
    assert increases([5, 10, 3, 4, 4], UP, lead=0) == [5, 3, 1, 0]


def test_a_series_that_appears_in_a_known_process_began_at_zero() -> None:
    assert increases([None, None, 1, 1, 3], UP, lead=0) == [0, 1, 0, 2]


def test_what_a_process_counted_before_it_was_first_seen_does_not_count() -> None:
    assert increases([None, None, 900, 905, 905], [None, None, 1, 1, 1], lead=0) == [0, 0, 5, 0]


def test_a_scrape_that_failed_defers_what_was_counted_to_the_next() -> None:
    assert increases([5, None, 9, 9, 9], [1, None, 1, 1, 1], lead=0) == [0, 4, 0, 0]


def test_a_scrape_that_failed_at_the_edge_of_the_window_makes_no_old_count_new() -> None:
    assert increases([700, None, 705, 705, 705], [1, None, 1, 1, 1], lead=1) == [5, 0, 0]


def test_cumulative_buckets_become_counts_of_each() -> None:
    found = histogram({1.0: [1, 0], 2.0: [3, 0], math.inf: [4, 5]})
    assert found.bounds == (1.0, 2.0)
    assert found.blocks == ((1, 2, 1), (0, 0, 5))


def test_processes_add_up_even_if_one_lacks_a_series() -> None:
    assert added({"a": [1, 2]}, {"a": [1, 1], "b": [5, 5]}) == {"a": [2, 3], "b": [5, 5]}
