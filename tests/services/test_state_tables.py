"""The tables of states: complete, consistent with the sets beside them, and final where they say so."""

from __future__ import annotations

from collections.abc import Mapping, Set
from enum import StrEnum

import pytest

from executions import states
from executions.states import (
    ATOM_ENDED,
    ATOM_LEASED,
    ATOM_TRANSITIONS,
    ATTEMPT_COUNTED,
    EXECUTION_CLAIMABLE,
    EXECUTION_ENDED,
    EXECUTION_TRANSITIONS,
    ORIGINAL_WORD,
    AtomStatus,
    AttemptStatus,
    ExecutionStatus,
    WrongState,
    may_follow,
)

TABLES = [
    pytest.param(ExecutionStatus, EXECUTION_TRANSITIONS, ExecutionStatus.PENDING, id="execution"),
    pytest.param(AtomStatus, ATOM_TRANSITIONS, AtomStatus.PENDING, id="atom"),
]


@pytest.mark.parametrize(("kind", "table", "first"), TABLES)
def test_every_state_has_a_row_and_can_be_reached(
    kind: type[StrEnum], table: Mapping[StrEnum, Set[StrEnum]], first: StrEnum
) -> None:
    reached, ahead = set(), [first]
    while ahead:
        one = ahead.pop()
        if one not in reached:
            reached.add(one)
            ahead += table[one]

    assert set(table) == set(kind) == reached


@pytest.mark.parametrize(("kind", "table", "first"), TABLES)
def test_no_state_follows_itself(
    kind: type[StrEnum], table: Mapping[StrEnum, Set[StrEnum]], first: StrEnum
) -> None:
    assert [one for one in kind if one in table[one]] == []


@pytest.mark.parametrize(("kind", "table", "first"), TABLES)
def test_from_every_state_that_has_not_ended_the_end_can_be_reached(
    kind: type[StrEnum], table: Mapping[StrEnum, Set[StrEnum]], first: StrEnum
) -> None:
    ended: Set[StrEnum] = EXECUTION_ENDED if kind is ExecutionStatus else ATOM_ENDED
    for status in kind:
        seen, ahead = set(), [status]
        while ahead:
            one = ahead.pop()
            if one not in seen:
                seen.add(one)
                ahead += table[one]
        assert seen & ended, status


def test_an_ended_execution_can_only_be_reopened_and_a_cancelled_one_not_even_that() -> None:
    exits = {status: EXECUTION_TRANSITIONS[status] for status in EXECUTION_ENDED}

    assert exits == {
        ExecutionStatus.COMPLETED: {ExecutionStatus.RUNNING},
        ExecutionStatus.FAILED: {ExecutionStatus.RUNNING},
        ExecutionStatus.CANCELLED: set(),
    }


def test_an_ended_atom_leaves_only_for_another_try_or_by_a_person() -> None:
    again = {AtomStatus.PENDING, AtomStatus.READY}

    assert ATOM_TRANSITIONS[AtomStatus.CANCELLED] == set()
    for status in ATOM_ENDED - {AtomStatus.CANCELLED}:
        assert again <= ATOM_TRANSITIONS[status] <= again | {AtomStatus.SUCCEEDED}


def test_an_execution_that_is_being_cancelled_can_only_be_cancelled() -> None:
    assert EXECUTION_TRANSITIONS[ExecutionStatus.CANCELLING] == {ExecutionStatus.CANCELLED}


def test_every_running_state_of_an_execution_can_be_cancelled() -> None:
    for status in set(ExecutionStatus) - EXECUTION_ENDED - {ExecutionStatus.CANCELLING}:
        assert may_follow(status, ExecutionStatus.CANCELLING)


def test_a_leased_atom_can_be_given_back_and_can_end_in_every_way_that_is_its_own() -> None:
    own = {AtomStatus.SUCCEEDED, AtomStatus.FAILED, AtomStatus.CANCELLED, AtomStatus.DEAD_LETTERED}
    for status in ATOM_LEASED:
        assert own | {AtomStatus.READY} <= ATOM_TRANSITIONS[status]
        assert AtomStatus.BLOCKED not in ATOM_TRANSITIONS[status]


def test_the_sets_agree_with_each_other() -> None:
    assert not EXECUTION_CLAIMABLE & EXECUTION_ENDED
    assert not ATOM_LEASED & ATOM_ENDED
    assert set(AtomStatus) - ATOM_LEASED - ATOM_ENDED == {AtomStatus.PENDING, AtomStatus.READY}
    assert {AttemptStatus.PASSED, AttemptStatus.REJECTED} == ATTEMPT_COUNTED


def test_the_original_knows_six_words() -> None:
    known = {"pending", "running", "paused", "completed", "failed", "cancelled"}

    assert set(ORIGINAL_WORD) == set(ExecutionStatus)
    assert set(ORIGINAL_WORD.values()) == known
    assert ORIGINAL_WORD[ExecutionStatus.PAUSING] == ORIGINAL_WORD[ExecutionStatus.CANCELLING] == "running"


def test_every_state_is_lower_case_and_explained() -> None:
    source = states.__loader__.get_source(states.__name__)  # type: ignore[union-attr]
    for kind in (ExecutionStatus, AtomStatus, AttemptStatus):
        for status in kind:
            assert status.value == status.name.lower()
            assert f'    {status.name} = "{status.value}"\n    """' in source


def test_a_wrong_state_names_the_action_and_the_state() -> None:
    error = WrongState("pause", ExecutionStatus.COMPLETED)

    assert str(error) == "cannot pause: the execution is completed"
    assert (error.action, error.status) == ("pause", "completed")
