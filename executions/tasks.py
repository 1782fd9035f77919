"""What django-q2 calls. Plain functions; they return nothing that anyone relies on."""

from __future__ import annotations

import time
import uuid

HAND_ON_S = 1.0
"""A node that claims nothing waits so long before it puts a message back: those that work come first."""


def run(execution_id: str) -> None:
    """A doorbell was rung. Which execution it was for only matters to people reading the queue: a runner serves all."""
    from executions.engine.node import claims_nothing
    from executions.engine.wave_executor import run_slice

    if claims_nothing():
        _hand_on("executions.tasks.run", execution_id)
    else:
        run_slice()


def _hand_on(task: str, execution_id: str) -> None:
    """The queue is shared by all nodes, and this one claims nothing: let another one have the message."""
    from executions.engine import doorbell
    from executions.engine.node import live_nodes

    if live_nodes():
        time.sleep(HAND_ON_S)
        doorbell.send(task, execution_id)


def canary(node_id: str, canary_id: str, hops: int) -> None:
    """A sign of life was asked for, of this node or another one."""
    from executions.engine import canaries

    canaries.take(uuid.UUID(node_id), uuid.UUID(canary_id), hops)


def build(execution_id: str) -> None:
    """Store what is missing of the atoms of a large execution."""
    from executions.engine.building import build as build_rows
    from executions.engine.node import claims_nothing

    if claims_nothing():
        _hand_on("executions.tasks.build", execution_id)
    else:
        build_rows(uuid.UUID(execution_id))
