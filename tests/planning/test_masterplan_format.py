"""What a good masterplan file means."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from executions.planning.format import PlanSpec, load_bytes, load_document, load_file


def plan_of(*atoms: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"name": "A plan", "atoms": list(atoms), **more}


def atom_of(key: str, **more: Any) -> dict[str, Any]:
    return {"key": key, "target_path": f"pkg/{key}.py", "tests": f"def test_{key}(): pass", **more}


def one(document: object) -> PlanSpec:
    (plan,) = load_document(document, origin="test")
    return plan


def test_json_and_yaml_of_the_same_content_are_the_same_plan(tmp_path: Path) -> None:
    document = plan_of(atom_of("a", entry_point="a"), atom_of("b", depends_on=["a"], approval=True))
    as_json, as_yaml = tmp_path / "p.json", tmp_path / "p.yaml"
    as_json.write_text(json.dumps(document), encoding="utf-8")
    as_yaml.write_text(yaml.safe_dump(document), encoding="utf-8")
    assert load_file(as_json) == load_file(as_yaml) == load_document(document, origin="test")


def test_without_a_telling_suffix_the_first_character_decides() -> None:
    document = plan_of()
    assert load_bytes(json.dumps(document).encode(), origin="upload")[0].name == "A plan"
    assert load_bytes(b"name: A plan\natoms: []\n", origin="upload")[0].name == "A plan"


def test_a_byte_order_mark_is_accepted() -> None:
    assert load_bytes(b"\xef\xbb\xbf" + json.dumps(plan_of()).encode(), origin="p.json")[0].atoms == ()


def test_a_plan_without_atoms_is_valid() -> None:
    plan = one({"name": "Empty", "atoms": []})
    assert plan.atoms == ()
    assert plan.warnings == ()


def test_atoms_carry_everything_the_file_says() -> None:
    atom = one(
        plan_of(
            {
                "key": "k-1",
                "name": "Name",
                "description": "d",
                "language": "Python",
                "entry_point": ["f", "g"],
                "signature": "def f(): ...",
                "contract": "c",
                "prompt": "p",
                "target_path": "pkg/k.py",
                "depends_on": [],
                "tests": "def test(): pass",
                "hidden_tests": "def test_h(): pass",
                "instructions": "i",
                "approval": True,
            }
        )
    ).atoms[0]
    assert (atom.key, atom.name, atom.description, atom.language) == ("k-1", "Name", "d", "python")
    assert (atom.signature, atom.contract, atom.prompt) == ("def f(): ...", "c", "p")
    assert (atom.tests, atom.hidden_tests, atom.instructions) == (
        "def test(): pass",
        "def test_h(): pass",
        "i",
    )
    assert (atom.target_path, atom.entry_points, atom.depends_on) == ("pkg/k.py", ("f", "g"), ())
    assert (atom.approval, atom.position) == (True, 0)


def test_what_is_left_out_or_null_is_empty() -> None:
    atom = one(plan_of({"key": "a", "target_path": "a.py", "description": None, "depends_on": None})).atoms[0]
    assert (atom.name, atom.description, atom.depends_on, atom.entry_points) == ("a", "", (), ())
    assert (atom.language, atom.approval) == ("python", False)


def test_plan_keys_are_read() -> None:
    plan = one(
        plan_of(
            atom_of("a"),
            atom_of("b", depends_on=["a"]),
            description="d",
            instructions="i",
            requires=["attrs"],
            wave_tests=[{"wave": 1, "tests": "def test_w(): pass"}],
            acceptance_tests=["def test_x(): pass", {"tests": "def test_y(): pass"}],
            approvals=[2, 1, 2],
            defaults={"max_attempts": 2},
        )
    )
    assert (plan.description, plan.instructions, plan.requires) == ("d", "i", ("attrs",))
    assert [(test.wave, test.tests) for test in plan.wave_tests] == [(1, "def test_w(): pass")]
    assert plan.acceptance_tests == ("def test_x(): pass", "def test_y(): pass")
    assert (plan.approvals, plan.defaults) == ((1, 2), {"max_attempts": 2})


def test_acceptance_tests_may_be_one_text() -> None:
    assert one(plan_of(acceptance_tests="def test_x(): pass")).acceptance_tests == ("def test_x(): pass",)


def test_several_plans_get_slugs_of_their_own() -> None:
    names = ["Über Plan!", "uber plan", "uber plan 2", "計画", "con"]
    plans = load_document({"masterplans": [{"name": name, "atoms": []} for name in names]}, origin="test")
    slugs = [plan.slug for plan in plans]
    assert slugs[:3] == ["uber-plan", "uber-plan-2", "uber-plan-2-2"]
    assert slugs[3].startswith("plan-")
    assert slugs[4] == "plan-con"
    assert len(set(slugs)) == len(slugs)


def test_a_slug_is_short_enough_for_file_names() -> None:
    first, second = load_document({"masterplans": [{"name": "x" * 200, "atoms": []}] * 2}, origin="test")
    assert len(first.slug) == len(second.slug) == 40
    assert second.slug.endswith("-2")


def test_reference_solutions_are_not_kept_nor_part_of_the_digest() -> None:
    without = one(plan_of(atom_of("a")))
    having = one(plan_of(atom_of("a", reference_solution="SECRET = 1", verified=True, source_id=3)))
    assert having == without
    assert "SECRET" not in repr(having)
    assert having.warnings == ()


def test_the_digest_depends_on_everything_that_is_kept() -> None:
    digests = [
        one(document).digest
        for document in (
            plan_of(atom_of("a")),
            plan_of(atom_of("b")),
            plan_of(atom_of("a", hidden_tests="def test(): pass")),
            plan_of(atom_of("a", approval=True)),
            plan_of(atom_of("a"), instructions="i"),
            plan_of(atom_of("a"), defaults={"seed": 1}),
        )
    ]
    assert len(set(digests)) == len(digests)
    assert one(plan_of(atom_of("a", unknown=1))).digest == digests[0]


def test_unknown_keys_are_warned_of_once_each() -> None:
    warnings = one(plan_of(*(atom_of(key, colour="red") for key in "abc"), size=1)).warnings
    assert [str(warning) for warning in warnings] == [
        'atoms[0] ("a").colour: unknown key "colour" is ignored (and 2 times more)',
        'size: unknown key "size" is ignored',
    ]


@pytest.mark.parametrize(
    ("atom", "message"),
    [
        (atom_of("a", tests="x = 1"), "no test function"),
        ({"key": "a", "target_path": "a.py", "description": "d"}, "without tests"),
        ({"key": "a", "target_path": "a.py"}, "nothing says what"),
        (atom_of("a", target_path="my-script.py"), "no name that Python can import"),
        (atom_of("a", target_path="json/a.py"), "also a module of Python"),
    ],
)
def test_odd_atoms_are_accepted_with_a_warning(atom: dict[str, Any], message: str) -> None:
    assert any(message in warning.message for warning in one(plan_of(atom)).warnings)


def test_atoms_may_share_a_target_path() -> None:
    plan = one(plan_of(atom_of("a", target_path="m.py"), atom_of("b", target_path="m.py")))
    assert {atom.target_path for atom in plan.atoms} == {"m.py"}


def test_yaml_may_share_a_text_by_an_alias() -> None:
    text = (
        b"name: p\ninstructions: &i Keep it short.\natoms:\n- {key: a, target_path: a.py, instructions: *i}\n"
    )
    assert load_bytes(text, origin="p.yaml")[0].atoms[0].instructions == "Keep it short."


def test_a_date_in_yaml_is_text() -> None:
    assert load_bytes(b"name: 2026-11-24\natoms: []\n", origin="p.yaml")[0].name == "2026-11-24"


def test_odd_escapes_in_tests_are_not_our_concern() -> None:
    assert one(plan_of(atom_of("a", tests='def test_a():\n    assert "\\d"\n'))).warnings == ()
