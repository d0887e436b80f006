from extproc.launch.restart_policy import HEALTHY_SECONDS, LONGEST_WAIT, MOST_CRASHES, Restarts


def test_crashes_in_a_row_wait_longer_and_longer_and_the_tenth_is_the_last() -> None:
    restarts = Restarts()

    waits = [restarts.wait_after(lifetime=1) for _ in range(MOST_CRASHES)]

    assert waits == [0.0, 0.5, 1.0, 2.0, 4.0, 8.0, LONGEST_WAIT, LONGEST_WAIT, LONGEST_WAIT, None]


def test_a_process_that_ran_well_for_a_while_begins_a_new_row() -> None:
    restarts = Restarts()
    for _ in range(MOST_CRASHES - 1):
        restarts.wait_after(lifetime=1)

    assert restarts.wait_after(lifetime=HEALTHY_SECONDS) == 0.0
    assert restarts.wait_after(lifetime=1) == 0.5
