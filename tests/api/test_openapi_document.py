"""The published document and its page."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml
from django.test import Client

from executions.api.urls import ORIGINAL, OWN


@pytest.fixture
def document(db: None, client: Client) -> Any:
    answer = client.get("/api/schema/")
    assert answer.status_code == 200
    return yaml.safe_load(answer.content)


def test_every_route_is_in_it_once(document: Any) -> None:
    written = {
        re.sub(r"<\w+:(\w+)>", r"{\1}", f"/api/{route.pattern}") for route in (*ORIGINAL, *OWN) if route.name
    }
    canonical = {path.rstrip("/") if path.startswith("/api/v2/execution/") else path for path in written}

    assert set(document["paths"]) == canonical


def test_every_operation_says_what_may_go_wrong(document: Any) -> None:
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            responses = operation["responses"]
            assert {"401", "403", "429", "500"} <= set(responses), (path, method)
            assert operation["summary"], (path, method)
            original = path.startswith("/api/v2/execution/")
            kind = "application/json" if original else "application/problem+json"
            assert all(kind in answer["content"] for status, answer in responses.items() if status >= "400")


def test_tokens_and_sessions_are_told_as_ways_in(document: Any) -> None:
    schemes = document["components"]["securitySchemes"]

    assert (schemes["token"]["type"], schemes["token"]["scheme"]) == ("http", "bearer")
    assert schemes["cookieAuth"]["in"] == "cookie"


def test_it_can_be_had_as_json(db: None, client: Client) -> None:
    assert client.get("/api/schema/?format=json").json()["openapi"].startswith("3.")


def test_the_page_has_no_inline_script_or_style_and_fetches_nothing_from_elsewhere(
    db: None, client: Client
) -> None:
    page = client.get("/api/docs/")
    html = page.content.decode()

    assert page.status_code == 200
    assert "'unsafe-inline'" not in page["Content-Security-Policy"]
    assert re.findall(r"<script(?![^>]*\bsrc=)", html) == []
    assert "<style" not in html
    assert " style=" not in html
    addresses = re.findall(r'(?:src|href)="([^"]*)"', html)
    assert addresses
    assert all(one.startswith("/") and not one.startswith("//") for one in addresses)
    for one in addresses:
        assert client.get(one.replace("&amp;", "&")).status_code == 200
