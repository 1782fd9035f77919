"""The collector: Prometheus asks it, it asks the database, at most once in a while."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator

from django.db import DatabaseError, InterfaceError
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from executions.metrics.families import collector_up, families
from executions.metrics.readings import Readings, read, read_atoms

log = logging.getLogger(__name__)

MAX_AGE_S = 2.0
"""How old an answer may be: several scrapers, or an impatient one, ask the database once."""


class ExecutionCollector(Collector):
    """Everything that the database knows. Registering it asks nothing: its names are known without the database."""

    def __init__(self, max_age_s: float = MAX_AGE_S) -> None:
        self._max_age_s = max_age_s
        self._lock = threading.Lock()
        self._read_at: float | None = None
        self._readings: Readings | None = None

    def describe(self) -> list[Metric]:
        return [collector_up(up=False), *families(Readings())]

    def collect(self, *, by_atom: bool = False) -> Iterator[Metric]:
        """With `by_atom` the two families that may name atoms do so; those are read anew each time."""
        readings = self._current()
        atoms = None
        if by_atom and readings is not None:
            try:
                atoms = read_atoms()
            except (DatabaseError, InterfaceError) as error:
                log.warning("metrics: the database did not answer: %s: %s", type(error).__name__, error)
                readings = None
        yield collector_up(up=readings is not None)
        if readings is not None:
            yield from families(readings, atoms)

    def _current(self) -> Readings | None:
        """What was read last, if lately; None when the database did not answer then."""
        with self._lock:
            if self._read_at is None or time.monotonic() - self._read_at >= self._max_age_s:
                try:
                    self._readings = read()
                except (DatabaseError, InterfaceError) as error:
                    log.warning("metrics: the database did not answer: %s: %s", type(error).__name__, error)
                    self._readings = None
                self._read_at = time.monotonic()
            return self._readings
