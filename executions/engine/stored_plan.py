"""A stored masterplan and what was accepted of it, as planning's values."""

from __future__ import annotations

import uuid

from executions.engine.context import atom_spec
from executions.models import AtomRun, Masterplan
from executions.planning.export import Accepted
from executions.planning.specs import PlanSpec, WaveTest


def plan_spec(masterplan: Masterplan) -> PlanSpec:
    """The whole plan, as it was read from its file."""
    return PlanSpec(
        name=masterplan.name,
        slug=masterplan.slug,
        description=masterplan.description,
        instructions=masterplan.instructions,
        atoms=tuple(atom_spec(atom) for atom in masterplan.atoms.order_by("position")),
        requires=tuple(masterplan.requires),
        wave_tests=tuple(WaveTest(one["wave"], one["tests"]) for one in masterplan.wave_tests),
        acceptance_tests=tuple(masterplan.acceptance_tests),
        approvals=tuple(masterplan.approvals),
        defaults=masterplan.defaults,
        warnings=(),
        digest=masterplan.digest,
    )


def accepted_of(execution_id: uuid.UUID) -> dict[str, Accepted]:
    """What has been accepted in an execution, by the atom's key."""
    rows = AtomRun.objects.filter(execution=execution_id, accepted__isnull=False).order_by("position")
    return {
        key: Accepted(key, code, assurance)
        for key, code, assurance in rows.values_list("key", "accepted__code", "assurance")
    }
