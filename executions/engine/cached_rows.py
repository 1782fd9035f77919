"""The rows of the answer cache, written in the transaction of the verdicts that they follow from."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from executions.engine import dialect
from executions.identity import new_id

if TYPE_CHECKING:
    from django.db.backends.utils import CursorWrapper

COMMAND_SCOPE = "command"
"""Of executions that nobody owns: those that commands have started."""


def scopes_of(owner_id: int | None, team_id: int | None) -> tuple[str, ...]:
    """Whose answers an execution shares: its owner's first, then its team's."""
    found = []
    if owner_id is not None:
        found.append(f"user:{owner_id}")
    if team_id is not None:
        found.append(f"team:{team_id}")
    return tuple(found) or (COMMAND_SCOPE,)


@dataclass(frozen=True, slots=True)
class CachePlace:
    """Where an accepted answer of an atom belongs."""

    scopes: tuple[str, ...]
    key: str
    verdict_key: str


@dataclass(frozen=True, slots=True)
class AcceptedAnswer:
    """An answer with the verdict that accepted it."""

    code: str
    assurance: str
    isolation: str
    tests_passed: tuple[str, ...]
    tests_total: int
    origin: uuid.UUID
    """The attempt in which the model wrote it."""


@dataclass(slots=True)
class CacheWrites:
    """What one transaction changes in the cache. Rows are shared by executions, so all transactions take them in one order."""

    _rows: dict[tuple[str, str], tuple[CachePlace, AcceptedAnswer] | None] = field(default_factory=dict)
    """By scope and key; None: only used."""

    def store(self, place: CachePlace, accepted: AcceptedAnswer) -> None:
        """Keep an answer in each of the place's scopes, in place of an earlier one."""
        for scope in place.scopes:
            self._rows[scope, place.key] = (place, accepted)

    def used(self, scope: str, key: str) -> None:
        """Note that an answer was taken, so that it is pruned later."""
        self._rows.setdefault((scope, key), None)

    def write(self, cursor: CursorWrapper, now: datetime) -> None:
        """Once, before the commit."""
        for (scope, key), kept in sorted(self._rows.items(), key=lambda row: row[0]):
            if kept is None:
                cursor.execute(
                    "UPDATE executions_cachedanswer SET used_at = %s WHERE scope = %s AND key = %s",
                    [dialect.at(now), scope, key],
                )
            else:
                _upsert(cursor, now, scope, *kept)


def _upsert(
    cursor: CursorWrapper, now: datetime, scope: str, place: CachePlace, accepted: AcceptedAnswer
) -> None:
    cursor.execute(
        "INSERT INTO executions_cachedanswer (id, scope, key, answer, verdict_key, assurance, isolation, tests_passed,"  # noqa: S608
        f" tests_total, origin, created_at, used_at) VALUES ({dialect.marks(12)})"
        " ON CONFLICT (scope, key) DO UPDATE SET answer = excluded.answer, verdict_key = excluded.verdict_key,"
        " assurance = excluded.assurance, isolation = excluded.isolation, tests_passed = excluded.tests_passed,"
        " tests_total = excluded.tests_total, origin = excluded.origin, created_at = excluded.created_at,"
        " used_at = excluded.used_at",
        [
            dialect.uid(new_id()),
            scope,
            place.key,
            dialect.text(accepted.code),
            place.verdict_key,
            accepted.assurance,
            accepted.isolation,
            dialect.dump(list(accepted.tests_passed)),
            accepted.tests_total,
            dialect.uid(accepted.origin),
            dialect.at(now),
            dialect.at(now),
        ],
    )
