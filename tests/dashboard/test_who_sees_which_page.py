"""Pages open for who may see them; for others they do not exist, and who is not signed in is sent to sign in."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.contrib.auth.models import Group
from django.test import Client

from executions.models import AtomRun, Attempt, Execution
from tests.dashboard.conftest import Visitor
from tests.dashboard.pages import Page


def addresses(execution: Execution) -> list[str]:
    """Every page about an execution and its plan."""
    base, plan = f"/executions/{execution.pk}/", f"/masterplans/{execution.masterplan_id}/"
    attempt = Attempt.objects.filter(execution=execution).first()
    other = AtomRun.objects.get(execution=execution, wave=2)
    return [
        base,
        f"{base}events/",
        f"{base}project.zip",
        f"{base}confirm-cancel/",
        f"{base}atoms/first/",
        f"{base}atoms/{other.pk}/",
        f"/attempts/{attempt.pk if attempt else ''}/code.txt",
        plan,
        f"{plan}start/",
        f"{plan}atoms/0/",
        f"{plan}atoms/1/",
    ]


def test_the_owner_sees_every_page(ada: Visitor, tried: Execution) -> None:
    for address in ["/", "/masterplans/", "/masterplans/new/", "/accounts/password/", *addresses(tried)]:
        assert ada.client.get(address).status_code == 200, address


def test_for_a_stranger_nothing_of_it_exists(grace: Visitor, tried: Execution) -> None:
    for address in addresses(tried):
        assert grace.client.get(address).status_code == 404, address
    for verb in ("pause", "resume", "cancel"):
        assert grace.client.post(f"/executions/{tried.pk}/{verb}/").status_code == 404
    assert grace.client.post(f"/masterplans/{tried.masterplan_id}/start/").status_code == 404
    tried.refresh_from_db()
    assert tried.status == "running"


def test_lists_show_a_stranger_nothing(grace: Visitor, tried: Execution) -> None:
    for address in ("/", "/masterplans/"):
        assert str(tried.pk) not in grace.client.get(address).content.decode()
        assert "first" not in Page(grace.client.get(address)).text


def test_staff_and_the_team_see_it(visitor: Callable[..., Visitor], tried: Execution) -> None:
    team = Group.objects.create(name="team")
    Execution.objects.filter(pk=tried.pk).update(team=team)
    for one in (visitor("root", staff=True), visitor("mate", "team")):
        assert one.client.get(f"/executions/{tried.pk}/").status_code == 200
        assert f'data-execution-id="{tried.pk}"' in one.client.get("/").content.decode()


def test_who_is_not_signed_in_is_sent_to_sign_in_and_back(client: Client, tried: Execution) -> None:
    for address in addresses(tried):
        response = client.get(address)
        assert response.status_code == 302, address
        assert response.headers["Location"] == f"/accounts/login/?next={address}"


def test_a_piece_of_a_page_is_not_replaced_by_the_login_page(client: Client, tried: Execution) -> None:
    response = client.get(f"/executions/{tried.pk}/", headers={"HX-Request": "true"})
    assert response.headers["HX-Redirect"] == "/accounts/login/"
    assert response.content == b""


def test_unknown_atoms_attempts_and_verbs_are_404(ada: Visitor, tried: Execution) -> None:
    base = f"/executions/{tried.pk}/"
    for address in (f"{base}atoms/nothing/", f"/attempts/{tried.pk}/code.txt", "/executions/1/", "/nothing/"):
        assert ada.client.get(address).status_code == 404, address
    assert ada.client.post(f"{base}explode/").status_code == 404


@pytest.mark.parametrize("part", ["first", "id"])
def test_an_atom_is_found_by_its_key_and_by_the_id_of_its_run(
    ada: Visitor, tried: Execution, part: str
) -> None:
    run = AtomRun.objects.get(execution=tried, key="first")
    address = f"/executions/{tried.pk}/atoms/{run.pk if part == 'id' else part}/"
    assert "Attempt 2" in Page(ada.client.get(address)).text
