"""Whoever runs the atoms' tests may be killed at any moment."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.plans import write_plan
from tests.product import Product
from trials.kills import VICTIMS, patient_plan, work, wrongs

pytestmark = [
    pytest.mark.needs_sandbox,
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc"),
]


def test_whatever_of_a_sandbox_is_killed_nothing_is_left_and_no_atom_is_lost(
    product: Product, scratch: Path
) -> None:
    file = write_plan(scratch, patient_plan(20, 1.0))
    product.environment |= {"MGE_LEASE_SECONDS": "5", "MGE_RECONCILE_SECONDS": "1"}

    result = work(product, file, len(VICTIMS), seed=1)

    assert [kill.victim for kill in result["kills"]] == list(VICTIMS)
    assert list(wrongs(result, 20)) == []
