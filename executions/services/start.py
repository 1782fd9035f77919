"""Start an execution: store it, ring for a runner, answer at once. A large plan's atoms are stored by builders."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from django.db import transaction
from django.db.models import Count

from executions.engine import doorbell
from executions.engine.building import LARGE_PLAN, ring_for_builder, store_whole
from executions.engine.configuration import Configuration
from executions.engine.forking import overrides_of
from executions.engine.node import live_nodes
from executions.engine.progress import begin
from executions.engine.transaction import open_transaction
from executions.generation.prices import PriceKind, price_kind
from executions.models import Atom, Execution, Gate, Masterplan, Wave
from executions.services.errors import StartRefused
from executions.services.languages_of_plans import refuse_unknown_languages
from executions.services.settings_of_execution import configure
from executions.states import Approval, GateLevel

if TYPE_CHECKING:
    from django.contrib.auth.models import User

NANO = 1_000_000_000


def start_execution(
    *,
    masterplan: Masterplan,
    actor: User | None,
    settings: Mapping[str, Any] | None = None,
    scripted: bool = False,
) -> Execution:
    """Store an execution of `masterplan` and ring for a runner; above `LARGE_PLAN` atoms, for a builder of their rows.

    Args:
        masterplan: a plan that the caller has checked the actor may see.
        actor: who starts it and will own it; None for a command.
        settings: keys of the public contract, e.g. `{"model": …, "max_concurrency": 10}`.
        scripted: use the embedded scripted model, whatever the environment names (demo, sample).

    Raises:
        InvalidSettings: a setting cannot be used.
        StartRefused: live nodes exist and none can run the tests, or nothing can judge a language of the plan.
    """
    configuration = configure(settings or {}, plan_defaults=masterplan.defaults, scripted=scripted)
    return store_execution(masterplan=masterplan, actor=actor, configuration=configuration)


def store_execution(
    *,
    masterplan: Masterplan,
    actor: User | None,
    configuration: Configuration,
    forked_from: Execution | None = None,
    forked_at_wave: int | None = None,
) -> Execution:
    """Store an execution with this configuration, or a fork of another one, and ring. Raises StartRefused."""
    _refuse_without_sandbox(configuration)
    refuse_unknown_languages(masterplan)
    with transaction.atomic():
        execution = _store(masterplan, actor, configuration, forked_from, forked_at_wave)
        with open_transaction(execution.id) as unit:
            locked = unit.executions[execution.id]
            unit.event(
                locked,
                "execution.created",
                masterplan=str(masterplan.id),
                model=configuration.model,
                schedule=configuration.schedule,
                atoms=masterplan.atoms_total,
                waves=masterplan.waves_total,
                who=_name(actor),
                forked_from=None if forked_from is None else str(forked_from.id),
                at_wave=forked_at_wave,
            )
            if masterplan.atoms_total == 0:
                begin(unit, locked)
            elif masterplan.atoms_total <= LARGE_PLAN:
                store_whole(unit, locked, overrides_of(execution))
                doorbell.ring(execution.id)
            else:
                ring_for_builder(execution.id)
    execution.refresh_from_db()
    return execution


def costs_money(
    settings: Mapping[str, Any] | None, masterplan: Masterplan, *, scripted: bool = False
) -> str | None:
    """The model's name when an execution with these settings would be billed at a known price; None otherwise."""
    return priced_model(configure(settings or {}, plan_defaults=masterplan.defaults, scripted=scripted))


def priced_model(configuration: Configuration) -> str | None:
    """The first model of the configuration that has a known price; None where nothing would be billed."""
    models = [configuration.model, *(rung.model for rung in configuration.ladder if rung.model)]
    return next((model for model in models if price_kind(model) is PriceKind.PRICED), None)


def _name(actor: User | None) -> str:
    return "command" if actor is None else actor.get_username()


def _refuse_without_sandbox(configuration: Configuration) -> None:
    if not configuration.runs_tests:
        return
    nodes = live_nodes()
    if nodes and all(node.isolation == "none" for node in nodes):
        raise StartRefused(
            "no live node can isolate generated code, so no test would run; `manage.py doctor` says what is missing"
            " (`make system-packages` installs bubblewrap), or start with validators=syntax"
        )


def _store(
    masterplan: Masterplan,
    actor: User | None,
    configuration: Configuration,
    forked_from: Execution | None,
    forked_at_wave: int | None,
) -> Execution:
    budget = configuration.budget_usd
    gates = _gates_of(masterplan, configuration)
    execution = Execution.objects.create(
        masterplan=masterplan,
        owner=actor,
        team=masterplan.team,
        forked_from=forked_from,
        forked_at_wave=forked_at_wave,
        config=configuration.as_json(),
        model=configuration.model,
        schedule=configuration.schedule,
        on_dependency_failure=configuration.on_dependency_failure,
        budget_nano_usd=None if budget is None else int(Decimal(budget) * NANO),
        max_concurrency=configuration.max_concurrency,
        needs_sandbox=configuration.runs_tests,
        asks_people=bool(masterplan.approvals)
        or Atom.objects.filter(masterplan=masterplan, approval=True).exists(),
        waves_total=masterplan.waves_total,
        time_limit_s=configuration.execution_timeout_s,
        atoms_total=masterplan.atoms_total,
        atoms_stored=0,
        gates_total=len(gates),
    )
    sizes = (
        Atom.objects.filter(masterplan=masterplan).order_by("wave").values_list("wave").annotate(Count("pk"))
    )
    Wave.objects.bulk_create(
        (
            Wave(
                execution=execution,
                number=number,
                atoms_total=size,
                approval=Approval.NEEDED if number in masterplan.approvals else "",
            )
            for number, size in sizes
        ),
        batch_size=500,
    )
    for gate in gates:
        gate.execution = execution
    Gate.objects.bulk_create(gates, batch_size=500)
    return execution


def _gates_of(masterplan: Masterplan, configuration: Configuration) -> list[Gate]:
    """One for each wave and one for the whole; none where nothing is executed, or there is nothing to execute."""
    if not configuration.runs_tests or masterplan.atoms_total == 0:
        return []
    waves = range(1, masterplan.waves_total + 1)
    return [
        *(Gate(level=GateLevel.WAVE, wave=number, position=number) for number in waves),
        Gate(level=GateLevel.MASTERPLAN, position=masterplan.waves_total + 1),
    ]
