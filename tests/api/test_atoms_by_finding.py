"""Atoms whose tests prove nothing are found again, for a person to look at."""

from __future__ import annotations

from executions.models import Attempt, Execution, Issue
from tests.api.people import Person
from tests.dashboard.pages import Page
from tests.engine.by_hand import start, succeed_all
from tests.plans import layers, plan

RULE = "tests-prove-nothing"


def accepted(execution: Execution, key: str) -> Attempt:
    return Attempt.objects.get(atom_run__execution=execution, atom_run__key=key)


def found(attempt: Attempt) -> None:
    Issue.objects.create(attempt=attempt, ordinal=9, severity="WARNING", rule=RULE)


def listed(person: Person, execution: Execution, rule: str) -> list[str]:
    answer = person.client.get(f"/api/v2/executions/{execution.id}/atoms/?finding={rule}")
    assert answer.status_code == 200, answer.content
    return [one["key"] for one in answer.json()["results"]]


def test_atoms_are_listed_by_what_was_found(ada: Person) -> None:
    execution, other = (start(plan(*layers(4)), owner=ada.user) for _ in range(2))
    succeed_all(execution)
    succeed_all(other)
    found(accepted(execution, "a1.1"))
    found(accepted(execution, "a1.2"))
    Attempt.objects.filter(pk=accepted(execution, "a1.2").pk).update(superseded=True)
    from_cache = Attempt.objects.filter(pk=accepted(other, "a1.3").pk)
    from_cache.update(origin=accepted(execution, "a1.1").pk)

    assert listed(ada, execution, RULE) == ["a1.1"]
    assert listed(ada, execution, "review-call") == []
    assert listed(ada, other, RULE) == ["a1.3"]

    ada.client.force_login(ada.user)
    page = Page(ada.client.get(f"/executions/{execution.pk}/", {"status": RULE}))
    assert [one["data-atom"] for tag, one in page.tags if tag == "tr" and "data-atom" in one] == ["a1.1"]
