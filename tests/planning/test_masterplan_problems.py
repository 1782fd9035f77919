"""What is wrong with a bad masterplan file is said all at once, with its place."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from executions.planning.format import InvalidMasterplan, load_bytes, load_document, load_file


def atom_of(key: str, **more: Any) -> dict[str, Any]:
    return {"key": key, "target_path": f"pkg/{key}.py", "tests": f"def test_{key}(): pass", **more}


def problems_of(document: object) -> list[str]:
    with pytest.raises(InvalidMasterplan) as caught:
        load_document(document, origin="request")
    assert str(caught.value) == "\n".join(map(str, caught.value.problems))
    return [str(problem) for problem in caught.value.problems]


def problems_in(data: bytes | str, origin: str = "p.json") -> list[str]:
    with pytest.raises(InvalidMasterplan) as caught:
        load_bytes(data.encode() if isinstance(data, str) else data, origin=origin)
    return [str(problem) for problem in caught.value.problems]


PLAN_PROBLEMS: list[tuple[object, str]] = [
    ([], "request: must be an object"),
    ({"name": "p"}, "atoms: is missing"),
    ({"atoms": []}, "name: is missing"),
    ({"name": "", "atoms": []}, "name: must not be empty"),
    ({"name": "x" * 201, "atoms": []}, "name: is longer than 200 characters"),
    ({"name": "a\nb", "atoms": []}, "name: must be one line without control characters"),
    ({"name": 3, "atoms": []}, "name: must be text, not a number"),
    ({"name": "p", "atoms": {}}, "atoms: must be a list, not an object"),
    ({"name": "p", "atoms": ["x"]}, "atoms[0]: must be an object, not text"),
    ({"masterplans": []}, "masterplans: must be a list of at least one plan"),
    ({"masterplans": [{"name": "p"}]}, "masterplans[0].atoms: is missing"),
    ({"masterplans": [3]}, "masterplans[0]: must be an object, not a number"),
    ({"masterplans": [{"name": "p", "atoms": []}], "atoms": []}, "atoms: must not stand beside masterplans"),
    ({"name": "p", "atoms": [], "approvals": [True]}, "approvals[0]: must be a whole number, not true"),
    ({"name": "p", "atoms": [], "approvals": [0]}, "approvals[0]: must be 1 or more"),
    ({"name": "p", "atoms": [], "approvals": [1]}, "approvals[0]: there is no wave 1: the plan has 0"),
    (
        {"name": "p", "atoms": [atom_of("a")], "wave_tests": [{"wave": 2, "tests": "def test(): pass"}]},
        "wave_tests[0].wave: there is no wave 2: the plan has 1",
    ),
    ({"name": "p", "atoms": [], "wave_tests": [{"wave": 1}]}, "wave_tests[0].tests: is missing"),
    ({"name": "p", "atoms": [], "acceptance_tests": ["def ("]}, "acceptance_tests[0].tests: does not parse"),
    (
        {"name": "p", "atoms": [], "acceptance_tests": [3]},
        "acceptance_tests[0]: must be an object, not a number",
    ),
    ({"name": "p", "atoms": [], "defaults": [1]}, "defaults: must be an object, not a list"),
    ({"name": "p", "atoms": [], "x": float("nan")}, "x: must be a finite number, not nan"),
    ({"name": "p", "atoms": [], "x": {1}}, "x: must be a value that JSON has, not a Python set"),
    ({"name": "p", "atoms": [], 3: 1}, "request: the key 3 must be text"),
]


@pytest.mark.parametrize(("document", "expected"), PLAN_PROBLEMS)
def test_a_bad_plan_is_refused_with_the_place(document: object, expected: str) -> None:
    assert any(problem.startswith(expected) for problem in problems_of(document)), problems_of(document)


ATOM_PROBLEMS: list[tuple[dict[str, Any], str]] = [
    ({"key": None}, "atoms[0].key: must be text, not null"),
    ({"key": ""}, 'atoms[0] ("").key: must not be empty'),
    ({"key": "x" * 201}, ".key: is longer than 200 characters"),
    ({"key": "a\x1b[31m"}, 'atoms[0] ("a\\u001b[31m").key: must be printable text'),
    ({"key": " a"}, ".key: must be printable text without spaces around it"),
    ({"name": 1}, ".name: must be text, not a number"),
    ({"description": ["x"]}, ".description: must be text, not a list"),
    ({"description": "ä" * 140_000}, ".description: is larger than 256 kB"),
    ({"description": "a\0b"}, ".description: contains a NUL character"),
    ({"description": "\ud800"}, ".description: contains half a surrogate pair"),
    ({"tests": "x = 1\n" * 50_000}, ".tests: is larger than 256 kB"),
    ({"tests": "def test(:"}, ".tests: does not parse: invalid syntax (line 1 of the tests)"),
    ({"tests": "(" * 5_000}, ".tests: does not parse: too many nested parentheses"),
    ({"tests": "-" * 100_000 + "1"}, ".tests: does not parse: it is nested too deeply"),
    ({"tests": "x" + ".y" * 100_000}, ".tests: does not parse: it is nested too deeply"),
    (
        {"hidden_tests": "\n  x = 1\ny"},
        ".hidden_tests: does not parse: unexpected indent (line 2 of the tests)",
    ),
    (
        {"language": "rust"},
        '.language: "rust" is not known here; known are python, javascript, typescript',
    ),
    ({"language": "js"}, ".target_path: must end with .js or .mjs or .cjs or .jsx for JavaScript"),
    ({"language": "TS", "entry_point": "a-b"}, '"a-b" is not a name that TypeScript code can define'),
    (
        {"entry_point": "not a name"},
        '.entry_point[0]: "not a name" is not a name that Python code can define',
    ),
    ({"entry_point": ["f", "class"]}, '.entry_point[1]: "class" is not a name'),
    ({"entry_point": [3]}, ".entry_point[0]: must be text, not a number"),
    ({"approval": "yes"}, ".approval: must be true or false, not text"),
    ({"depends_on": [1]}, ".depends_on[0]: must be text, not a number"),
    ({"depends_on": ["a"]}, ".depends_on[0]: depends on itself"),
    ({"depends_on": ["nobody"]}, '.depends_on[0]: "nobody" is no atom of this plan'),
    ({"target_path": 3}, ".target_path: must be text, not a number"),
    ({"target_path": "../x.py"}, '.target_path: must not contain the part ".."'),
    ({"target_path": "/x.py"}, ".target_path: must be relative to the project's root"),
]


@pytest.mark.parametrize(("change", "expected"), ATOM_PROBLEMS)
def test_a_bad_atom_is_refused_with_the_place(change: dict[str, Any], expected: str) -> None:
    problems = problems_of({"name": "p", "atoms": [{**atom_of("a"), **change}]})
    assert any(expected in problem and problem.startswith("atoms[0]") for problem in problems), problems


def test_every_problem_is_told_in_one_go() -> None:
    problems = problems_of(
        {
            "masterplans": [
                {
                    "name": "one",
                    "atoms": [
                        atom_of("a", depends_on=["b", "zzz"], target_path="../a.py"),
                        atom_of("b", depends_on=["a"], tests="def ("),
                        {"key": "a", "target_path": 7},
                    ],
                },
                {"name": "two"},
            ]
        }
    )
    assert problems == [
        'masterplans[0].atoms[2] ("a").target_path: must be text, not a number',
        'masterplans[0].atoms[2] ("a").key: "a" is already the key of atoms[0]',
        'masterplans[0].atoms[0] ("a").depends_on[1]: "zzz" is no atom of this plan',
        'masterplans[0].atoms[0] ("a").depends_on: dependency cycle: a → b → a (each depends on the next)',
        'masterplans[0].atoms[0] ("a").target_path: must not contain the part ".."',
        'masterplans[0].atoms[1] ("b").tests: does not parse: invalid syntax (line 1 of the tests)',
        "masterplans[1].atoms: is missing",
    ]


def test_every_separate_cycle_is_spelled_out() -> None:
    pairs = {"a": "b", "b": "a", "c": "d", "d": "c"}
    problems = problems_of(
        {"name": "p", "atoms": [atom_of(key, depends_on=[to]) for key, to in pairs.items()]}
    )
    assert [problem.partition(": ")[2] for problem in problems] == [
        "dependency cycle: a → b → a (each depends on the next)",
        "dependency cycle: c → d → c (each depends on the next)",
    ]


def test_a_misspelled_dependency_gets_a_hint() -> None:
    problems = problems_of({"name": "p", "atoms": [atom_of("parser"), atom_of("b", depends_on=["parsr"])]})
    assert problems[0].endswith('did you mean "parser"?')


@pytest.mark.parametrize("other", ["a_b", "a.b", "A-B"])
def test_keys_whose_test_files_would_collide_are_refused(other: str) -> None:
    atoms = [atom_of("a-b", target_path="x.py", tests=""), atom_of(other, target_path="y.py", tests="")]
    (problem,) = problems_of({"name": "p", "atoms": atoms})
    assert 'with "a-b": choose another key' in problem


def test_two_atoms_with_one_entry_point_in_one_file_are_refused_with_both_places() -> None:
    first = atom_of("a", target_path="pkg/shared.py", entry_point=["one", "same"])
    second = atom_of("b", target_path="pkg/shared.py", entry_point="same")
    elsewhere = atom_of("c", entry_point="same")

    (problem,) = problems_of({"masterplans": [{"name": "p", "atoms": [elsewhere, first, second]}]})

    assert problem == (
        'masterplans[0].atoms[2] ("b").entry_point: "same" is already an entry point in "pkg/shared.py", of atoms[1]'
        ' ("a"): atoms that share a file each bind names of their own'
    )


def test_a_key_too_long_for_its_test_file_is_refused() -> None:
    (problem,) = problems_of({"name": "p", "atoms": [atom_of("é" * 150, target_path="x.py", tests="")]})
    assert problem.endswith("is too long for the name of a file with its tests")


def test_a_flood_of_problems_is_cut_off_and_counted() -> None:
    problems = problems_of({"name": "p", "atoms": [{"key": f"k{number}"} for number in range(1_500)]})
    assert len(problems) == 1_001
    assert problems[-1] == "request: 500 more problems are not listed"


def test_too_many_atoms_are_refused() -> None:
    atom = {"key": "a"}
    (problem,) = problems_of({"name": "p", "atoms": [atom] * 100_001})
    assert problem == "atoms: has more than 100,000 items"
    (problem,) = problems_of({"masterplans": [{"name": "p", "atoms": [atom] * 60_000}] * 2})
    assert problem == "masterplans: hold 120,000 atoms together, at most 100,000 are accepted"


def test_lines_of_a_json_file_are_told() -> None:
    text = """{
  "name": "p",
  "atoms": [
    {"key": "a", "target_path": "a.py"},
    {
      "key": "b",
      "depends_on": [
        "a",
        "c"
      ],
      "target_path": "/b.py"
    },
    {"key": "d"}
  ],
  "name": "q"
}"""
    assert problems_in(text) == [
        'name (line 15): the key "name" occurs twice in the same object',
        'atoms[2] ("d").target_path (line 13): is missing',
        'atoms[1] ("b").depends_on[1] (line 9): "c" is no atom of this plan',
        'atoms[1] ("b").target_path (line 11): must be relative to the project\'s root',
    ]


def test_lines_of_a_yaml_file_are_told() -> None:
    text = """# a comment
name: p
atoms:
- key: a
  target_path: a.py
- key: b
  target_path: /b.py
  depends_on:
  - a
  - c
  key: d
- {key: e}
"""
    assert problems_in(text, "p.yaml") == [
        'atoms[1] ("d").key (line 11): the key "key" occurs twice in the same object',
        'atoms[2] ("e").target_path (line 12): is missing',
        'atoms[1] ("d").depends_on[1] (line 10): "c" is no atom of this plan',
        'atoms[1] ("d").target_path (line 7): must be relative to the project\'s root',
    ]


UNREADABLE: list[tuple[bytes, str, str]] = [
    (b"", "p.json", "p.json: is empty"),
    (b" \n\t", "p.json", "p.json: is empty"),
    (b"# nothing\n", "p.yaml", "p.yaml: is empty"),
    (b'{\n"a": \xff}', "p.json", "p.json (line 2): is not UTF-8 text (byte 8)"),
    ('{"a": 1}'.encode("utf-16"), "p.json", "is not UTF-8 text"),
    (
        b'{"a": 1,\n "b" 2}',
        "p.json",
        "p.json (line 2): is not well-formed JSON: Expecting ':' delimiter, column 6",
    ),
    (b'{"name": "p", "atoms": [], "x": NaN}', "p.json", "x (line 1): must be a finite number, not nan"),
    (
        b'{"name": "p", "atoms": [], "x": -Infinity}',
        "p.json",
        "x (line 1): must be a finite number, not -inf",
    ),
    (b'{"name": "p", "atoms": [], "x": 1e999}', "p.json", "x (line 1): must be a finite number, not inf"),
    (b'{"x": ' + b"9" * 5_000 + b"}", "p.json", "holds a number with too many digits"),
    (b"[" * 100_000, "p.json", "p.json: is nested deeper than 50 levels"),
    (b'{"x": ' * 60 + b"1" + b"}" * 60, "p.json", "lies deeper than 50 levels"),
    (b"[" * 51, "p.yaml", "p.yaml (line 1): is nested deeper than 50 levels"),
    (b"[" * 100_000, "p.yaml", "nest"),
    (b"a: b: c", "p.yaml", "p.yaml (line 1): is not well-formed YAML: mapping values are not allowed"),
    (b"a: \x01", "p.yaml", "control character"),
    (b"a: !!python/object/apply:os.system [x]", "p.yaml", "p.yaml (line 1): the tag"),
    (b"a: !mine x", "p.yaml", 'p.yaml (line 1): the tag "!mine" is not accepted'),
    (b"a: !!binary aGk=", "p.yaml", "the tag"),
    (b"a: !!int x", "p.yaml", '"x" is not a value of the kind its tag says'),
    (b"a: 1\n---\nb: 1\n", "p.yaml", "p.yaml (line 2): holds more than one YAML document"),
    (b"a: &x {b: 1}\nc:\n  <<: *x\n", "p.yaml", "p.yaml (line 3): merge keys (<<) are not accepted"),
    (b"a: *nobody", "p.yaml", "p.yaml (line 1): the alias *nobody refers to nothing that is complete here"),
    (b"a: &x [*x]", "p.yaml", "p.yaml (line 1): the alias *x refers to nothing that is complete here"),
    (b"on: 1", "p.yaml", "p.yaml (line 1): a key must be text, not True: put it in quotes"),
    (b"? [a]\n: 1", "p.yaml", "p.yaml (line 1): a key must be text, not a list or an object"),
    (
        b"name: p\natoms: [{key: a, tests: .nan}]",
        "p.yaml",
        'atoms[0] ("a").tests (line 2): must be a finite number',
    ),
]


@pytest.mark.parametrize(("data", "origin", "expected"), UNREADABLE)
def test_an_unreadable_file_is_refused_with_the_reason(data: bytes, origin: str, expected: str) -> None:
    problems = problems_in(data, origin)
    assert any(expected in problem for problem in problems), problems


def test_a_yaml_alias_bomb_is_refused() -> None:
    levels = ["a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol, lol]"]
    levels += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    (problem,) = problems_in("\n".join(levels), "p.yaml")
    assert problem.endswith("its aliases expand to too much")


def test_an_object_deeper_than_allowed_is_refused_even_if_it_never_ends() -> None:
    endless: dict[str, Any] = {"name": "p", "atoms": []}
    endless["more"] = endless
    assert any("lies deeper than 50 levels" in problem for problem in problems_of(endless))


def test_a_large_file_is_refused_before_it_is_read(tmp_path: Path) -> None:
    large = tmp_path / "large.json"
    with large.open("wb") as file:
        os.truncate(file.fileno(), 100_000_000)
    with pytest.raises(InvalidMasterplan, match="is too large: 100,000,000 bytes"):
        load_file(large)


def test_a_large_upload_is_refused() -> None:
    (problem,) = problems_in(b" " * 50_000_001)
    assert problem == "p.json: is too large: 50,000,001 bytes, at most 50,000,000 are accepted"


@pytest.mark.parametrize("name", ["nobody.json", ".", "nul\0.json"])
def test_a_file_that_cannot_be_opened_is_a_problem_like_others(tmp_path: Path, name: str) -> None:
    with pytest.raises(InvalidMasterplan, match="cannot be read"):
        load_file(tmp_path / name)


def test_messages_never_carry_raw_control_characters() -> None:
    text = json.dumps(
        {"name": "p", "atoms": [atom_of("a", depends_on=["\x1b]0;x\x07"], target_path="\x1b.py")]}
    )
    assert all(problem.isprintable() for problem in problems_in(text))
