"""What is not tested is said before anything starts; what nobody here can judge does not start."""

from __future__ import annotations

from typing import Any

import pytest

from executions.models import Atom, Execution, Masterplan
from executions.planning.format import load_document
from executions.services.errors import StartRefused
from executions.services.languages_of_plans import said_before_start
from executions.services.masterplans import store_masterplans
from executions.services.start import start_execution
from tests.plans import adder, plan

pytestmark = pytest.mark.django_db(transaction=True)

SCRIPT: dict[str, Any] = {"key": "web", "language": "js", "target_path": "web/a.js", "entry_point": "f"}


def _stored(*atoms: dict[str, Any]) -> Masterplan:
    return store_masterplans(load_document(plan(*atoms), origin="test"), owner=None)[0]


def test_a_plan_says_what_is_not_tested() -> None:
    assert said_before_start(_stored(adder("a"), SCRIPT)) == [
        "1 atom in JavaScript: only its syntax is checked, its tests are not run"
    ]


def test_a_python_plan_has_nothing_to_say() -> None:
    assert said_before_start(_stored(adder("a"))) == []


def test_a_stored_language_that_nothing_can_judge_is_refused_before_it_costs() -> None:
    masterplan = _stored(adder("a"), adder("b"))
    Atom.objects.filter(key="b").update(language="cobol")

    with pytest.raises(
        StartRefused, match="has atoms in cobol, which nothing here can judge; known are python"
    ):
        start_execution(masterplan=masterplan, actor=None)

    assert not Execution.objects.exists()
