"""Lists are newest first, filtered by their address, and paged by key."""

from __future__ import annotations

from typing import Any

import pytest

from executions.dashboard import execution_list, execution_page
from executions.models import Execution
from tests.dashboard.conftest import Visitor
from tests.dashboard.pages import Page
from tests.engine.by_hand import claim_one, start, succeed_all
from tests.plans import adder, layers, plan


def shown(visitor: Visitor, address: str, **query: str) -> list[str]:
    page = Page(visitor.client.get(address, query))
    return [one["data-execution-id"] for tag, one in page.tags if tag == "tr" and "data-execution-id" in one]


def atoms_shown(visitor: Visitor, execution: Execution, **query: str) -> list[str]:
    page = Page(visitor.client.get(f"/executions/{execution.pk}/", query))
    return [one["data-atom"] for tag, one in page.tags if tag == "tr" and "data-atom" in one]


def test_executions_come_newest_first_page_by_page(ada: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(execution_list, "PAGE", 2)
    made = [str(start(plan(adder("one")), owner=ada.user).pk) for _ in range(5)]
    seen, address = [], "/"
    while address:
        page = Page(ada.client.get(address))
        seen += [
            one["data-execution-id"] for tag, one in page.tags if tag == "tr" and "data-execution-id" in one
        ]
        older = page.find(rel="next")
        address = "/" + older[0]["href"] if older else ""
    assert seen == made[::-1]


def test_executions_are_found_by_state_plan_model_and_id(ada: Visitor) -> None:
    done = start(plan(adder("one"), name="Finished plan"), owner=ada.user)
    succeed_all(done)
    waits = start(plan(adder("one"), name="Waiting plan"), owner=ada.user, model="scripted-other")
    one, other = str(done.pk), str(waits.pk)
    assert shown(ada, "/", status="completed") == [one]
    assert shown(ada, "/", status="active") == [other]
    assert shown(ada, "/", status="failed") == []
    assert shown(ada, "/", q="finished") == [one]
    assert shown(ada, "/", q="scripted-other") == [other]
    assert shown(ada, "/", q=one) == [one]
    assert shown(ada, "/", q=other[-8:]) == [other]
    assert shown(ada, "/", q="waiting", status="completed") == []
    assert shown(ada, "/", status="nonsense", before="nonsense") == [other, one]
    assert "Nothing matches" in Page(ada.client.get("/", {"q": "no such plan"})).text


def test_the_first_page_of_a_new_site_says_what_to_do(ada: Visitor) -> None:
    page = Page(ada.client.get("/"))
    assert "No execution yet" in page.text
    assert page.addresses("/masterplans/new/")


def test_masterplans_show_their_versions_and_executions(ada: Visitor) -> None:
    first = start(plan(adder("one")), owner=ada.user)
    second = start(plan(adder("one"), adder("two")), owner=ada.user)
    text = Page(ada.client.get("/masterplans/")).text
    assert text.index("v2") < text.index("v1")
    page = Page(ada.client.get(f"/masterplans/{second.masterplan_id}/"))
    assert page.addresses("/masterplans/")[-1] == f"/masterplans/{first.masterplan_id}/"
    assert page.addresses("/executions/") == [f"/executions/{second.pk}/"]


def test_somebody_elses_executions_of_a_plan_are_not_counted(ada: Visitor, grace: Visitor) -> None:
    execution = start(plan(adder("one")), owner=ada.user)
    Execution.objects.filter(pk=execution.pk).update(owner=grace.user)
    assert "never run" in Page(ada.client.get("/masterplans/")).text


def test_atoms_are_filtered_and_paged(ada: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(execution_page, "ATOMS_A_PAGE", 2)
    execution = start(plan(*layers(3, 2)), owner=ada.user)
    claim_one(execution, "a1.0").attempt(passed=True)
    claim_one(execution, "a1.1")
    assert atoms_shown(ada, execution) == ["a1.0", "a1.1"]
    assert atoms_shown(ada, execution, after="1") == ["a1.2", "a2.0"]
    assert atoms_shown(ada, execution, status="succeeded") == ["a1.0"]
    assert atoms_shown(ada, execution, status="working") == ["a1.1"]
    assert atoms_shown(ada, execution, q="a2") == ["a2.0", "a2.1"]
    assert atoms_shown(ada, execution, q="add_a1_2") == ["a1.2"]


def test_filtering_atoms_fetches_the_table_only(ada: Visitor) -> None:
    execution = start(plan(*layers(2)), owner=ada.user)
    headers = {"HX-Request": "true", "HX-Target": "atoms"}
    response = ada.client.get(f"/executions/{execution.pk}/", {"q": "a1.1"}, headers=headers)
    page = Page(response)
    assert page.find(id="atoms")
    assert not page.find(data_live="log")


def test_every_atom_is_a_square_with_its_state_and_a_link(ada: Visitor) -> None:
    execution = start(plan(*layers(3, 2)), owner=ada.user)
    claim_one(execution, "a1.0").attempt(passed=True)
    page = Page(ada.client.get(f"/executions/{execution.pk}/"))
    cells = {one["data-atom"]: one for one in page.find(**{"class": "cell"})}
    assert list(cells) == ["a1.0", "a1.1", "a1.2", "a2.0", "a2.1"]
    assert cells["a1.0"]["data-status"] == "succeeded"
    assert cells["a1.0"]["title"] == "a1.0: succeeded"
    assert cells["a1.0"]["href"] == f"/executions/{execution.pk}/atoms/a1.0/"
    assert cells["a2.1"]["data-status"] == "pending"


def test_the_log_is_read_backwards_page_by_page(ada: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(execution_page, "EVENTS_ON_PAGE", 4)
    execution = start(plan(*layers(2, 1)), owner=ada.user)
    succeed_all(execution)
    seen: list[int] = []
    query: dict[str, Any] = {}
    while True:
        page = Page(ada.client.get(f"/executions/{execution.pk}/events/", query))
        seqs = [int(one["data-seq"]) for tag, one in page.tags if tag == "li" and "data-seq" in one]
        seen = seqs + seen
        if seqs[0] == 1:
            break
        query = {"before": seqs[0]}
    assert seen == list(range(1, execution.seq + 1))


def test_an_execution_page_costs_the_same_queries_however_many_atoms(
    ada: Visitor, django_assert_max_num_queries: Any
) -> None:
    for sizes in ((2, 1), (40, 30, 30)):
        execution = start(plan(*layers(*sizes), name=f"plan of {sum(sizes)}"), owner=ada.user)
        with django_assert_max_num_queries(16):
            assert ada.client.get(f"/executions/{execution.pk}/").status_code == 200


def test_the_project_is_a_zip_of_what_was_accepted(ada: Visitor) -> None:
    import io
    import zipfile

    execution = start(plan(adder("one"), adder("two")), owner=ada.user)
    claim_one(execution, "one").attempt(passed=True)
    response = ada.client.get(f"/executions/{execution.pk}/project.zip")
    assert response.headers["Content-Disposition"].startswith('attachment; filename="small-plan-')
    names = zipfile.ZipFile(io.BytesIO(response.content)).namelist()
    assert "pkg/add_one.py" in names
    assert "pkg/add_two.py" not in names
