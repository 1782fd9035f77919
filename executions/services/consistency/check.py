"""The doors: check one execution, all of them, or the database as a whole."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Iterator
from itertools import islice

from django.db import connection

from executions.live.feed import one_moment
from executions.models import Execution
from executions.services.consistency import atoms, attempts, counters, database, gates, history, states
from executions.services.consistency.inconsistency import Inconsistency
from executions.services.consistency.stored import StoredExecution
from executions.services.errors import NotFound

MOST_PER_CHECK = 100
"""Findings of one check in one execution that are told; the first are enough to know what happened."""

Check = Callable[[StoredExecution], Iterator[Inconsistency]]

CHECKS: tuple[Check, ...] = (
    counters.counters_equal_rows,
    counters.wave_counters_equal_rows,
    counters.attempts_equal_rows,
    states.execution_fits,
    states.waves_fit,
    states.terminal_means_terminal,
    atoms.atoms_are_those_of_the_plan,
    atoms.leases_fit,
    atoms.accepted_fits,
    atoms.waiting_fits_the_graph,
    atoms.dead_letters_died,
    attempts.attempts_fit,
    attempts.calls_fit,
    attempts.references_fit,
    gates.gates_fit,
    history.events_tell_the_rows,
)


def check_execution(execution_id: uuid.UUID) -> list[Inconsistency]:
    """Everything that is wrong with one execution, as of one moment; takes no lock, so work may go on meanwhile.

    Inside a transaction of the caller's it sees what that transaction sees. Raises NotFound when there is no such execution.
    """
    with one_moment(), connection.cursor() as cursor:
        row = Execution.objects.filter(pk=execution_id).first()
        if row is None:
            raise NotFound(f"there is no execution {execution_id}")
        stored = StoredExecution(cursor, row)
        return [found for check in CHECKS for found in islice(check(stored), MOST_PER_CHECK)]


def check_database() -> list[Inconsistency]:
    """What no single execution shows: rows without their parents, a damaged file."""
    with one_moment(), connection.cursor() as cursor:
        return list(database.rows_have_parents(cursor)) + list(database.file_is_sound(cursor))


def check_all(execution_ids: Iterable[uuid.UUID] | None = None) -> list[Inconsistency]:
    """Check the database and then every execution (or these), each as of a moment of its own, oldest first."""
    found = check_database()
    ids = execution_ids
    if ids is None:
        ids = list(Execution.objects.order_by("created_at").values_list("pk", flat=True))
    for execution_id in ids:
        try:
            found += check_execution(execution_id)
        except NotFound:
            continue  # pruned since the list was made
    return found
