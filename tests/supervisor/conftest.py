"""An installation of its own for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.product import Product


@pytest.fixture
def product(scratch: Path) -> Iterator[Product]:
    found = Product(scratch / "product")
    yield found
    found.close()


@pytest.fixture
def schema(product: Product) -> None:
    """The database is made before anything runs, so that a test can look into it at any time."""
    assert product.manage("migrate", "--verbosity", "0").returncode == 0
