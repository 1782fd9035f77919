"""Results as files, compared with the last earlier one; the order of runs; percentiles."""

from __future__ import annotations

from pathlib import Path

from benchmarks.results import BARE, Case, Result, Run, Starts, stored
from benchmarks.rounds import order_of
from benchmarks.tables import percentile, render, row

MACHINE: dict[str, str | int | float] = {
    "cpu": "a processor",
    "cores": 2,
    "memory_gb": 4,
    "system": "Linux",
    "python": "3.11",
}


def run(executor: str, *, wall_s: float, cpu_s: float) -> Run:
    return Run(
        executor=executor,
        wall_s=wall_s,
        cpu_s=cpu_s,
        workers_cpu_s=cpu_s,
        database_cpu_s=0.0,
        idle_cpu_s=0.0,
        window_s=wall_s,
        command_cpu_s=0.0,
        model_cpu_s=0.0,
        peak_mb=100.0,
        calls=1_000,
        most_in_flight=100,
        bound_s=2.0,
        barrier_s=2.5,
        load_before=0.0,
        others_cores=0.0,
        transactions=None,
        others_transactions=0,
    )


def result(at: str, *, wall_s: float) -> Result:
    runs = [run(BARE, wall_s=2.0, cpu_s=1.0), run("waves", wall_s=wall_s, cpu_s=2.0)]
    case = Case("sqlite", "W1", "0.2", 1_000, runs)
    return Result(at, MACHINE, {"sqlite": "SQLite 3"}, [case], [Starts("sqlite", [0.1, 0.2])])


def test_what_was_saved_is_read_again_the_oldest_first(tmp_path: Path) -> None:
    newer, older = result("2026-01-02T00:00:00", wall_s=4.0), result("2026-01-01T00:00:00", wall_s=5.0)
    newer.save(tmp_path)
    older.save(tmp_path)

    assert stored(tmp_path) == [older, newer]


def test_a_row_sets_ours_beside_the_baseline_and_the_bounds() -> None:
    (case,) = result("2026-01-01T00:00:00", wall_s=5.0).cases

    assert row(case, "waves") == [
        *("W1", "0.2 s", "waves", "200", "5.00", "2.00"),
        *("500", "2.00", "1.00", "1.00", "2.50", "2.500", "2.000", "100", "-", "0.0"),
    ]


def test_a_result_is_compared_with_the_last_earlier_one() -> None:
    earlier = [result(f"2026-01-0{day}T00:00:00", wall_s=float(day)) for day in (1, 2)]

    shown = render(result("2026-01-03T00:00:00", wall_s=4.0), earlier)

    assert "| SQLite W1 0.2 s waves | 2026-01-02 00:00 | 2.00 → 4.00 (+100 %) | 2.00 → 2.00 (+0 %) |" in shown


def test_every_run_of_ours_is_next_to_one_of_the_baseline_and_the_order_alternates() -> None:
    assert [order_of(number, ["flow", "waves"]) for number in range(2)] == [
        ["flow", BARE, "waves"],
        ["waves", BARE, "flow"],
    ]
    assert [order_of(number, ["flow"]) for number in range(2)] == [[BARE, "flow"], ["flow", BARE]]


def test_a_percentile_is_the_nearest_rank() -> None:
    values = [float(number) for number in range(100, 0, -1)]

    assert percentile(values, 0.5) == 50.0
    assert percentile(values, 0.99) == 99.0
    assert percentile([7.0], 0.99) == 7.0
