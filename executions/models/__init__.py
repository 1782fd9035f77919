"""What is stored: one module per noun. No behaviour beyond visibility and small readings; writers live in engine and services."""

from executions.models.attempts import Attempt, Call, Issue, with_finding
from executions.models.cached_answers import CachedAnswer
from executions.models.events import Event
from executions.models.executions import AtomRun, Execution, Wave
from executions.models.gates import Gate
from executions.models.idempotency import IdempotentRequest
from executions.models.masterplans import Atom, Masterplan
from executions.models.metrics import Tally
from executions.models.nodes import Canary, Leadership, Node, NodeWorker
from executions.models.request_tallies import RequestTally
from executions.models.tokens import ApiToken

__all__ = [
    "ApiToken",
    "Atom",
    "AtomRun",
    "Attempt",
    "CachedAnswer",
    "Call",
    "Canary",
    "Event",
    "Execution",
    "Gate",
    "IdempotentRequest",
    "Issue",
    "Leadership",
    "Masterplan",
    "Node",
    "NodeWorker",
    "RequestTally",
    "Tally",
    "Wave",
    "with_finding",
]
