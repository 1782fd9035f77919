"""Whatever a plan, a model or a person wrote is shown as text: nothing of it runs, and nothing of it hides."""

from __future__ import annotations

from executions.models import Attempt, Execution
from tests.dashboard.conftest import HOSTILE, OVERRIDE, Visitor
from tests.dashboard.pages import Page
from tests.dashboard.test_who_sees_which_page import addresses

PAGES = ("/", "/masterplans/", "/masterplans/new/")


def test_no_page_holds_anything_that_could_run(ada: Visitor, tried: Execution) -> None:
    for address in [*PAGES, *addresses(tried)]:
        response = ada.client.get(address)
        if not response.headers["Content-Type"].startswith("text/html"):
            continue
        page = Page(response)
        assert page.dangers == [], address
        policy = response.headers["Content-Security-Policy"]
        assert "script-src 'self'" in policy
        assert "unsafe" not in policy


def test_hostile_text_is_readable_where_it_belongs(ada: Visitor, tried: Execution) -> None:
    atom = Page(ada.client.get(f"/executions/{tried.pk}/atoms/first/"))
    for text in (f"expected 2, got {HOSTILE}", f"see {HOSTILE}", "Here it is <script>", "# <script>"):
        assert text in atom.text
    assert HOSTILE in Page(ada.client.get("/")).text
    assert HOSTILE in Page(ada.client.get(f"/executions/{tried.pk}/")).text
    assert HOSTILE in Page(ada.client.get(f"/masterplans/{tried.masterplan_id}/")).text


def test_characters_that_reorder_or_hide_are_named_instead_of_obeyed(ada: Visitor, tried: Execution) -> None:
    response = ada.client.get(f"/executions/{tried.pk}/atoms/first/")
    assert OVERRIDE not in response.content.decode()
    text = Page(response).text
    assert "U+202E" in text  # in the code, marked
    assert "⟦U+202E⟧" in text  # in the answer as it came


def test_raw_code_is_an_attachment_of_plain_text(ada: Visitor, tried: Execution) -> None:
    attempt = Attempt.objects.get(execution=tried, number=1)
    response = ada.client.get(f"/attempts/{attempt.pk}/code.txt")
    assert response.content.decode() == attempt.code
    assert response.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert response.headers["Content-Disposition"] == 'attachment; filename="attempt-1.txt"'
    assert response.headers["X-Content-Type-Options"] == "nosniff"


def test_what_is_typed_into_a_form_comes_back_as_text(ada: Visitor, tried: Execution) -> None:
    pages = [
        ada.client.get("/", {"q": HOSTILE, "status": HOSTILE, "before": HOSTILE}),
        ada.client.get(f"/executions/{tried.pk}/", {"q": HOSTILE, "status": HOSTILE, "after": HOSTILE}),
        ada.client.get("/masterplans/", {"q": HOSTILE}),
        ada.client.post("/masterplans/new/", {"text": HOSTILE}),
        ada.client.post(
            f"/masterplans/{tried.masterplan_id}/start/", {"model": HOSTILE, "schedule": HOSTILE}
        ),
    ]
    for response in pages:
        assert Page(response).dangers == []
