"""A runner in a thread of its own, as in a worker process: slices and reconciling until an execution rests."""

from __future__ import annotations

import threading
import uuid
from typing import Self

from django.db import connection

from executions.engine.reconciler import reconcile
from executions.engine.wave_executor import run_slice
from executions.models import Execution
from executions.states import EXECUTION_ENDED, ExecutionStatus

RESTING = EXECUTION_ENDED | {ExecutionStatus.PAUSED}


class InThread:
    """`with` one of its kind: `run` works in a thread of its own, leaving the block waits for its end.

    A failure of it is raised where the block ends.
    """

    def __init__(self) -> None:
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._work, name="runner")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.join(timeout=60)
        assert not self._thread.is_alive(), "the runner does not end"
        if self._error is not None:
            raise self._error

    def run(self) -> None:
        raise TypeError(f"{type(self).__name__} does nothing")

    def _work(self) -> None:
        try:
            self.run()
        except BaseException as error:  # noqa: BLE001  raised again in the test's own thread
            self._error = error
        finally:
            connection.close()


class RunnerThread(InThread):
    """`with RunnerThread(execution): …` works until the execution rests; leaving the block waits for that."""

    def __init__(self, execution: Execution) -> None:
        super().__init__()
        self._id: uuid.UUID = execution.id

    def run(self) -> None:
        while Execution.objects.get(pk=self._id).status not in RESTING:
            run_slice()
            reconcile()


def run_to_rest(execution: Execution) -> Execution:
    """Work until the execution rests; returns it as it then is."""
    with RunnerThread(execution):
        pass
    execution.refresh_from_db()
    return execution
