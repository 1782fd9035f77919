"""Take the generated project home: what was accepted, assembled, with its tests."""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from executions.models import AtomRun, Execution
from executions.planning.export import Accepted, export_files
from executions.services.masterplans import plan_spec


def export_of(execution_ids: Sequence[uuid.UUID]) -> dict[str, str]:
    """Relative path to text: one execution's project at the root, several in a folder each."""
    plans = []
    for execution_id in execution_ids:
        execution = Execution.objects.select_related("masterplan").get(pk=execution_id)
        rows = AtomRun.objects.filter(execution=execution, accepted__isnull=False)
        accepted = {
            key: Accepted(key, code, assurance)
            for key, code, assurance in rows.values_list("key", "accepted__code", "assurance")
        }
        plans.append((plan_spec(execution.masterplan), accepted))
    return export_files(plans)
