"""Take the generated project home: what was accepted, assembled, with its tests, byte for byte as it was judged."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence

from executions.engine.stored_plan import accepted_of, plan_spec
from executions.models import Execution, Gate
from executions.planning.delivery import ExportRefused, digest_of
from executions.planning.export import Accepted, export_files, plan_files
from executions.planning.specs import PlanSpec
from executions.states import GateLevel, GateStatus


def export_of(execution_ids: Sequence[uuid.UUID]) -> dict[str, str]:
    """Relative path to text: one execution's project at the root, several in a folder each.

    Raises ExportRefused when it is not, byte for byte, what the masterplan's gate has judged; AssemblyConflict.
    """
    plans = []
    for execution_id in execution_ids:
        execution = Execution.objects.select_related("masterplan").get(pk=execution_id)
        plan, accepted = plan_spec(execution.masterplan), accepted_of(execution_id)
        _refuse_unjudged(execution, plan, accepted)
        plans.append((plan, accepted))
    return export_files(plans)


def _refuse_unjudged(execution: Execution, plan: PlanSpec, accepted: Mapping[str, Accepted]) -> None:
    """Where the gate has not ended, what there is so far may be taken home: nobody says that it was judged."""
    judged = Gate.objects.filter(
        execution=execution, level=GateLevel.MASTERPLAN, status__in=(GateStatus.PASSED, GateStatus.FAILED)
    ).exclude(project_digest="")
    digest = judged.values_list("project_digest", flat=True).first()
    if digest is not None and digest != digest_of(plan_files(plan, accepted)):
        raise ExportRefused(
            f"the project of execution {execution.id} is not the one that its gate has judged: it was changed since then, or"
            " put together by another version; have it judged again (`manage.py control ID judge`)"
        )
