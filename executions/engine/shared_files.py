"""Level 2: an answer that passed is accepted only if it fits into its file, beside what was accepted for others meanwhile.

Whoever judged it saw the atoms that it builds on. Two that share a file and know nothing of each other may be in flight at
the same time: here, under the execution's lock, the second of them sees the first.
"""

from __future__ import annotations

from executions.engine.accepted_code import accepted_code
from executions.engine.plan_graph import plan_graph
from executions.engine.transaction import ExecutionTransaction, LockedExecution
from executions.findings import Finding, Severity
from executions.planning.assembly import AssemblyConflict, assemble


def misfit(unit: ExecutionTransaction, execution: LockedExecution, key: str, code: str) -> Finding | None:
    """Why this code cannot be in one file with what was accepted for the other atoms there; None when it can."""
    graph = plan_graph(execution.masterplan_id)
    path = graph.nodes[key].target_path
    others = [one for one in graph.sharing.get(path, ()) if one != key]
    accepted = {**accepted_code(unit.cursor, execution.id, others), key: code}
    if len(accepted) == 1:
        return None
    parts = [(one, accepted[one]) for one in graph.sharing[path] if one in accepted]
    try:
        assemble(parts, target_path=path)
    except AssemblyConflict as conflict:
        beside = ", ".join(f'"{one}"' for one, _ in parts if one != key)
        return Finding(
            Severity.ERROR,
            "does-not-fit-the-file",
            f"{path} already holds what was accepted for {beside}: {conflict}",
            hint="Keep what was asked for under its own names, and choose other names for everything else.",
        )
    return None
