"""Signing in, and being told how long to wait after too many wrong passwords."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from tests.dashboard.conftest import Visitor
from tests.dashboard.pages import Page

LOGIN = "/accounts/login/"
PASSWORD = "lovelace-1815"


@pytest.fixture
def account(db: None, settings: Any) -> User:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    return User.objects.create_user("ada", password=PASSWORD)


def sign_in(client: Client, password: str, name: str = "ada") -> Any:
    return client.post(LOGIN, {"username": name, "password": password, "next": "/masterplans/"})


def test_the_right_password_leads_to_where_one_wanted_to_go(client: Client, account: User) -> None:
    assert sign_in(client, PASSWORD).headers["Location"] == "/masterplans/"
    assert "Masterplans" in Page(client.get("/masterplans/")).text
    assert client.get(LOGIN).headers["Location"] == "/"


def test_nobody_is_led_to_another_site(client: Client, account: User) -> None:
    response = client.post(
        LOGIN, {"username": "ada", "password": PASSWORD, "next": "https://elsewhere.test/"}
    )
    assert response.headers["Location"] == "/"


def test_a_wrong_password_says_so_and_keeps_the_name(client: Client, account: User) -> None:
    page = Page(sign_in(client, "wrong"))
    assert "Please enter a correct username and password" in page.text
    assert page.find(name="username")[0]["value"] == "ada"


def test_too_many_wrong_passwords_lock_the_login_for_a_while(client: Client, account: User) -> None:
    answers = [sign_in(client, f"wrong {number}").status_code for number in range(5)]
    assert answers == [200, 200, 200, 200, 429]
    locked = sign_in(client, PASSWORD)
    assert locked.status_code == 429
    assert "locked for 15 min" in Page(locked).text
    assert locked.headers["Retry-After"] == "900"
    assert client.get("/").status_code == 302
    User.objects.create_user("grace", password="hopper-1906")
    assert sign_in(client, "hopper-1906", "grace").status_code == 302


def test_signing_out_needs_a_form_and_ends_the_session(ada: Visitor) -> None:
    assert ada.client.get("/accounts/logout/").status_code == 405
    assert ada.client.post("/accounts/logout/").headers["Location"] == LOGIN
    assert ada.client.get("/").status_code == 302


def test_a_password_can_be_changed(client: Client, account: User) -> None:
    sign_in(client, PASSWORD)
    new = "analytical-engine-7"
    refused = client.post(
        "/accounts/password/", {"old_password": "no", "new_password1": new, "new_password2": new}
    )
    assert "Your old password was entered incorrectly" in Page(refused).text
    sent = {"old_password": PASSWORD, "new_password1": new, "new_password2": new}
    assert "Your password is changed." in Page(client.post("/accounts/password/", sent, follow=True)).text
    assert sign_in(Client(), new).status_code == 302
