"""Attempts and calls: numbered without gaps, open only under a lease, each in the execution and atom that it says."""

from __future__ import annotations

from collections.abc import Iterator

from executions.engine import dialect
from executions.services.consistency.inconsistency import Inconsistency
from executions.services.consistency.stored import StoredExecution, name_of

ATTEMPTS = "attempts"
CALLS = "calls"
REFERENCES = "references"


def attempts_fit(stored: StoredExecution) -> Iterator[Inconsistency]:
    """Numbers of the model's attempts are consecutive in each generation; one that runs belongs to an atom that has not ended."""
    for key, generation, count, first, last in stored.of_execution(
        "SELECT r.key, a.generation, COUNT(*), MIN(a.number), MAX(a.number) FROM executions_attempt a"
        " JOIN executions_atomrun r ON r.id = a.atom_run_id WHERE a.execution_id = %s AND a.kind = 'model'"
        " GROUP BY r.id, r.key, a.generation HAVING MIN(a.number) <> 1 OR MAX(a.number) <> COUNT(*)"
    ):
        place = f"numbers of the attempts of {key}, generation {generation}"
        yield stored.wrong(ATTEMPTS, place, f"1 to {count}", f"{first} to {last}")
    for key, status, generation, number, current in stored.of_execution(
        "SELECT r.key, r.status, a.generation, a.number, r.generation FROM executions_attempt a"
        " JOIN executions_atomrun r ON r.id = a.atom_run_id WHERE a.execution_id = %s AND a.status = 'running'"
        " AND (r.status NOT IN ('pending', 'ready', 'generating', 'validating') OR a.generation <> r.generation OR a.superseded)"
    ):
        yield stored.wrong(
            ATTEMPTS,
            f"running attempt {number} of {key}, generation {generation}",
            "of an atom under way, in its generation",
            f"{status}, generation {current}",
        )
    for key, generation, current in stored.of_execution(
        "SELECT r.key, a.generation, r.generation FROM executions_attempt a JOIN executions_atomrun r ON r.id = a.atom_run_id"
        " WHERE a.execution_id = %s AND (a.generation > r.generation"
        " OR (a.generation < r.generation AND NOT a.superseded))"
    ):
        expected = f"superseded, generation below {current}" if generation < current else f"at most {current}"
        yield stored.wrong(ATTEMPTS, f"attempt of {key}, generation {generation}", expected, "not so")
    for key, number, ended in stored.of_execution(
        "SELECT r.key, a.number, a.ended_at IS NOT NULL FROM executions_attempt a JOIN executions_atomrun r"
        " ON r.id = a.atom_run_id WHERE a.execution_id = %s AND (a.status = 'running') = (a.ended_at IS NOT NULL)"
    ):
        found = "set" if ended else "not set"
        yield stored.wrong(ATTEMPTS, f"ended_at of attempt {number} of {key}", "set when it ended", found)


def calls_fit(stored: StoredExecution) -> Iterator[Inconsistency]:
    """An open call belongs to a running attempt of an atom under the very lease that made it; ordinals have no gaps."""
    for key, ordinal, attempt, status, owner, fence, holder, current in stored.of_execution(
        "SELECT r.key, c.ordinal, a.status, r.status, c.owner, c.fence, r.lease_owner, r.fence FROM executions_call c"
        " JOIN executions_attempt a ON a.id = c.attempt_id JOIN executions_atomrun r ON r.id = a.atom_run_id"
        " WHERE c.execution_id = %s AND c.outcome = '' AND (a.status <> 'running' OR r.lease_owner <> c.owner"
        " OR r.fence <> c.fence OR r.status NOT IN ('generating', 'validating'))"
    ):
        yield stored.wrong(
            CALLS,
            f"open call {ordinal} of {key}",
            f"a running attempt under the lease of {owner}, fence {fence}",
            f"attempt {attempt}, atom {status} under {holder or 'nobody'}, fence {current}",
        )
    for key, number, count, first, last, still in stored.of_execution(
        "SELECT r.key, a.number, COUNT(*), MIN(c.ordinal), MAX(c.ordinal), SUM(CASE WHEN c.outcome = '' THEN 1 ELSE 0 END)"
        " FROM executions_call c JOIN executions_attempt a ON a.id = c.attempt_id"
        " JOIN executions_atomrun r ON r.id = a.atom_run_id WHERE c.execution_id = %s"
        " GROUP BY r.id, r.key, a.id, a.number HAVING MIN(c.ordinal) <> 1 OR MAX(c.ordinal) <> COUNT(*)"
        " OR SUM(CASE WHEN c.outcome = '' THEN 1 ELSE 0 END) > 1"
    ):
        place = f"calls of attempt {number} of {key}"
        yield stored.wrong(CALLS, place, f"1 to {count}, one open", f"{first} to {last}, {int(still)} open")
    for call_id, outcome in stored.of_execution(
        "SELECT c.id, c.outcome FROM executions_call c WHERE c.execution_id = %s"
        " AND ((c.outcome = '') = (c.ended_at IS NOT NULL) OR (c.outcome = '' AND c.cost_nano_usd IS NOT NULL))"
    ):
        found = f"outcome {outcome!r}"
        yield stored.wrong(CALLS, f"call {dialect.to_uuid(call_id)}", "an outcome with its end", found)
    for call_id, kind in stored.of_execution(
        "SELECT c.id, a.kind FROM executions_call c JOIN executions_attempt a ON a.id = c.attempt_id"
        " WHERE c.execution_id = %s AND a.kind <> 'model'"
    ):
        place = f"call {dialect.to_uuid(call_id)}"
        yield stored.wrong(CALLS, place, "of an attempt by the model", f"of kind {kind}")


def references_fit(stored: StoredExecution) -> Iterator[Inconsistency]:
    """Children name the execution of their parent; what was taken over says from where."""
    for side in ("a.execution_id", "r.execution_id"):
        for attempt_id, run_id in stored.of_execution(
            "SELECT a.id, a.atom_run_id FROM executions_attempt a JOIN executions_atomrun r ON r.id = a.atom_run_id"  # noqa: S608
            f" WHERE {side} = %s AND r.execution_id <> a.execution_id"
        ):
            place = f"attempt {dialect.to_uuid(attempt_id)} of atom {dialect.to_uuid(run_id)}"
            yield stored.wrong(REFERENCES, place, "both of one execution", "of two")
    for side in ("c.execution_id", "a.execution_id"):
        for call_id, attempt_id in stored.of_execution(
            "SELECT c.id, c.attempt_id FROM executions_call c JOIN executions_attempt a ON a.id = c.attempt_id"  # noqa: S608
            f" WHERE {side} = %s AND a.execution_id <> c.execution_id"
        ):
            place = f"call {dialect.to_uuid(call_id)} of attempt {dialect.to_uuid(attempt_id)}"
            yield stored.wrong(REFERENCES, place, "both of one execution", "of two")
    for run_id, number, kind, origin in stored.of_execution(
        "SELECT atom_run_id, number, kind, origin FROM executions_attempt WHERE execution_id = %s"
        " AND (kind IN ('cache', 'fork')) <> (origin IS NOT NULL)"
    ):
        place = (
            f"origin of attempt {number} ({kind}) of {name_of(dialect.to_uuid(run_id), stored.atoms_by_id)}"
        )
        expected = "set" if origin is None else "not set"
        yield stored.wrong(REFERENCES, place, expected, "not set" if origin is None else origin)
    if stored.row.forked_from_id is None:
        return
    for key, origin in stored.rows(
        "SELECT r.key, a.origin FROM executions_attempt a JOIN executions_atomrun r ON r.id = a.atom_run_id"
        " LEFT JOIN executions_attempt o ON o.id = a.origin AND o.execution_id = %s AND o.status = 'passed'"
        " WHERE a.kind = 'fork' AND o.id IS NULL AND a.execution_id = %s",
        dialect.uid(stored.row.forked_from_id),
        dialect.uid(stored.id),
    ):
        yield stored.wrong(REFERENCES, f"what {key} took over", "a passed attempt of its origin", origin)
