"""MGE_PUBLIC_URL: one variable says where browsers find the site, and what follows from that is set."""

from __future__ import annotations

import json

import pytest

from mge_site.env import site_url
from tests.product import Product

SHOW = """
import json
from django.conf import settings
print(json.dumps([settings.ALLOWED_HOSTS, settings.CSRF_TRUSTED_ORIGINS, settings.SESSION_COOKIE_SECURE]))
"""


def test_its_host_is_answered_its_origin_trusted_and_cookies_are_kept_to_https(product: Product) -> None:
    shown = product.manage("shell", "-c", SHOW, MGE_PUBLIC_URL="https://MGE.example.org:8443/")

    hosts, origins, secure = json.loads(shown.stdout.splitlines()[-1])
    assert "mge.example.org" in hosts
    assert origins == ["https://mge.example.org:8443"]
    assert secure is True


def test_without_it_only_this_machine_is_answered(product: Product) -> None:
    shown = product.manage("shell", "-c", SHOW)

    assert json.loads(shown.stdout.splitlines()[-1]) == [["localhost", "127.0.0.1", "[::1]"], [], False]


@pytest.mark.parametrize(
    "text",
    ["mge.example.org", "ftp://mge.example.org", "https://", "https://mge.example.org/sub", "https://a@b"],
)
def test_anything_but_scheme_and_host_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="must"):
        site_url(text)
