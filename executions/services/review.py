"""Mend an atom by hand: a person supplies its code, which is judged like an answer of the model."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from executions.engine import dialect, doorbell
from executions.engine.attempt_rows import NewAttempt, insert_attempts
from executions.engine.reopening import RunRow, read_runs, ready_for_review, reopen_execution
from executions.engine.transaction import ExecutionTransaction, open_transaction
from executions.identity import new_id
from executions.services.audit import audit, locked
from executions.services.errors import InvalidRequest, NotFound
from executions.states import ATOM_LEASED, AtomStatus, AttemptKind, ExecutionStatus, WrongState

if TYPE_CHECKING:
    from django.contrib.auth.models import User

S, A = ExecutionStatus, AtomStatus
MOST_CODE = 64 * 1024
"""Bytes; an answer of the model may have no more either."""


def supply_code(
    *, execution_id: uuid.UUID, actor: User | None, atom: str, code: str, why: str = ""
) -> uuid.UUID:
    """Have a worker judge this code for the atom: accepted, it replaces what the atom has and frees what it blocked;
    rejected, the atom is what it was before. No call is made. What has been built on an accepted atom keeps its own code.

    Returns:
        The id of the attempt (kind `person`), where the verdict and the issues will be.

    Raises:
        NotFound: no such execution or atom.
        WrongState: the execution is being cancelled, was cancelled, or has not begun.
        InvalidRequest: the code is empty, too large or not text; the atom is worked on, waits for others, or waits for the
            verdict on another piece of code.
    """
    _check(code)
    with open_transaction(execution_id) as unit:
        execution = locked(unit, execution_id)
        if execution.status in (S.CANCELLING, S.CANCELLED, S.PENDING) or execution.started_at is None:
            raise WrongState("supply code", execution.status)
        runs = read_runs(unit, execution)
        run = runs.get(atom)
        if run is None:
            raise NotFound(f"there is no atom {atom!r} in this execution")
        _refuse_unless_at_rest(unit, run)
        attempt_id = new_id()
        generation, number = _next_number(unit, run)
        reopen_execution(unit, execution, "review")
        audit(unit, execution, "review", actor, why, wave=run.wave, atom=atom, attempt=number)
        ready_for_review(unit, execution, runs, run)
        insert_attempts(
            unit,
            [
                NewAttempt(
                    id=attempt_id,
                    execution_id=execution.id,
                    run_id=run.id,
                    generation=generation,
                    number=number,
                    kind=AttemptKind.PERSON,
                    author="command" if actor is None else actor.get_username(),
                    strategy="person",
                    code=code,
                )
            ],
        )
        unit.event(
            execution,
            "attempt.started",
            wave=run.wave,
            atom=atom,
            attempt=number,
            kind=AttemptKind.PERSON.value,
            strategy="person",
            temperature=None,
        )
        if execution.status is S.RUNNING:
            doorbell.ring(execution_id)
        return attempt_id


def _check(code: str) -> None:
    if not code.strip():
        raise InvalidRequest(["code: is empty"])
    if "\0" in code or len(code.encode("utf-8", "surrogatepass")) > MOST_CODE:
        raise InvalidRequest([f"code: must be text of at most {MOST_CODE // 1024} kB without NUL"])


def _refuse_unless_at_rest(unit: ExecutionTransaction, run: RunRow) -> None:
    if run.status in ATOM_LEASED:
        raise InvalidRequest([f"{run.key}: it is {run.status.value}; pause the execution first"])
    if run.status in (A.BLOCKED, A.PENDING):
        raise InvalidRequest([f"{run.key}: it is {run.status.value}, what it builds on is not there yet"])
    unit.cursor.execute(
        "SELECT kind FROM executions_attempt WHERE atom_run_id = %s AND status = 'running'",
        [dialect.uid(run.id)],
    )
    row = unit.cursor.fetchone()
    if row is not None:
        whose = "code of a person" if row[0] == AttemptKind.PERSON else "an attempt of the model"
        raise InvalidRequest([f"{run.key}: {whose} waits for its verdict"])


def _next_number(unit: ExecutionTransaction, run: RunRow) -> tuple[int, int]:
    unit.cursor.execute(
        "SELECT r.generation, COALESCE(MAX(a.number), 0) + 1 FROM executions_atomrun r LEFT JOIN executions_attempt a"
        " ON a.atom_run_id = r.id AND a.generation = r.generation WHERE r.id = %s GROUP BY r.generation",
        [dialect.uid(run.id)],
    )
    generation, number = unit.cursor.fetchone()
    return generation, number
