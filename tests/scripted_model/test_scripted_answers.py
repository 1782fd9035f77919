"""Reading plan files and near misses, and choosing the atoms that get it wrong first."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from executions.scripted_model.answers import AnswersError, choose, read_atoms
from executions.scripted_model.library import Library
from executions.scripted_model.wording import FENCE_WORDS, answer_in_much_prose, answer_text

names = st.text(st.characters(codec="utf-8"), max_size=8)


@given(st.sets(st.tuples(names, names), max_size=30), st.floats(0, 1), st.integers(0, 9))
def test_exactly_the_share_is_chosen_and_order_does_not_matter(
    atoms: set[tuple[str, str]], share: float, seed: int
) -> None:
    chosen = choose(sorted(atoms), share=share, seed=seed)
    assert len(chosen) == round(share * len(atoms))
    assert chosen == choose(sorted(atoms, reverse=True), share=share, seed=seed)


@given(st.sets(st.tuples(names, names), max_size=30), st.floats(0, 1), st.floats(0, 1))
def test_a_larger_share_keeps_those_of_a_smaller_one(
    atoms: set[tuple[str, str]], one: float, other: float
) -> None:
    assert choose(atoms, share=min(one, other), seed=1) <= choose(atoms, share=max(one, other), seed=1)


def test_another_process_chooses_the_same_atoms() -> None:
    atoms = [("Plan", f"atom-{number}") for number in range(50)]
    program = (
        "from executions.scripted_model.answers import choose\n"
        "atoms = [('Plan', f'atom-{number}') for number in range(50)]\n"
        "print(sorted(choose(atoms, share=0.4, seed=3)))"
    )
    run = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).resolve().parents[2],
        env={**os.environ, "PYTHONHASHSEED": "77"},
    )
    assert run.stdout.strip() == str(sorted(choose(atoms, share=0.4, seed=3)))


def test_only_atoms_with_near_misses_can_be_chosen(make_plan: Callable[..., Path]) -> None:
    path = make_plan(atoms=5, near_misses={1: 1, 3: 2})
    atoms = read_atoms(path, [path.with_name("plan-near-miss.json")], share=1.0, seed=1)
    assert [len(atom.answers) for atom in atoms] == [1, 2, 1, 3, 1]


def test_near_misses_come_in_file_order_and_the_reference_last(make_plan: Callable[..., Path]) -> None:
    path = make_plan(atoms=1, near_misses={0: 2})
    (atom,) = read_atoms(path, [path.with_name("plan-near-miss.json")], share=1.0, seed=1)
    assert [answer.strip().rsplit(" ", 1)[-1] for answer in atom.answers] == ["1", "2", "0"]


def test_several_plans_and_yaml_are_read(tmp_path: Path) -> None:
    path = tmp_path / "plans.yaml"
    path.write_text(
        "masterplans:\n"
        "- name: A\n  atoms:\n  - {key: a, tests: 'import a', reference_solution: 'x = 1'}\n"
        "- name: B\n  atoms:\n  - {key: b, tests: \"import b\\r\\nb.c\\r\\n\", reference_solution: 'x = 2'}\n"
        "  - {key: untold, tests: 'import c'}\n"
    )
    atoms = read_atoms(path, [], share=0.4, seed=1)
    assert [(atom.plan, atom.key, atom.tests) for atom in atoms] == [
        ("A", "a", "import a"),
        ("B", "b", "import b\nb.c"),
    ]


@pytest.mark.parametrize(
    "content", ["", "[]", '{"name": "x"}', '{"atoms": 3}', '{"atoms": [1]}', '{"masterplans": [1]}']
)
def test_a_file_that_is_no_plan_is_named(tmp_path: Path, content: str) -> None:
    path = tmp_path / "bad.json"
    path.write_text(content)
    with pytest.raises(AnswersError, match=r"bad\.json"):
        read_atoms(path, [], share=0.4, seed=1)


def library_of(tmp_path: Path, complaints: list[str] | None = None) -> Library:
    complain = complaints.append if complaints is not None else pytest.fail
    return Library(share=1.0, seed=1, list_file=tmp_path / "list.txt", complain=complain)


def attempts(library: Library) -> dict[str, int]:
    return {script.atom.key: len(script.answers) for script in library.scripts()}


def test_a_folder_brings_sibling_near_misses_and_a_file_only_those_named(
    make_plan: Callable[..., Path], tmp_path: Path
) -> None:
    path = make_plan(atoms=1, near_misses={0: 2}, folder=tmp_path / "answers")
    by_folder, by_file, with_near_misses = (library_of(tmp_path) for _ in range(3))
    by_folder.load([path.parent], [])
    by_file.load([path], [])
    with_near_misses.load([path], [path.with_name("plan-near-miss.json")])
    assert [attempts(library) for library in (by_folder, by_file, with_near_misses)] == [
        {"atom-000": 3},
        {"atom-000": 1},
        {"atom-000": 3},
    ]


def test_near_misses_named_like_one_plan_file_are_not_used_for_another(
    make_plan: Callable[..., Path], tmp_path: Path
) -> None:
    one = make_plan(atoms=1, near_misses={0: 1}, stem="one", name="One")
    two = make_plan(atoms=1, stem="two", name="Two")
    library = library_of(tmp_path)
    library.load([one, two], [one.with_name("one-near-miss.json")])
    assert {script.atom.plan: len(script.answers) for script in library.scripts()} == {"One": 2, "Two": 1}


def test_near_misses_of_another_name_are_for_all_plan_files(
    make_plan: Callable[..., Path], tmp_path: Path
) -> None:
    path = make_plan(atoms=2, near_misses={1: 1}, stem="one")
    renamed = path.with_name("one-near-miss.json").rename(tmp_path / "wrong.json")
    library = library_of(tmp_path)
    library.load([path], [renamed])
    assert attempts(library) == {"atom-000": 1, "atom-001": 2}


def test_a_folder_passes_over_what_is_no_plan(make_plan: Callable[..., Path], tmp_path: Path) -> None:
    path = make_plan(atoms=1, folder=tmp_path / "answers")
    (path.parent / "notes.json").write_text('{"notes": []}')
    complaints: list[str] = []
    library = library_of(tmp_path, complaints)
    library.load([path.parent], [])
    assert attempts(library) == {"atom-000": 1}
    assert len(complaints) == 1


def test_a_missing_file_of_near_misses_is_an_error(make_plan: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.raises(AnswersError, match=r"gone\.json"):
        library_of(tmp_path).load([make_plan()], [tmp_path / "gone.json"])


def text_of_tests(path: Path, number: int = 0) -> str:
    text = json.loads(path.read_text())["atoms"][number]["tests"]
    assert isinstance(text, str)
    return text


def test_a_file_listed_later_is_known_with_its_near_misses(
    make_plan: Callable[..., Path], tmp_path: Path
) -> None:
    library = library_of(tmp_path)
    library.load([], [])
    path = make_plan(atoms=1, near_misses={0: 1})
    assert library.find(text_of_tests(path)) is None
    (tmp_path / "list.txt").write_text(f"{path}\n")
    found = library.find(text_of_tests(path))
    assert found is not None
    assert len(found.answers) == 2
    assert library.find(text_of_tests(path)) is found, "read once"


def test_a_listed_file_whose_content_changed_is_read_anew(
    make_plan: Callable[..., Path], tmp_path: Path
) -> None:
    library = library_of(tmp_path)
    path = make_plan(atoms=1)
    (tmp_path / "list.txt").write_text(f"{path}\n")
    library.load([], [])
    first = library.find(text_of_tests(path))
    make_plan(atoms=2)
    new = library.find(text_of_tests(path, 1))
    assert new is not None
    assert new.atom.key == "atom-001"
    assert library.find(text_of_tests(path)) is first, "an atom that did not change keeps its memory"


def test_a_listed_file_that_cannot_be_read_is_reported_once_and_harms_nothing(
    make_plan: Callable[..., Path], tmp_path: Path
) -> None:
    complaints: list[str] = []
    library = library_of(tmp_path, complaints)
    good = make_plan(atoms=1)
    (tmp_path / "list.txt").write_text(f"{tmp_path / 'gone.json'}\n{good}\n")
    library.load([], [])
    assert library.find("nothing known") is None
    assert library.find(text_of_tests(good)) is not None
    assert len(complaints) == 1


@given(
    st.text(st.characters(codec="utf-8", categories=["L", "N", "P", "Z"]), max_size=60), st.text(max_size=5)
)
def test_code_stands_unchanged_in_a_fence_that_it_cannot_end(code: str, key: str) -> None:
    text = answer_text(code, key=key)
    assert text == answer_text(code, key=key)
    opening = next(line for line in text.split("\n") if line.startswith("```"))
    fence = opening.rstrip("PYTHONpython")
    assert opening.removeprefix(fence) in FENCE_WORDS["python"]
    assert fence not in code
    assert text.count(f"\n{fence}") - text.startswith(fence) <= 2
    assert f"{opening}\n{code.rstrip()}\n{fence}" in text


def test_much_prose_has_a_shell_block_before_the_code() -> None:
    text = answer_in_much_prose("x = 1\n")
    assert text.index("```bash") < text.index("```python\nx = 1\n```")
