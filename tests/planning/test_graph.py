"""Waves, chains and order of the dependency graph."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from executions.planning.graph import Cycle, build_graph


@st.composite
def acyclic(draw: st.DrawFn) -> dict[str, list[str]]:
    """Atoms that depend only on atoms before them in a hidden order, listed in another one."""
    size = draw(st.integers(0, 25))
    names = [f"a{number}" for number in range(size)]
    graph = {
        name: draw(st.lists(st.sampled_from(names[:number]), max_size=4)) if number else []
        for number, name in enumerate(names)
    }
    return {name: graph[name] for name in draw(st.permutations(names))}


@given(acyclic())
def test_every_dependency_lies_in_an_earlier_wave(depends_on: dict[str, list[str]]) -> None:
    wave_of = build_graph(depends_on).wave_of
    assert all(wave_of[name] < wave_of[key] for key, names in depends_on.items() for name in names)


@given(acyclic())
def test_every_wave_number_is_the_smallest_possible(depends_on: dict[str, list[str]]) -> None:
    wave_of = build_graph(depends_on).wave_of
    for key, names in depends_on.items():
        assert wave_of[key] == 1 + max((wave_of[name] for name in names), default=0)


@given(acyclic())
def test_waves_hold_every_atom_once_in_the_order_of_the_plan(depends_on: dict[str, list[str]]) -> None:
    graph = build_graph(depends_on)
    position = {key: number for number, key in enumerate(depends_on)}
    assert sorted(key for wave in graph.waves for key in wave) == sorted(depends_on)
    assert all(list(wave) == sorted(wave, key=position.__getitem__) for wave in graph.waves)
    assert graph.wave_of == {key: n for n, wave in enumerate(graph.waves, 1) for key in wave}
    assert graph.order == tuple(key for wave in graph.waves for key in wave)


@given(acyclic())
def test_the_chain_is_the_longest_way_to_an_atom_nothing_depends_on(depends_on: dict[str, list[str]]) -> None:
    graph = build_graph(depends_on)
    for key in depends_on:
        users = [other for other, names in depends_on.items() if key in names]
        assert sorted(graph.dependents[key]) == sorted(users)
        assert graph.chain[key] == 1 + max((graph.chain[user] for user in users), default=0)


@given(acyclic(), st.data())
def test_a_back_edge_is_found_and_spelled_out_as_a_real_cycle(
    depends_on: dict[str, list[str]], data: st.DataObject
) -> None:
    order = build_graph(depends_on).order
    if not order:
        return
    last = data.draw(st.sampled_from(order))
    first = data.draw(st.sampled_from([last, *depends_on[last]]))
    depends_on[first] = [*depends_on[first], last]
    with pytest.raises(Cycle) as caught:
        build_graph(depends_on)
    keys = caught.value.keys
    assert keys[0] == keys[-1]
    assert all(after in depends_on[before] for before, after in itertools.pairwise(keys))


def test_a_cycle_reads_in_the_direction_of_depends_on_from_the_first_atom_of_the_plan() -> None:
    with pytest.raises(Cycle, match="a → c → b → a"):
        build_graph({"a": ["c"], "b": ["a"], "c": ["b"]})


def test_an_atom_that_depends_on_itself_is_a_cycle() -> None:
    with pytest.raises(Cycle) as caught:
        build_graph({"a": ["a"]})
    assert caught.value.keys == ("a", "a")


def test_a_dependency_outside_the_plan_is_an_error() -> None:
    with pytest.raises(ValueError, match="'nobody', which is no atom"):
        build_graph({"a": ["nobody"]})


def test_naming_a_dependency_twice_counts_once() -> None:
    graph = build_graph({"a": [], "b": ["a", "a"]})
    assert graph.waves == (("a",), ("b",))
    assert graph.dependents == {"a": ("b",), "b": ()}


def test_no_atoms_make_no_waves() -> None:
    assert build_graph({}).waves == ()


def test_a_chain_of_ten_thousand_atoms_needs_no_deep_stack() -> None:
    size = 10_000
    depends_on = {f"a{n}": [f"a{n - 1}"] if n else [] for n in reversed(range(size))}
    graph = build_graph(depends_on)
    assert len(graph.waves) == size
    assert graph.chain["a0"] == size
    assert graph.order[-1] == f"a{size - 1}"
