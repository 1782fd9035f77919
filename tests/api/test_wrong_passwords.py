"""Guessing passwords locks the login for a while."""

from __future__ import annotations

import pytest
from axes.utils import reset
from django.conf import settings as site
from django.contrib.auth.models import User
from django.test import Client

PASSWORD = "lovelace-1815"


@pytest.fixture(autouse=True)
def _users(db: None) -> None:
    User.objects.create_superuser("ada", password=PASSWORD)
    User.objects.create_superuser("grace", password=PASSWORD)


def login(client: Client, name: str, password: str) -> int:
    status: int = client.post(
        "/admin/login/?next=/admin/", {"username": name, "password": password}
    ).status_code
    return status


def test_after_a_few_wrong_ones_the_right_one_is_locked_out_too_but_nobody_else(client: Client) -> None:
    for number in range(site.AXES_FAILURE_LIMIT):
        login(client, "ada", f"guess-{number}")

    assert login(client, "ada", PASSWORD) == 429
    assert login(Client(), "grace", PASSWORD) == 302


def test_a_few_wrong_ones_before_the_right_one_are_forgiven(client: Client) -> None:
    for number in range(site.AXES_FAILURE_LIMIT - 1):
        login(client, "ada", f"guess-{number}")

    assert login(client, "ada", PASSWORD) == 302


def test_the_lock_ends(client: Client) -> None:
    for number in range(site.AXES_FAILURE_LIMIT):
        login(client, "ada", f"guess-{number}")
    assert site.AXES_COOLOFF_TIME.total_seconds() <= 3600
    reset(username="ada")

    assert login(client, "ada", PASSWORD) == 302
