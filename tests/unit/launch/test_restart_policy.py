from extproc.launch.restart_policy import HEALTHY_SECONDS, LONGEST_WAIT, MOST_CRASHES, Restarts


def test_crashes_in_a_row_wait_longer_and_longer_and_the_tenth_is_the_last() -> None:
    restarts = Restarts()

    waits = [restarts.wait_after(served=1) for _ in range(MOST_CRASHES)]

    assert waits == [0.0, 0.5, 1.0, 2.0, 4.0, 8.0, LONGEST_WAIT, LONGEST_WAIT, LONGEST_WAIT, None]


def test_a_process_that_had_served_for_five_seconds_begins_a_new_row() -> None:
    restarts = Restarts()
    for _ in range(MOST_CRASHES - 1):
        restarts.wait_after(served=1)

    assert HEALTHY_SECONDS == 5.0
    assert restarts.wait_after(served=HEALTHY_SECONDS) == 0.0
    assert restarts.wait_after(served=1) == 0.5


def test_ten_kills_in_152_seconds_are_each_mended_at_once() -> None:
    restarts = Restarts()

    assert [restarts.wait_after(served=13.0) for _ in range(10)] == [0.0] * 10
