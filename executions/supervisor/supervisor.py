"""The supervisor: keeps children up until it is told to stop, and then leaves none behind."""

from __future__ import annotations

import logging
import signal
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import FrameType
from typing import Protocol, Self

from django.db import DatabaseError, InterfaceError, connection

from executions.supervisor.log_file import LogFile
from executions.supervisor.restarts import Restarts

log = logging.getLogger(__name__)

LOOK_S = 0.1
READY_LOOK_S = 0.3
SHOW_LOG_AFTER = 3
"""Deaths in a row after which the last lines of a child's log are shown."""
SHOWN_LINES = 8

Say = Callable[[str], None]


class Running(Protocol):
    """A child that was started."""

    @property
    def pid(self) -> int: ...
    def ended(self) -> bool: ...
    def how_it_ended(self) -> str: ...
    def ready(self) -> str: ...
    def ask_to_end(self) -> None: ...
    def wait(self, longest_s: float) -> bool: ...
    def end(self) -> None: ...


@dataclass(slots=True)
class Kept:
    """A child that is to be there always: the next one is started when the one before it is gone."""

    name: str
    start: Callable[[], Running]
    ready: Callable[[str], None]
    """Called once per life, with what the child says of itself."""
    log_file: LogFile | None = None
    restarts: Restarts = field(default_factory=Restarts)
    running: Running | None = None
    started: float = 0.0
    not_before: float = 0.0
    announced: bool = False


class StopSignals:
    """How often we were asked to stop: by Ctrl-C, SIGTERM, or a terminal that went away."""

    def __init__(self) -> None:
        self.count = 0
        self.listen()

    def listen(self) -> None:
        """Listen, again when somebody else has set handlers of his own."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._asked)
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup wants it ignored
            signal.signal(signal.SIGHUP, self._asked)

    def _asked(self, number: int, frame: FrameType | None) -> None:
        self.count += 1


class Supervisor:
    """`with Supervisor(…) as supervisor: supervisor.start(); supervisor.run()`; leaving the block ends all children."""

    def __init__(self, kept: Sequence[Kept], *, signals: StopSignals, say: Say, grace_s: float) -> None:
        self._kept = kept
        self._signals = signals
        self._say = say
        self._grace_s = grace_s
        self._looked = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    def start(self) -> None:
        """Start whatever is due; anything, at first."""
        now = time.monotonic()
        for one in self._kept:
            if one.running is None and now >= one.not_before:
                one.started, one.announced = now, False
                one.running = one.start()

    def run(self) -> None:
        """Until a signal asks to stop."""
        while not self._signals.count:
            now = time.monotonic()
            for one in self._kept:
                if one.running is not None and one.running.ended():
                    self._bury(one, one.running, now)
            self.start()
            if now - self._looked >= READY_LOOK_S:
                self._looked = now
                self._announce()
            time.sleep(LOOK_S)

    def _bury(self, one: Kept, running: Running, now: float) -> None:
        """It is over with this one, and with what it started: only then may the next one come."""
        how = running.how_it_ended()
        log.warning("%s ended: %s", one.name, how)
        running.end()
        one.running = None
        wait = one.restarts.after_death(lived_s=now - one.started)
        one.not_before = now + wait
        self._say(f"{one.name} ended ({how}); starting again in {wait:g} s")
        if one.restarts.in_a_row >= SHOW_LOG_AFTER and one.log_file is not None:
            self._say(
                f"{one.name} ended {one.restarts.in_a_row} times in a row; {one.log_file.path} ends with:"
            )
            for line in one.log_file.last_lines(SHOWN_LINES):
                self._say(f"  | {line}")

    def _announce(self) -> None:
        for one in self._kept:
            if one.running is None or one.announced:
                continue
            try:
                word = one.running.ready()
            except (DatabaseError, InterfaceError):
                connection.close()
                continue
            if word:
                one.announced = True
                one.ready(word)

    def _stop(self) -> None:
        running = [one.running for one in self._kept if one.running is not None]
        forced_by = self._signals.count + 1
        for child in running:
            child.ask_to_end()
        deadline = time.monotonic() + self._grace_s
        while time.monotonic() < deadline and self._signals.count < forced_by:
            if all(child.ended() for child in running):
                break
            time.sleep(LOOK_S / 2)
        else:
            late = [one.name for one in self._kept if one.running is not None and not one.running.ended()]
            if late:
                self._say(f"ended by force: {', '.join(late)}")
        for child in running:
            child.end()


class Regularly:
    """Something done again and again in a thread, with a connection of its own; a database that is away is said once."""

    def __init__(self, work: Callable[[], object], *, name: str, every_s: float, say: Say) -> None:
        self._work, self._every_s, self._say = work, every_s, say
        self._over = threading.Event()
        # A daemon: it may hang in a connection to a server that is gone, and must not keep us then.
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def __enter__(self) -> Regularly:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()

    def _run(self) -> None:
        away = False
        while not self._over.wait(self._every_s):
            try:
                self._work()
            except (DatabaseError, InterfaceError) as error:
                connection.close()
                if not away:
                    self._say(f"the database does not answer ({type(error).__name__}); trying again")
                away = True
                continue
            if away:
                self._say("the database answers again")
            away = False
        connection.close()
