"""Tokens: made once, kept as a digest, good until they expire or are revoked."""

from __future__ import annotations

import io
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core.management import call_command
from rest_framework.test import APIClient

from executions.models import ApiToken
from executions.services.tokens import create_token, owner_of
from tests.api.people import Person


def command(*arguments: str) -> tuple[str, str, int]:
    """Output, errors and exit status of `manage.py token`."""
    out, err = io.StringIO(), io.StringIO()
    try:
        call_command("token", *arguments, stdout=out, stderr=err)
    except SystemExit as ended:
        return out.getvalue(), err.getvalue(), int(ended.code or 0)
    return out.getvalue(), err.getvalue(), 0


def status(text: str) -> int:
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {text}")
    code: int = client.get("/api/v2/executions/").status_code
    return code


def test_the_command_prints_one_that_works_and_keeps_only_its_digest(ada: Person) -> None:
    out, _, code = command("create", "ada", "--name", "nightly", "--days", "30")

    text = out.strip()
    assert code == 0
    assert text.startswith("mge_")
    assert status(text) == 200
    token = ApiToken.objects.get(name="nightly")
    assert text.rpartition("_")[2] not in f"{token.digest}{token.key_id}{token}"
    assert token.expires_at is not None
    assert token.expires_at - datetime.now(UTC) > timedelta(days=29)


def test_the_list_shows_key_ids_only(ada: Person, grace: Person) -> None:
    text = create_token(owner=ada.user, name="nightly")[1]

    out, _, _ = command("list", "ada")

    assert "nightly" in out
    assert text.split("_")[1] in out
    assert text not in out
    assert "grace" not in out


def test_a_revoked_one_is_refused_at_once(ada: Person) -> None:
    token, text = create_token(owner=ada.user)
    assert status(text) == 200

    assert command("revoke", f"mge_{token.key_id}")[2] == 0

    assert status(text) == 401
    assert "revoked" in command("list")[0]


@pytest.mark.parametrize(
    "arguments",
    [
        ("create", "nobody"),
        ("create", "ada", "--days", "0"),
        ("create", "ada", "--name", "x" * 101),
        ("revoke", "mge_nothing"),
    ],
)
def test_the_command_refuses_with_a_reason(arguments: tuple[str, ...], ada: Person) -> None:
    before = ApiToken.objects.count()

    out, err, code = command(*arguments)

    assert (out, code) == ("", 2)
    assert err.strip()
    assert ApiToken.objects.count() == before


def test_an_expired_one_is_refused(ada: Person) -> None:
    token, text = create_token(owner=ada.user, days=1)
    ApiToken.objects.filter(pk=token.pk).update(expires_at=datetime.now(UTC) - timedelta(seconds=1))

    assert status(text) == 401


def test_that_of_somebody_who_may_not_log_in_is_refused(ada: Person) -> None:
    text = create_token(owner=ada.user)[1]
    ada.user.is_active = False
    ada.user.save()

    assert status(text) == 401


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text[:-1] + ("a" if text[-1] != "a" else "b"),
        lambda text: text[:-1],
        lambda text: text + "x",
        lambda text: text.replace("mge_", "MGE_"),
        lambda text: "",
        lambda text: "mge_" + "a" * 12 + "_" + text.rpartition("_")[2],
        lambda text: "é" + text,
    ],
)
def test_one_that_is_not_exactly_it_is_refused(change: Callable[[str], str], ada: Person) -> None:
    text = create_token(owner=ada.user)[1]

    assert owner_of(text) == ada.user
    assert owner_of(change(text)) is None


def test_its_use_is_noted_to_the_minute(ada: Person, django_assert_num_queries: Any) -> None:
    token, text = create_token(owner=ada.user)

    with django_assert_num_queries(2):
        owner_of(text)
    with django_assert_num_queries(1):
        owner_of(text)

    token.refresh_from_db()
    assert token.last_used_at is not None


def test_everybody_sees_only_his_own(ada: Person, grace: Person, make_person: Callable[..., Person]) -> None:
    staff = make_person("staff", staff=True)

    assert {one.owner for one in ApiToken.objects.visible_to(ada.user)} == {ada.user}
    assert {one.owner for one in ApiToken.objects.visible_to(staff.user)} == {
        ada.user,
        grace.user,
        staff.user,
    }


def test_no_credentials_are_told_how_to_do_better(db: None) -> None:
    answer = APIClient().get("/api/v2/executions/")

    assert answer.status_code == 401
    assert answer["WWW-Authenticate"] == 'Bearer realm="MGE Execution"'
    assert answer.json()["code"] == "not_authenticated"
