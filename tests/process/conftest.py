"""An installation of its own for each test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.product import Product


@pytest.fixture
def product(scratch: Path) -> Iterator[Product]:
    found = Product(scratch / "product")
    yield found
    found.close()


@pytest.fixture
def make_product(scratch: Path) -> Iterator[Callable[..., Product]]:
    """Installations with environment variables of their own."""
    made: list[Product] = []

    def make(**environment: str) -> Product:
        made.append(Product(scratch / f"product{len(made)}", **environment))
        return made[-1]

    yield make
    for one in made:
        one.close()
