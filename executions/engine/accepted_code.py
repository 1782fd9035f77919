"""The accepted code of atoms, over the cursor of whoever needs it: a claim, or the verdict on an atom beside them."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from typing import TYPE_CHECKING

from executions.engine import dialect

if TYPE_CHECKING:
    from django.db.backends.utils import CursorWrapper

AT_ONCE = 500
"""Atoms named in one statement."""


def accepted_code(cursor: CursorWrapper, execution_id: uuid.UUID, keys: Iterable[str]) -> dict[str, str]:
    """By key, of those that have been accepted."""
    found: dict[str, str] = {}
    ordered = sorted(keys)
    for start in range(0, len(ordered), AT_ONCE):
        named, values = dialect.atoms_named(execution_id, ordered[start : start + AT_ONCE])
        cursor.execute(
            f"SELECT r.key, a.code FROM {named} JOIN executions_attempt a ON a.id = r.accepted_id",  # noqa: S608
            values,
        )
        found.update(cursor.fetchall())
    return found
