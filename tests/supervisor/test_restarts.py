"""The wait before a dead child is started again."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from executions.supervisor.restarts import Restarts


def test_the_wait_doubles_from_a_fifth_of_a_second_up_to_ten() -> None:
    restarts = Restarts()

    waits = [restarts.after_death(lived_s=1) for _ in range(8)]

    assert waits == [0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10, 10]


def test_a_child_that_was_healthy_for_a_minute_is_back_at_once() -> None:
    restarts = Restarts()
    for _ in range(6):
        restarts.after_death(lived_s=1)

    assert restarts.after_death(lived_s=60) == 0.2
    assert restarts.in_a_row == 1


@given(st.lists(st.floats(min_value=0, max_value=1e9)))
def test_whatever_happens_the_wait_stays_between_its_bounds(lives: list[float]) -> None:
    restarts = Restarts()

    for lived_s in lives:
        wait = restarts.after_death(lived_s=lived_s)

        assert 0.2 <= wait <= 10
        assert (wait == 0.2) == (restarts.in_a_row == 1)


def test_it_dies_for_weeks_without_an_overflow() -> None:
    restarts = Restarts(in_a_row=10**7)

    assert restarts.after_death(lived_s=0) == 10
