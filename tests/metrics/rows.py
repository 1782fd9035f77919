"""The same numbers as `/metrics`, counted anew from the rows that they are about."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any

import pytest

from tests.metrics.exposition import Scrape

Query = Callable[[str], list[tuple[Any, ...]]]
"""Runs SQL."""

NANO = 1_000_000_000
ENDED = ("succeeded", "failed", "blocked", "cancelled", "dead_lettered")
FAILED = ("transport_error", "truncated", "refused", "lost")


def assert_counters_equal_rows(scrape: Scrape, query: Query) -> None:
    """Holds as long as nothing was deleted, retried or reopened."""
    assert _told(scrape) == _counted(query)
    cost, lost = query(
        "SELECT COALESCE(SUM(cost_nano_usd), 0), COALESCE(SUM(lost_nano_usd), 0) FROM executions_execution"
    )[0]
    assert scrape("mge_cost_usd_total") == pytest.approx(float(cost) / NANO, abs=1e-12)
    assert scrape.sum("v2_execution_cost_usd_total") == pytest.approx(float(cost) / NANO, abs=1e-12)
    assert scrape("mge_possibly_spent_usd") == pytest.approx(float(lost) / NANO, abs=1e-12)
    assert scrape.sum("v2_atoms_succeeded_total") == scrape("mge_atoms_ended_total", status="succeeded")


def _told(scrape: Scrape) -> dict[Any, Any]:
    changes = {
        tuple(sorted(labels)): value
        for (name, labels), value in scrape.samples.items()
        if name == "v2_retry_temperature_changes_total" and value
    }
    return {
        **{("atoms", word): scrape("mge_atoms_ended_total", status=word) for word in ENDED},
        **{("calls", word): scrape("mge_calls_failed_total", outcome=word) for word in FAILED},
        **{("attempt", one): scrape("v2_retry_attempts_total", attempt_number=one) for one in range(1, 21)},
        "calls": scrape("mge_calls_total"),
        "tokens in": scrape("mge_tokens_total", direction="input"),
        "tokens out": scrape("mge_tokens_total", direction="output"),
        "completed waves": scrape.sum("v2_wave_time_seconds_count"),
        "ended executions": scrape.sum("mge_executions_ended_total"),
        "ended atoms that had started": scrape("v2_atom_execution_time_seconds_count"),
        "late writes": scrape("mge_late_writes_total"),
        "lost leases": scrape("mge_leases_lost_total"),
        "passed at first": scrape("mge_verdicts_total", attempt="first", verdict="passed"),
        "passed at a retry": scrape("mge_verdicts_total", attempt="retry", verdict="passed"),
        "temperature changes": changes,
    }


def _counted(query: Query) -> dict[Any, Any]:
    atoms = dict(query("SELECT status, COUNT(*) FROM executions_atomrun GROUP BY status"))
    outcomes = dict(query("SELECT outcome, COUNT(*) FROM executions_call GROUP BY outcome"))
    events = dict(query("SELECT type, COUNT(*) FROM executions_event GROUP BY type"))
    waves = dict(query("SELECT status, COUNT(*) FROM executions_wave GROUP BY status"))
    attempts = query(
        "SELECT atom_run_id, number, status, rung FROM executions_attempt ORDER BY atom_run_id, number"
    )
    judged = Counter(number for _, number, status, _ in attempts if status in ("passed", "rejected"))
    tokens_in, tokens_out = query(
        "SELECT COALESCE(SUM(input_tokens), 0), COALESCE(SUM(output_tokens), 0) FROM executions_call"
    )[0]
    return {
        **{("atoms", word): atoms.get(word, 0) for word in ENDED},
        **{("calls", word): outcomes.get(word, 0) for word in FAILED},
        **{("attempt", number): judged[number] for number in range(1, 21)},
        "calls": sum(outcomes.values()),
        "tokens in": tokens_in,
        "tokens out": tokens_out,
        "completed waves": waves.get("completed", 0),
        "ended executions": query("SELECT COUNT(*) FROM executions_execution WHERE ended_at IS NOT NULL")[0][
            0
        ],
        "ended atoms that had started": query(
            "SELECT COUNT(*) FROM executions_atomrun WHERE started_at IS NOT NULL AND ended_at IS NOT NULL"
        )[0][0],
        "late writes": events.get("lease.late_write", 0),
        "lost leases": events.get("lease.lost", 0),
        "passed at first": sum(1 for _, number, status, _ in attempts if (number, status) == (1, "passed")),
        "passed at a retry": sum(1 for _, number, status, _ in attempts if number > 1 and status == "passed"),
        "temperature changes": _temperature_changes(attempts),
    }


def _temperature_changes(attempts: list[tuple[Any, ...]]) -> dict[Any, int]:
    changes: Counter[tuple[tuple[str, str], ...]] = Counter()
    for (run, _, _, rung), (next_run, _, _, next_rung) in pairwise(attempts):
        before, after = _temperature(rung), _temperature(next_rung)
        if run == next_run and before != after:
            changes[("from_temp", before), ("to_temp", after)] += 1
    return changes


def _temperature(rung: str | Mapping[str, Any]) -> str:
    """A JSON column is text on one database and a mapping on the other."""
    asked = (json.loads(rung) if isinstance(rung, str) else rung)["temperature"]
    return "none" if asked is None else f"{asked:g}"
