"""The workloads of the benchmarks: sizes, dependencies, longest path, near misses; the same in every process."""

from __future__ import annotations

import ast
from collections import Counter
from pathlib import Path

import pytest

from benchmarks.workloads import WORKLOADS, w1, w2, w3, w4
from executions.planning.format import load_file
from executions.planning.graph import build_graph


def test_w1_has_ten_waves_of_a_hundred_and_each_atom_depends_on_three_of_the_wave_before() -> None:
    depends_on = w1().depends_on
    graph = build_graph(depends_on)

    assert [len(wave) for wave in graph.waves] == [100] * 10
    later = [key for wave in graph.waves[1:] for key in wave]
    assert {len(set(depends_on[key])) for key in later} == {3}
    assert all(graph.wave_of[one] == graph.wave_of[key] - 1 for key in later for one in depends_on[key])


def test_w2_has_a_thousand_atoms_in_waves_of_unlike_size_and_twenty_five_on_the_longest_path() -> None:
    workload = w2()
    graph = build_graph(workload.depends_on)

    assert workload.atoms == 1_000
    assert max(graph.chain.values()) == 25
    assert len({len(wave) for wave in graph.waves}) > 10
    assert {len(needed) for needed in workload.depends_on.values()} == {0, 1, 2, 3}


def test_w3_has_four_waves_of_two_thousand_five_hundred_and_up_to_three_dependencies() -> None:
    depends_on = w3().depends_on
    graph = build_graph(depends_on)

    assert [len(wave) for wave in graph.waves] == [2_500] * 4
    later = [key for wave in graph.waves[1:] for key in wave]
    assert {len(set(depends_on[key])) for key in later} == {1, 2, 3}
    assert all(graph.wave_of[one] == graph.wave_of[key] - 1 for key in later for one in depends_on[key])


def test_w4_is_w1_and_three_in_ten_atoms_need_two_to_four_attempts() -> None:
    workload = w4()
    attempts = Counter(miss["atom"] for miss in workload.near_misses)

    assert workload.depends_on == w1().depends_on
    assert len(attempts) == 300
    assert set(attempts.values()) == {1, 2, 3}
    assert workload.calls == 1_000 + sum(attempts.values())


def test_no_near_miss_of_w4_parses_and_no_two_of_an_atom_are_equal() -> None:
    misses = w4().near_misses

    for miss in misses:
        with pytest.raises(SyntaxError):
            ast.parse(miss["code"])
    assert len({(miss["atom"], miss["code"]) for miss in misses}) == len(misses)


@pytest.mark.parametrize("name", sorted(WORKLOADS))
def test_a_workload_is_the_same_every_time(name: str) -> None:
    assert WORKLOADS[name]() == WORKLOADS[name]()


@pytest.mark.parametrize("name", ["W1", "W2", "W4"])
def test_a_workload_is_a_plan_that_the_product_takes(name: str, tmp_path: Path) -> None:
    file, near_misses = WORKLOADS[name]().write(tmp_path)

    (stored,) = load_file(file)

    assert len(stored.atoms) == 1_000
    assert near_misses.is_file()
