"""The base of our commands: refusals become one clear message on stderr and an exit status, never a traceback."""

from __future__ import annotations

import sys
from abc import abstractmethod
from typing import Any

from django.core.management.base import BaseCommand

from executions.planning.format import InvalidMasterplan
from executions.services.errors import InvalidRequest, InvalidSettings, NotFound, StartRefused
from executions.states import WrongState

BAD_INPUT = 2
STOPPED = 3


class Refused(Exception):
    """The command cannot do what was asked; says why, and ends with `code`."""

    def __init__(self, message: str, code: int = BAD_INPUT) -> None:
        super().__init__(message)
        self.code = code


class PlainCommand(BaseCommand):
    """Subclasses write `perform`, given the parsed arguments by name; it returns the exit status (None: 0)."""

    requires_system_checks = []

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            code = self.perform(options)
        except Refused as refused:
            self.stderr.write(str(refused))
            code = refused.code
        except (
            InvalidMasterplan,
            InvalidRequest,
            InvalidSettings,
            NotFound,
            StartRefused,
            WrongState,
        ) as error:
            self.stderr.write(str(error))
            code = BAD_INPUT
        except KeyboardInterrupt:
            self.stderr.write("stopped; what was started goes on as soon as a worker runs")
            code = STOPPED
        if code:
            sys.exit(code)

    @abstractmethod
    def perform(self, options: dict[str, Any]) -> int | None: ...
