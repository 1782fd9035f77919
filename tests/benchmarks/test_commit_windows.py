"""What `benchmarks.commit_windows` simulates: the runner's window is worth its rules."""

from __future__ import annotations

import pytest

from benchmarks.commit_windows import Simulation
from benchmarks.workloads import Workload, w1, w2

SEEDS = range(4)


def _total(workload: Workload, share: float | None, slots: int = 100) -> tuple[float, int]:
    """Makespans, in shortest ones, and transactions."""
    runs = [Simulation(workload, share, seed, slots) for seed in SEEDS]
    return sum(one.run() for one in runs), sum(one.transactions for one in runs)


@pytest.mark.parametrize("workload", [w1(), w2()], ids=lambda one: one.name)
def test_the_runners_window_is_neither_slower_nor_dearer_than_one_for_all(workload: Workload) -> None:
    makespan, transactions = _total(workload, None)
    makespan_of_all, transactions_of_all = _total(workload, 0.04)

    assert makespan < makespan_of_all
    assert transactions < 0.8 * transactions_of_all


@pytest.mark.parametrize("workload", [w1(), w2()], ids=lambda one: one.name)
def test_where_atoms_wait_for_slots_it_is_about_the_one_for_all(workload: Workload) -> None:
    makespan, transactions = _total(workload, None, slots=20)
    makespan_of_all, transactions_of_all = _total(workload, 0.04, slots=20)

    assert makespan == pytest.approx(makespan_of_all, rel=0.005)
    assert transactions == pytest.approx(transactions_of_all, rel=0.1)


def test_who_waits_longer_writes_less_often_and_ends_later() -> None:
    impatient, patient = _total(w1(), 0.0), _total(w1(), 0.1)

    assert impatient[0] < patient[0]
    assert impatient[1] > 2 * patient[1]
    assert impatient[0] >= len(SEEDS)
