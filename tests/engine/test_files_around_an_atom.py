"""What an answer is put together with before it is judged."""

from __future__ import annotations

import pytest

from executions.engine.context import load_atoms, load_execution
from tests.engine.by_hand import claim_one, start
from tests.plans import adder, plan

pytestmark = pytest.mark.django_db
CODE = "x = 1\n"


def _plan() -> dict[str, object]:
    """c builds on a through b only, and shares its file."""
    return plan(
        adder("a", target_path="pkg/shared.py"),
        adder("b", depends_on=["a"]),
        adder("c", depends_on=["b"], target_path="pkg/shared.py"),
        adder("d", depends_on=["c"]),
    )


@pytest.mark.parametrize(
    ("validators", "files"), [("syntax", {}), ("full", {"pkg/add_b.py": CODE})], ids=["syntax", "full"]
)
def test_its_own_file_holds_all_it_builds_on_there_the_other_files_only_where_tests_run(
    validators: str, files: dict[str, str]
) -> None:
    execution = start(_plan(), validators=validators, schedule="flow")
    for key in ("a", "b"):
        claim_one(execution, key).attempt(passed=True)

    (context,) = load_atoms(load_execution(execution.id), [claim_one(execution, "c").claim])

    assert context.same_file == (("a", CODE),)
    assert context.files == files
    assert [(one[0], one[4]) for one in context.dependencies] == [("b", CODE)]


def test_an_atom_alone_in_its_file_is_put_together_with_nothing() -> None:
    execution = start(_plan(), validators="syntax")
    claim_one(execution, "a").attempt(passed=True)

    (context,) = load_atoms(load_execution(execution.id), [claim_one(execution, "b").claim])

    assert (context.same_file, context.files) == ((), {})
