"""So many reads and so many writes a minute for each user, counted over all processes of the site.

Writes are counted in the database, one transaction each: exact, and a write waits for the database anyway. Reads are counted
in memory; a process exchanges its counts with the others' when it has a tenth of what is left unreported. That is no commit
for nearly every read, exact in one process, and over several it errs by less the closer the limit is.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from django.conf import settings
from django.db import transaction
from rest_framework.permissions import SAFE_METHODS
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from executions.models import RequestTally

WINDOW_S = 60
MOST_USERS_REMEMBERED = 5_000


class UserThrottle(BaseThrottle):
    """Reads and writes of a user, whatever token or session they come with. Who is nobody was refused before."""

    def __init__(self) -> None:
        self._wait = 0

    def allow_request(self, request: Request, view: Any) -> bool:
        if request.user.pk is None:
            return True
        now = int(time.time())
        if request.method in SAFE_METHODS:
            self._wait = _reads.admit(request.user.pk, settings.MGE_THROTTLE_READS, now)
        else:
            self._wait = admit_write(request.user.pk, settings.MGE_THROTTLE_WRITES, now)
        return self._wait == 0

    def wait(self) -> float:
        return float(self._wait)


def admit_write(user_id: int, limit: int, now: int) -> int:
    """0 when the user may write now (in Unix seconds), and it is counted; else the seconds until he may."""
    known = RequestTally.objects.filter(user_id=user_id, kind="writes").first()
    if known is not None and (wait := _wait(_recent(known.seconds, now), limit, now)):
        return wait  # looked at without taking the write lock: who hammers away costs little
    with transaction.atomic():
        tally = _locked(user_id, "writes")
        seconds = _recent(tally.seconds, now)
        wait = _wait(seconds, limit, now)
        if not wait:
            seconds[now] += 1
            _store(tally, seconds)
    return wait


@dataclass(slots=True)
class _Tally:
    """One user's reads as this process knows them."""

    known: Counter[int] = field(default_factory=Counter)
    """Of all processes, as of the last exchange, and our own since."""
    unreported: Counter[int] = field(default_factory=Counter)
    """Our own since the last exchange."""
    exchanging: bool = False


class Reads:
    """The reads of all users, in this process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tallies: dict[int, _Tally] = {}

    def admit(self, user_id: int, limit: int, now: int) -> int:
        """0 when the user may read now (in Unix seconds), and it is counted; else the seconds until he may."""
        with self._lock:
            tally = self._of(user_id, now)
            tally.known = _recent(tally.known, now)
            wait = _wait(tally.known, limit, now)
            if wait:
                return wait
            tally.known[now] += 1
            tally.unreported[now] += 1
            left = limit - tally.known.total()
            due = tally.unreported.total() > left // 10 and not tally.exchanging
            if due:
                tally.exchanging = True
                report, tally.unreported = tally.unreported, Counter()
        if due:
            self._exchange(user_id, tally, report, now)
        return 0

    def forget(self) -> None:
        """Start afresh, as a new process would."""
        with self._lock:
            self._tallies.clear()

    def _of(self, user_id: int, now: int) -> _Tally:
        if user_id not in self._tallies and len(self._tallies) >= MOST_USERS_REMEMBERED:
            self._tallies = {one: tally for one, tally in self._tallies.items() if _recent(tally.known, now)}
        return self._tallies.setdefault(user_id, _Tally())

    def _exchange(self, user_id: int, tally: _Tally, report: Counter[int], now: int) -> None:
        told = False
        try:
            with transaction.atomic():
                row = _locked(user_id, "reads")
                seconds = _recent(row.seconds, now) + report
                _store(row, seconds)
            told = True
        finally:
            with self._lock:
                tally.exchanging = False
                if told:
                    tally.known = seconds + tally.unreported
                else:
                    tally.unreported += report


def _locked(user_id: int, kind: str) -> RequestTally:
    row: RequestTally = RequestTally.objects.select_for_update().get_or_create(user_id=user_id, kind=kind)[0]
    return row


def _store(tally: RequestTally, seconds: Mapping[int, int]) -> None:
    tally.seconds = {str(second): count for second, count in seconds.items()}
    tally.save(update_fields=["seconds"])


def _recent(seconds: Mapping[Any, int], now: int) -> Counter[int]:
    """Those within the last minute. A second counts whole, so a request counts for up to a second longer."""
    return Counter({int(second): count for second, count in seconds.items() if int(second) >= now - WINDOW_S})


def _wait(seconds: Counter[int], limit: int, now: int) -> int:
    if seconds.total() < limit:
        return 0
    return max(1, min(seconds, default=now) + WINDOW_S + 1 - now)


_reads = Reads()
forget_reads = _reads.forget
