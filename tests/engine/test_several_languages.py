"""One plan in three languages goes through the whole engine: asked for, extracted, judged, exported."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from executions.models import Atom, AtomRun, Attempt, Execution
from executions.services.export import export_of
from tests.plans import adder, plan

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "price-tags.yaml"


@pytest.mark.needs_sandbox
def test_the_example_in_three_languages_succeeds(
    scripted: Callable[..., Any], begin: Callable[..., Execution], finish: Callable[[Execution], Execution]
) -> None:
    value = yaml.safe_load(EXAMPLE.read_text(encoding="utf-8"))
    broken = {
        "atom": "web.basket",
        "kind": "syntax",
        "code": "export function total( {\n",
        "verdict": "failed",
    }
    scripted(value, [broken])

    execution = finish(begin(value))

    assert execution.precision_percent == 100
    runs = AtomRun.objects.filter(execution=execution)
    assert dict(runs.values_list("key", "assurance")) == {
        "prices.cents": "tested",
        "web.price-tag": "static",
        "web.basket": "static",
    }
    first, second = Attempt.objects.filter(atom_run__key="web.basket").order_by("number")
    assert [issue.rule for issue in first.issues.all()] == ["syntax-error"]
    assert "Language: typescript" in second.prompt_user
    assert "run by pytest" not in second.prompt_user
    assert "TypeScript: " in second.prompt_user  # the finding
    files = dict(export_of([execution.id]))
    assert files["web/basket.ts"].startswith("import { priceTag }")
    assert sorted(path for path in files if path.startswith("test_")) == ["test_price-tags__prices_cents.py"]


def test_an_atom_whose_stored_language_is_unknown_fails_with_a_reason(
    scripted: Callable[..., Any], begin: Callable[..., Execution], finish: Callable[[Execution], Execution]
) -> None:
    value = plan(adder("a"))
    scripted(value)
    execution = begin(value, max_attempts=1, validators="syntax")
    # As if by a product that knew more: it was stored, and started, before.
    Atom.objects.filter(key="a").update(language="cobol")

    execution = finish(execution)

    assert (execution.status, execution.atoms_succeeded) == ("completed", 0)
    attempt = Attempt.objects.get()
    assert attempt.issues.get().rule in ("language-unknown", "no-code")
