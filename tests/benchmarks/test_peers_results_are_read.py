"""A peer's runs, kept as JSON, become rows of the table; a peer that failed is named with the reason."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from benchmarks.peers.results import Failure, PeersResult, pairs_of, read_result
from benchmarks.peers.tables import render
from benchmarks.results import BARE, Case, Run


def run(executor: str, *, wall_s: float, cpu_s: float, database_s: float = 0.0) -> Run:
    return Run(
        executor=executor,
        wall_s=wall_s,
        cpu_s=cpu_s,
        workers_cpu_s=cpu_s - database_s,
        database_cpu_s=database_s,
        idle_cpu_s=0.0,
        window_s=wall_s,
        command_cpu_s=0.0,
        model_cpu_s=0.0,
        peak_mb=150.0,
        calls=1_000,
        most_in_flight=100,
        bound_s=2.0,
        barrier_s=2.0,
        load_before=0.5,
        others_cores=0.0,
        transactions=None if executor == BARE else 2_000,
        others_transactions=0,
    )


def result() -> PeersResult:
    runs = [
        run(BARE, wall_s=2.0, cpu_s=1.0),
        run("langgraph", wall_s=4.0, cpu_s=3.0, database_s=1.0),
        # The second round runs the other way round.
        run("langgraph", wall_s=10.0, cpu_s=5.0, database_s=1.0),
        run(BARE, wall_s=4.0, cpu_s=1.0),
    ]
    return PeersResult(
        at="2026-01-01T00:00:00",
        machine={"cpu": "a processor", "cores": 2, "memory_gb": 4, "system": "Linux", "python": "3.11"},
        database="PostgreSQL 15",
        versions={"langgraph": "1.2.3"},
        cases=[Case("postgres", "W1", "0.2", 1_000, runs)],
        failures=[Failure("celery", "W1", "0.2", "redis-server is not installed")],
    )


def test_what_was_saved_is_read_again(tmp_path: Path) -> None:
    assert read_result(result().save(tmp_path)) == result()


def test_each_run_of_a_peer_is_paired_with_the_baselines_next_to_it() -> None:
    (case,) = result().cases

    assert [(one.wall_s, other.wall_s) for one, other in pairs_of(case)["langgraph"]] == [
        (4.0, 2.0),
        (10.0, 4.0),
    ]


def test_the_table_sets_a_peer_beside_the_baseline(tmp_path: Path) -> None:
    shown = render(read_result(result().save(tmp_path)))

    assert (
        "| W1 | 0.2 s | LangGraph | 175 | 7.00 | 4.00 (database 1.00) | 3.00 | 1.00 | 2.25 | 4.00 | 3.500 | 100 | 150 |"
        " 2.00 | 0.5 | 0.0 |"
    ) in shown
    assert "| LangGraph | langgraph 1.2.3," in shown


def test_a_peer_that_failed_is_named_with_the_reason() -> None:
    assert "**Celery failed** on W1, latency 0.2 s: redis-server is not installed" in render(result())


def test_a_database_that_others_used_is_marked() -> None:
    busy = result()
    (case,) = busy.cases
    busy.cases = [replace(case, runs=[replace(one, others_transactions=1_000) for one in case.runs])]

    assert "†" not in render(result())
    assert "| 4.00 (database 1.00) † |" in render(busy)
