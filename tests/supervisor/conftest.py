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
