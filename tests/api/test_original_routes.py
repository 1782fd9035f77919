"""The nine routes that clients of the original know: paths, field names, status codes, words."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import pytest

from executions.engine.transaction import open_transaction
from executions.models import AtomRun, Execution
from executions.services.control import cancel_execution, pause_execution
from executions.states import ExecutionStatus, WaveStatus
from tests.api.people import Person

IDS = {"execution_id", "masterplan_id", "status", "state"}
COUNTERS = {
    "current_wave",
    "total_waves",
    "atoms_completed",
    "atoms_total",
    "atoms_succeeded",
    "atoms_failed",
}
BILL = {"total_cost_usd", "total_time_seconds", "started_at", "completed_at"}
PERCENTS = {"completion_percent", "precision_percent"}


def status_of(execution: Execution, status: ExecutionStatus) -> None:
    """Put the execution into a state, by way of the table of transitions."""
    with open_transaction(execution.id) as unit:
        locked = unit.executions[execution.id]
        if locked.status is ExecutionStatus.PENDING and status is not ExecutionStatus.PENDING:
            unit.set_status(locked, ExecutionStatus.RUNNING, "run")
        if locked.status is not status:
            unit.set_status(locked, status, "go on")
    execution.refresh_from_db()


@pytest.mark.parametrize(
    ("route", "fields"),
    [
        ("", IDS | COUNTERS | BILL),
        ("/progress", IDS | COUNTERS | PERCENTS),
        ("/metrics", IDS | COUNTERS | PERCENTS | BILL),
        ("/waves/1", {"wave_id", "execution_id", "status", "current"}),
        (
            "/atoms/a1.0",
            {"atom_id", "execution_id", "success", "state", "attempts", "code", "error", "time_seconds"},
        ),
    ],
)
def test_the_fields_are_the_originals(
    route: str, fields: set[str], ada: Person, begin: Callable[..., Execution]
) -> None:
    execution = begin(ada)

    answer = ada.client.get(f"/api/v2/execution/{execution.id}{route}")

    assert answer.status_code == 200
    assert answer.json().keys() == fields
    assert answer.json()["execution_id"] == str(execution.id)


def test_a_new_execution_is_told_truly(ada: Person, begin: Callable[..., Execution]) -> None:
    execution = begin(ada, 2, 1)

    status = ada.client.get(f"/api/v2/execution/{execution.id}/metrics").json()

    assert status == {
        "execution_id": str(execution.id),
        "masterplan_id": str(execution.masterplan_id),
        "status": "pending",
        "state": "pending",
        "current_wave": 0,
        "total_waves": 2,
        "atoms_completed": 0,
        "atoms_total": 3,
        "atoms_succeeded": 0,
        "atoms_failed": 0,
        "completion_percent": 0.0,
        "precision_percent": 0.0,
        "total_cost_usd": 0.0,
        "total_time_seconds": 0.0,
        "started_at": None,
        "completed_at": None,
    }


@pytest.mark.parametrize(
    ("state", "word"),
    [
        (ExecutionStatus.RUNNING, "running"),
        (ExecutionStatus.PAUSING, "running"),
        (ExecutionStatus.COMPLETED, "completed"),
        (ExecutionStatus.FAILED, "failed"),
        (ExecutionStatus.CANCELLING, "running"),
    ],
)
def test_the_originals_word_stands_beside_ours(
    state: ExecutionStatus, word: str, ada: Person, begin: Callable[..., Execution]
) -> None:
    execution = begin(ada)
    status_of(execution, state)

    told = ada.client.get(f"/api/v2/execution/{execution.id}").json()

    assert (told["status"], told["state"]) == (word, state.value)


def test_a_waves_status_is_its_own(ada: Person, begin: Callable[..., Execution]) -> None:
    execution = begin(ada, 1, 1, 1)
    with open_transaction(execution.id) as unit:
        locked = unit.executions[execution.id]
        for number, status in ((1, WaveStatus.COMPLETED), (2, WaveStatus.RUNNING)):
            unit.wave(locked, number).status = status
        locked.current_wave = 2
        locked.changed = True

    def wave(number: int) -> Any:
        return ada.client.get(f"/api/v2/execution/{execution.id}/waves/{number}").json()

    assert [wave(number)["status"] for number in (1, 2, 3)] == ["completed", "running", "pending"]
    assert [wave(number)["current"] for number in (1, 2, 3)] == [False, True, False]
    assert wave(2)["wave_id"] == 2


@pytest.mark.parametrize("wave", ["0", "4", "-1", "1.5", "one", "99999999999999999999", "²"])
def test_an_unknown_wave_is_404(wave: str, ada: Person, begin: Callable[..., Execution]) -> None:
    execution = begin(ada, 1, 1, 1)

    answer = ada.client.get(f"/api/v2/execution/{execution.id}/waves/{wave}")

    assert answer.status_code == 404
    assert set(answer.json()) == {"detail"}


@pytest.mark.parametrize(
    "atom", ["a9.9", "A1.0", "01a20da8-5692-7c0e-88d3-0f47ad0d7b7e", "a1.0%00", "a%2Fb", "a/b/c"]
)
def test_an_unknown_atom_is_404(atom: str, ada: Person, begin: Callable[..., Execution]) -> None:
    execution = begin(ada)

    assert ada.client.get(f"/api/v2/execution/{execution.id}/atoms/{atom}").status_code == 404


def test_an_atom_is_found_by_key_and_by_uuid_but_not_in_another_execution(
    ada: Person, begin: Callable[..., Execution]
) -> None:
    execution, other = begin(ada, name="one"), begin(ada, name="other")
    run = AtomRun.objects.get(execution=execution, key="a1.0")

    by_key = ada.client.get(f"/api/v2/execution/{execution.id}/atoms/a1.0")
    by_uuid = ada.client.get(f"/api/v2/execution/{execution.id}/atoms/{run.id}")

    assert by_key.json() == by_uuid.json()
    assert ada.client.get(f"/api/v2/execution/{other.id}/atoms/{run.id}").status_code == 404


@pytest.mark.parametrize("route", ["", "/progress", "/metrics", "/waves/1", "/atoms/a1.0"])
@pytest.mark.parametrize(
    ("identifier", "status"),
    [
        ("nonsense", 400),
        ("12345678123456781234567812345678", 400),
        ("{12345678-1234-5678-1234-567812345678}", 400),
        ("start", None),
        ("01a20da8-5692-7c0e-88d3-0f47ad0d7b7e", 404),
    ],
)
def test_a_malformed_id_is_400_and_an_unknown_one_404(
    route: str, identifier: str, status: int | None, ada: Person
) -> None:
    answer = ada.client.get(f"/api/v2/execution/{identifier}{route}")

    # The one path that is another route: it takes only POST.
    assert answer.status_code == (status or (400 if route else 405))
    assert set(answer.json()) == {"detail"}


@pytest.mark.parametrize("action", ["pause", "resume"])
def test_a_malformed_id_cannot_be_steered(action: str, ada: Person) -> None:
    assert ada.client.post(f"/api/v2/execution/nonsense/{action}").status_code == 400
    assert ada.client.post(f"/api/v2/execution/{uuid.uuid4()}/{action}").status_code == 404


def test_pause_and_resume_answer_with_the_state_reached(ada: Person, begin: Callable[..., Execution]) -> None:
    execution = begin(ada)

    paused = ada.client.post(f"/api/v2/execution/{execution.id}/pause")
    again = ada.client.post(f"/api/v2/execution/{execution.id}/pause")
    resumed = ada.client.post(f"/api/v2/execution/{execution.id}/resume")

    assert paused.json().keys() == IDS | {"message"}
    assert (paused.status_code, paused.json()["status"]) == (200, "paused")
    assert again.json() == paused.json()
    assert (resumed.status_code, resumed.json()["status"]) == (200, "pending")


@pytest.mark.parametrize("action", ["pause", "resume"])
def test_a_wrong_state_is_400_and_named(action: str, ada: Person, begin: Callable[..., Execution]) -> None:
    execution = begin(ada)
    cancel_execution(execution_id=execution.id, actor=ada.user)

    answer = ada.client.post(f"/api/v2/execution/{execution.id}/{action}")

    assert answer.status_code == 400
    assert answer.json() == {"detail": f"cannot {action}: the execution is cancelled"}


def test_health_is_no_execution_and_counts_only_the_active(
    ada: Person, begin: Callable[..., Execution]
) -> None:
    begin(ada, name="one")
    ended, paused = begin(ada, name="two"), begin(ada, name="three")
    cancel_execution(execution_id=ended.id, actor=ada.user)
    pause_execution(execution_id=paused.id, actor=ada.user)

    health = ada.client.get("/api/v2/execution/health").json()

    assert health.keys() == {"service", "status", "version", "active_executions"}
    assert (health["status"], health["active_executions"]) == ("healthy", 1)


def test_a_slash_at_the_end_changes_nothing(ada: Person, begin: Callable[..., Execution]) -> None:
    execution = begin(ada)
    for route in (
        "/api/v2/execution/health",
        f"/api/v2/execution/{execution.id}",
        f"/api/v2/execution/{execution.id}/waves/1",
        f"/api/v2/execution/{execution.id}/atoms/a1.0",
        "/api/v2/executions",
        f"/api/v2/executions/{execution.id}/atoms",
    ):
        without, with_slash = ada.client.get(route), ada.client.get(route + "/")

        assert without.status_code == with_slash.status_code == 200
        assert without.json() == with_slash.json()
