"""What every action of a person begins and ends with: the locked execution, and the event that says who and why."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from executions.engine.transaction import ExecutionTransaction, LockedExecution
from executions.services.errors import NotFound

if TYPE_CHECKING:
    from django.contrib.auth.models import User


def locked(unit: ExecutionTransaction, execution_id: uuid.UUID) -> LockedExecution:
    """The execution that the transaction holds. Raises NotFound when there is none."""
    execution = unit.executions.get(execution_id)
    if execution is None:
        raise NotFound("no such execution")
    return execution


def audit(
    unit: ExecutionTransaction,
    execution: LockedExecution,
    what: str,
    actor: User | None,
    why: str,
    *,
    wave: int | None = None,
    atom: str = "",
    **data: Any,
) -> None:
    """Append `control.<what>`: who did it, and why; `data` says to what."""
    unit.event(
        execution,
        f"control.{what}",
        wave=wave,
        atom=atom,
        who="command" if actor is None else actor.get_username(),
        what=what,
        why=why,
        **data,
    )
