"""Wait for executions to come to rest, looking after them meanwhile."""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable, Sequence

from django.conf import settings
from django.db import DatabaseError, connection

from executions.engine.node import live_nodes
from executions.engine.reconciler import reconcile
from executions.models import Execution
from executions.states import EXECUTION_ENDED, ExecutionStatus

log = logging.getLogger(__name__)

LOOK_S = 0.25
RESTING = EXECUTION_ENDED | {ExecutionStatus.PAUSED}


def wait_until_resting(
    execution_ids: Sequence[uuid.UUID],
    *,
    seen: Callable[[Sequence[Execution]], None],
    no_worker: Callable[[], None],
    sleep: Callable[[float], None] = time.sleep,
) -> list[Execution]:
    """Wait until each is completed, failed, cancelled or paused; returns them in the order given.

    `seen` gets them each time they are looked at; `no_worker` is called when no live node is there to work on them; `sleep`, in
    seconds, between two looks: what it raises ends the waiting. Runs the reconciler, so that work comes back even when every
    other process of ours has died.
    """
    reconciled = 0.0
    while True:
        try:
            found = {
                one.id: one
                for one in Execution.objects.filter(pk__in=execution_ids).select_related("masterplan")
            }
            executions = [found[one] for one in execution_ids]
            seen(executions)
            if all(one.status in RESTING for one in executions):
                return executions
            if time.monotonic() - reconciled >= settings.MGE_RECONCILE_SECONDS:
                reconciled = time.monotonic()
                if not live_nodes():
                    no_worker()
                reconcile()
        except DatabaseError as error:
            # The database restarts or the connection broke: look again with a new one, give up only with the person.
            log.warning("the database does not answer (%s); looking again", type(error).__name__)
            connection.close()
        sleep(LOOK_S)
