"""The same numbers as `/metrics`, counted anew from the rows that they are about."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.metrics.exposition import Scrape

Query = Callable[..., list[tuple[Any, ...]]]
"""Runs SQL; `?` marks parameters."""

NANO = 1_000_000_000


def assert_counters_equal_rows(scrape: Scrape, query: Query) -> None:
    """Holds as long as nothing was deleted, retried or reopened."""

    def one(sql: str) -> Any:
        return query(sql)[0][0]

    assert {
        **{("atoms", word): scrape("mge_atoms_ended_total", status=word) for word in ENDED},
        **{
            ("attempts", number): scrape("v2_retry_attempts_total", attempt_number=number)
            for number in range(1, 21)
        },
        **{("failed", word): scrape("mge_calls_failed_total", outcome=word) for word in FAILED},
        "calls": scrape("mge_calls_total"),
        "tokens": (
            scrape("mge_tokens_total", direction="input"),
            scrape("mge_tokens_total", direction="output"),
        ),
        "waves": scrape.sum("v2_wave_time_seconds_count"),
        "ended": scrape.sum("mge_executions_ended_total"),
        "atom times": scrape("v2_atom_execution_time_seconds_count"),
        "late": scrape("mge_late_writes_total"),
        "lost leases": scrape("mge_leases_lost_total"),
        "retries passed": scrape("mge_verdicts_total", attempt="retry", verdict="passed"),
        "first passed": scrape("mge_verdicts_total", attempt="first", verdict="passed"),
    } == {
        **{
            ("atoms", word): one(f"SELECT COUNT(*) FROM executions_atomrun WHERE status = '{word}'")
            for word in ENDED
        },
        **{
            ("attempts", number): one(
                f"SELECT COUNT(*) FROM executions_attempt WHERE number = {number} AND status IN ('passed', 'rejected')"
            )
            for number in range(1, 21)
        },
        **{
            ("failed", word): one(f"SELECT COUNT(*) FROM executions_call WHERE outcome = '{word}'")
            for word in FAILED
        },
        "calls": one("SELECT COUNT(*) FROM executions_call"),
        "tokens": query(
            "SELECT COALESCE(SUM(input_tokens), 0), COALESCE(SUM(output_tokens), 0) FROM executions_call"
        )[0],
        "waves": one("SELECT COUNT(*) FROM executions_wave WHERE status = 'completed'"),
        "ended": one("SELECT COUNT(*) FROM executions_execution WHERE ended_at IS NOT NULL"),
        "atom times": one(
            "SELECT COUNT(*) FROM executions_atomrun WHERE started_at IS NOT NULL AND ended_at IS NOT NULL"
        ),
        "late": one("SELECT COUNT(*) FROM executions_event WHERE type = 'lease.late_write'"),
        "lost leases": one("SELECT COUNT(*) FROM executions_event WHERE type = 'lease.lost'"),
        "retries passed": one(
            "SELECT COUNT(*) FROM executions_attempt WHERE number > 1 AND status = 'passed'"
        ),
        "first passed": one("SELECT COUNT(*) FROM executions_attempt WHERE number = 1 AND status = 'passed'"),
    }
    cost = one("SELECT COALESCE(SUM(cost_nano_usd), 0) FROM executions_call")
    assert scrape("mge_cost_usd_total") == pytest.approx(float(cost) / NANO, abs=1e-12)
    assert scrape.sum("v2_execution_cost_usd_total") == pytest.approx(float(cost) / NANO, abs=1e-12)
    lost = one("SELECT COALESCE(SUM(lost_nano_usd), 0) FROM executions_execution")
    assert scrape("mge_possibly_spent_usd") == pytest.approx(float(lost) / NANO, abs=1e-12)
    assert scrape.sum("v2_atoms_succeeded_total") == scrape("mge_atoms_ended_total", status="succeeded")


ENDED = ("succeeded", "failed", "blocked", "cancelled", "dead_lettered")
FAILED = ("transport_error", "truncated", "refused", "lost")
