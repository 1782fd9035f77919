"""Bounds on graphs small enough to be worked out by hand, and against one another on any graph."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from benchmarks.bounds import barriers, critical_path, list_scheduled, lower_bound, seconds_per_atom
from executions.planning.graph import build_graph

DIAMOND = {"a": (), "b": ("a",), "c": ("a",), "d": ("b", "c")}
SECONDS = {"a": 1.0, "b": 2.0, "c": 5.0, "d": 1.0}
TWO_CHAINS = {"a1": (), "b1": (), "a2": ("a1",), "b2": ("b1",)}


def test_the_critical_path_of_a_diamond_goes_through_its_slower_side() -> None:
    assert critical_path(DIAMOND, SECONDS) == 7.0


def test_with_few_slots_the_work_is_the_bound() -> None:
    wide = {str(number): () for number in range(10)}
    assert lower_bound(wide, dict.fromkeys(wide, 1.0), concurrency=2) == 5.0
    assert lower_bound(DIAMOND, SECONDS, concurrency=2) == 7.0
    assert lower_bound(DIAMOND, SECONDS, concurrency=1) == 9.0


def test_a_barrier_waits_for_the_slowest_of_each_wave() -> None:
    seconds = {"a1": 1.0, "b1": 4.0, "a2": 4.0, "b2": 1.0}
    assert barriers(TWO_CHAINS, seconds) == 8.0
    assert lower_bound(TWO_CHAINS, seconds) == 5.0


def test_a_wave_that_has_more_work_than_slots_takes_its_work() -> None:
    wide = {**{str(number): () for number in range(4)}, "last": ("0",)}
    assert barriers(wide, dict.fromkeys(wide, 1.0), concurrency=2) == 3.0


def test_the_attempts_of_an_atom_add_up() -> None:
    log = [
        {"atom": "a", "seconds": 1.5},
        {"atom": None, "seconds": 9.0},
        {"atom": "b", "seconds": 1.0},
        {"atom": "a", "seconds": 0.5},
    ]
    assert seconds_per_atom(log) == {"a": 2.0, "b": 1.0}


def test_an_executor_without_overhead_starts_the_longest_chain_first() -> None:
    graph = {"single": (), "a1": (), "a2": ("a1",)}
    assert list_scheduled(graph, {"single": 2.0, "a1": 1.0, "a2": 1.0}, {}, concurrency=1) == 4.0
    assert list_scheduled(graph, {"single": 2.0, "a1": 1.0, "a2": 1.0}, {}, concurrency=2) == 2.0


@st.composite
def graphs(draw: st.DrawFn) -> tuple[dict[str, tuple[str, ...]], dict[str, float]]:
    depends_on: dict[str, tuple[str, ...]] = {}
    for number in range(draw(st.integers(1, 12))):
        earlier = sorted(depends_on)
        needed = draw(st.sets(st.sampled_from(earlier), max_size=3)) if earlier else set()
        depends_on[str(number)] = tuple(sorted(needed))
    seconds = {key: float(draw(st.integers(1, 9))) for key in depends_on}
    return depends_on, seconds


@given(graphs(), st.integers(1, 4))
def test_no_executor_beats_its_bound(
    graph: tuple[dict[str, tuple[str, ...]], dict[str, float]], slots: int
) -> None:
    depends_on, seconds = graph
    bound, barrier = lower_bound(depends_on, seconds, slots), barriers(depends_on, seconds, slots)
    waves = build_graph(depends_on).wave_of

    assert bound <= barrier + 1e-9
    assert list_scheduled(depends_on, seconds, {}, slots) >= bound - 1e-9
    assert list_scheduled(depends_on, seconds, waves, slots) >= barrier - 1e-9
