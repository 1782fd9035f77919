"""What django-q2 calls. Plain functions; they return nothing that anyone relies on."""

from __future__ import annotations


def run(execution_id: str) -> None:
    """A doorbell was rung. Which execution it was for only matters to people reading the queue: a runner serves all."""
    from executions.engine.wave_executor import run_slice

    run_slice()
