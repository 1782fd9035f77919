"""What went wrong is told in the site's own words, and nothing of the inside is."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client, override_settings
from django.urls import include, path

from tests.dashboard.conftest import Visitor
from tests.dashboard.pages import Page


def explode(request: Any) -> Any:
    raise RuntimeError("the secret of the inside")


urlpatterns = [path("explode/", explode), path("", include("mge_site.urls"))]
handler500 = "executions.dashboard.errors.server_error"


def test_an_unknown_address_is_told_in_the_sites_design(ada: Visitor) -> None:
    response = ada.client.get("/nothing/")
    assert response.status_code == 404
    page = Page(response)
    assert "There is no such page" in page.text
    assert page.dangers == []


def test_a_malformed_request_is_told_too(client: Client) -> None:
    response = client.get("/", headers={"Host": "elsewhere.test"})
    assert response.status_code == 400


@override_settings(ROOT_URLCONF=__name__)
def test_a_failure_inside_gives_a_number_and_no_traceback(
    ada: Visitor, caplog: pytest.LogCaptureFixture
) -> None:
    ada.client.raise_request_exception = False
    response = ada.client.get("/explode/")
    assert response.status_code == 500
    page = Page(response)
    assert "Something went wrong here" in page.text
    assert "secret of the inside" not in response.content.decode()
    assert "Traceback" not in response.content.decode()
    number = response.headers["X-Request-ID"]
    assert number in page.text
    assert number in caplog.text
