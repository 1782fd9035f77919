"""First calls: what a claim took is read, and its first call intended, in the very transaction of the claim.

So an atom costs no commit between the end of another and its own call, and what it builds on is read over the connection
that has just written it. Done for executions that the runner works on already, and where little is to be read, for their
rows are locked meanwhile. Whoever works on an atom that was left out does the same by himself.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from django.db import DatabaseError

from executions.engine.claims import ClaimedAtom
from executions.engine.context import AtomContext, ExecutionContext, load_atoms, texts_to_read
from executions.engine.intended_calls import IntendedCall
from executions.engine.ledger import Refusal
from executions.engine.transaction import ExecutionTransaction

log = logging.getLogger(__name__)

MOST_TEXTS = 1_000
"""Accepted texts read in one claim."""


@dataclass(slots=True)
class FirstCalls:
    """Of one claim. `begin` is called by the ledger's thread, and anew each time that the claim is written again."""

    shared: Callable[[uuid.UUID], ExecutionContext | None]
    """What the atoms of an execution share; None: this runner does not work on it yet."""
    first_call: Callable[[AtomContext], IntendedCall | None]
    """What an atom asks first; None: nothing before something else was done."""
    contexts: dict[ClaimedAtom, AtomContext] = field(default_factory=dict, init=False)
    """What was read."""
    calls: dict[ClaimedAtom, IntendedCall] = field(default_factory=dict, init=False)
    """What was intended and not refused; it counts once the claim is committed."""
    _texts: int = field(default=0, init=False)
    """How many may still be read."""
    _prepared: dict[ClaimedAtom, tuple[AtomContext, IntendedCall | None]] = field(
        default_factory=dict, init=False
    )

    def begin(self, unit: ExecutionTransaction, claims: Sequence[ClaimedAtom]) -> None:
        """Read the atoms and write their intents. What is refused, or cannot be read, is left to whoever works on it."""
        self.contexts.clear()
        self.calls.clear()
        by_execution: dict[uuid.UUID, list[ClaimedAtom]] = {}
        for claim in claims:
            by_execution.setdefault(claim.execution_id, []).append(claim)
        intended = []
        self._texts = MOST_TEXTS
        for execution_id, found in by_execution.items():
            for context, call in self._of_execution(unit, execution_id, found):
                self.contexts[context.claim] = context
                if call is not None:
                    intended.append(call)
        for call in intended:
            try:
                call.intent.begin(unit)
            except Refusal:
                continue
            self.calls[call.intent.claim] = call

    def _of_execution(
        self, unit: ExecutionTransaction, execution_id: uuid.UUID, claims: Sequence[ClaimedAtom]
    ) -> list[tuple[AtomContext, IntendedCall | None]]:
        shared = self.shared(execution_id)
        if shared is None:
            return []
        # A claim that is written again keeps the calls that it had intended: they may have been committed.
        new = [claim for claim in claims if claim not in self._prepared]
        texts = texts_to_read(shared, new, self._texts)
        if texts is None:
            new = []
        self._texts -= texts or 0
        cursor = unit.cursor
        try:
            for context in load_atoms(shared, new, cursor):
                self._prepared[context.claim] = context, self.first_call(context)
        except DatabaseError:
            raise
        except Exception:
            # This execution's trouble, not that of all the others in this transaction.
            log.exception("execution=%s cannot be read with its claim", execution_id)
        return [self._prepared[claim] for claim in claims if claim in self._prepared]
