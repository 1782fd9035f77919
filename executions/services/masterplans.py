"""Store masterplans. A plan never changes once stored: other content under the same name is a new version."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from django.db import connection, transaction
from django.db.models import Max

from executions.engine import dialect
from executions.models import Atom, Masterplan
from executions.planning.graph import build_graph
from executions.planning.specs import PlanSpec
from executions.services.errors import InvalidSettings
from executions.services.settings_of_execution import configure

if TYPE_CHECKING:
    from django.contrib.auth.models import Group, User


def store_masterplans(
    plans: Sequence[PlanSpec], *, owner: User | None, team: Group | None = None
) -> list[Masterplan]:
    """Store checked plans, all or none. One that the owner has already, unchanged, is returned as it is.

    Raises InvalidSettings when the defaults of a plan are no settings.
    """
    check_defaults(plans)
    with transaction.atomic(), connection.cursor() as cursor:
        dialect.one_at_a_time(cursor, dialect.STORE_LOCK)
        return [_store(plan, owner, team) for plan in plans]


def check_defaults(plans: Sequence[PlanSpec]) -> None:
    """Raises InvalidSettings, with every problem of every plan: what no execution could be started with is not stored."""
    problems = []
    for plan in plans:
        try:
            # Which models can be asked is the environment's affair, not the plan's.
            configure({}, plan_defaults={key: one for key, one in plan.defaults.items() if key != "model"})
        except InvalidSettings as error:
            problems += [f"{plan.name}: {one}" for one in error.problems]
    if problems:
        raise InvalidSettings(problems)


def _store(plan: PlanSpec, owner: User | None, team: Group | None) -> Masterplan:
    mine = Masterplan.objects.filter(owner=owner, team=team, name=plan.name)
    known = mine.filter(digest=plan.digest).order_by("-version").first()
    if known is not None:
        found: Masterplan = known
        return found
    graph = build_graph({atom.key: atom.depends_on for atom in plan.atoms})
    latest = (
        Masterplan.objects.filter(owner=owner, name=plan.name).aggregate(latest=Max("version"))["latest"] or 0
    )
    masterplan = Masterplan.objects.create(
        name=plan.name,
        slug=plan.slug,
        version=latest + 1,
        description=plan.description,
        instructions=plan.instructions,
        owner=owner,
        team=team,
        digest=plan.digest,
        requires=list(plan.requires),
        wave_tests=[{"wave": one.wave, "tests": one.tests} for one in plan.wave_tests],
        acceptance_tests=list(plan.acceptance_tests),
        approvals=list(plan.approvals),
        defaults=dict(plan.defaults),
        warnings=[f"{problem.place}: {problem.message}" for problem in plan.warnings],
        atoms_total=len(plan.atoms),
        waves_total=len(graph.waves),
    )
    rank = {key: place for place, key in enumerate(graph.order)}
    Atom.objects.bulk_create(
        (
            Atom(
                masterplan=masterplan,
                key=atom.key,
                name=atom.name,
                description=atom.description,
                language=atom.language,
                entry_points=list(atom.entry_points),
                signature=atom.signature,
                contract=atom.contract,
                prompt=atom.prompt,
                tests=atom.tests,
                hidden_tests=atom.hidden_tests,
                target_path=atom.target_path,
                instructions=atom.instructions,
                approval=atom.approval,
                depends_on=list(atom.depends_on),
                position=atom.position,
                wave=graph.wave_of[atom.key],
                chain=graph.chain[atom.key],
                rank=rank[atom.key],
            )
            for atom in plan.atoms
        ),
        batch_size=500,
    )
    return masterplan
