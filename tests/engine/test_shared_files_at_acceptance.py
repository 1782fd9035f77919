"""Level 2: no two accepted answers ever fail to fit into one file, whoever is first and whatever is in flight."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from executions.models import AtomRun, Attempt, Execution, Issue
from executions.services.consistency import check_execution
from executions.services.export import export_of
from executions.services.repair import retry_atoms
from executions.services.review import supply_code
from tests.engine.by_hand import assert_all_ended, assert_counters_equal_rows, start
from tests.engine.committed import transactional_db  # noqa: F401  a fixture
from tests.engine.model_in_process import ModelInProcess, asked
from tests.engine.runner_thread import RunnerThread, run_to_rest
from tests.plans import plan

pytestmark = pytest.mark.usefixtures("transactional_db")


def sharing(key: str, helper: str) -> dict[str, Any]:
    """An atom of a shared file, with a helper beside its entry point."""
    return {
        "key": key,
        "description": f"Return x, by {key}.",
        "entry_point": key,
        "signature": f"def {key}(x: int) -> int",
        "target_path": "pkg/shared.py",
        "tests": f"from pkg.shared import {key}\n\n\ndef test_{key}():\n    assert {key}(1) == 1\n",
        "reference_solution": code(key, helper),
    }


def code(key: str, helper: str) -> str:
    return (
        f"def {helper}(x: int) -> int:\n    return x\n\n\ndef {key}(x: int) -> int:\n    return {helper}(x)\n"
    )


A, B = sharing("a", "_a"), sharing("b", "_b")
CLASH = {"atom": "b", "kind": "clash", "code": code("b", "_a")}


def rejected(execution: Execution) -> list[tuple[str, str, str]]:
    """(atom, rule, message) of the issues of rejected attempts."""
    found = Issue.objects.filter(attempt__execution=execution, attempt__status="rejected")
    return list(found.values_list("attempt__atom_run__key", "rule", "message"))


@pytest.mark.parametrize("concurrency", [1, 2])
def test_the_second_of_two_with_one_name_is_told_of_the_first_and_tries_again(
    scratch: Path, settings: Any, concurrency: int
) -> None:
    value = plan(A, B)
    with asked(settings, ModelInProcess(scratch, value, [CLASH], shut=concurrency > 1)) as model:
        execution = start(value, max_concurrency=concurrency)
        with RunnerThread(execution):
            if concurrency > 1:
                # Both are asked for before either is judged: neither can know of the other.
                model.until_waiting(2)
                model.let_through(None)
        execution.refresh_from_db()

    assert (execution.status, execution.atoms_succeeded) == ("completed", 2)
    ((atom, rule, message),) = rejected(execution) or [("", "", "")]
    first = "a" if atom == "b" else "b"
    assert rule == "does-not-fit-the-file"
    assert f'pkg/shared.py already holds what was accepted for "{first}"' in message
    assert "_a is already bound by" in message
    second = Attempt.objects.get(execution=execution, atom_run__key=atom, number=2)
    assert message[:60] in second.prompt_user
    assert export_of([execution.id])["pkg/shared.py"].count("def _a(") == 1
    assert_all_ended(execution)
    assert_counters_equal_rows(execution)
    assert check_execution(execution.id) == []


def test_a_person_whose_code_takes_a_name_of_another_atom_is_refused(scratch: Path, settings: Any) -> None:
    value = plan(A, B)
    with asked(settings, ModelInProcess(scratch, value)):
        execution = run_to_rest(start(value))

        attempt = supply_code(execution_id=execution.id, actor=None, atom="a", code=code("a", "_b"))
        run_to_rest(execution)

    assert Attempt.objects.get(pk=attempt).status == "rejected"
    assert AtomRun.objects.get(execution=execution, key="a").accepted.code == A["reference_solution"]
    assert [rule for _, rule, _ in rejected(execution)] == ["does-not-fit-the-file"]
    assert check_execution(execution.id) == []


def test_an_answer_of_the_cache_that_does_not_fit_any_more_is_left_for_the_model(
    scratch: Path, settings: Any
) -> None:
    alone, both = plan(B), plan(A, B)
    with asked(settings, ModelInProcess(scratch, both, [CLASH])):
        first = run_to_rest(start(alone))
        assert AtomRun.objects.get(execution=first, key="b").accepted.code == CLASH["code"]

        execution = run_to_rest(start(both, max_concurrency=1))

    kinds = Attempt.objects.filter(execution=execution, atom_run__key="b").order_by("started_at")
    assert list(kinds.values_list("kind", "status")) == [
        ("cache", "rejected"),
        ("model", "rejected"),
        ("model", "passed"),
    ]
    assert (execution.status, execution.atoms_succeeded) == ("completed", 2)
    assert check_execution(execution.id) == []


def test_a_retried_atom_must_fit_beside_what_was_kept(scratch: Path, settings: Any) -> None:
    value = plan(A, B)
    with asked(settings, ModelInProcess(scratch, value, [CLASH])):
        execution = run_to_rest(start(value, max_concurrency=1))
        before = Attempt.objects.filter(execution=execution, status="rejected").count()

        retry_atoms(execution_id=execution.id, actor=None, atoms=["b"])
        run_to_rest(execution)

    assert (execution.status, execution.atoms_succeeded) == ("completed", 2)
    assert Attempt.objects.filter(execution=execution, status="rejected").count() >= before
    assert export_of([execution.id])["pkg/shared.py"].count("def _a(") == 1
    assert check_execution(execution.id) == []
