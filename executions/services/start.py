"""Start an execution: store it whole, ring for a runner, answer at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from django.db import connection, transaction

from executions.engine import dialect, doorbell
from executions.engine.configuration import Configuration
from executions.engine.node import live_nodes
from executions.engine.progress import begin
from executions.engine.transaction import open_transaction
from executions.generation.prices import PriceKind, price_kind
from executions.identity import new_id
from executions.models import Atom, AtomRun, Execution, Masterplan, Wave
from executions.services.errors import StartRefused
from executions.services.settings_of_execution import configure

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
    """Store an execution of `masterplan` and ring for a runner.

    Args:
        masterplan: a plan that the caller has checked the actor may see.
        actor: who starts it and will own it; None for a command.
        settings: keys of the public contract, e.g. `{"model": …, "max_concurrency": 10}`.
        scripted: use the embedded scripted model, whatever the environment names (demo, sample).

    Raises:
        InvalidSettings: a setting cannot be used.
        StartRefused: live nodes exist and none can run the tests.
    """
    configuration = configure(settings or {}, plan_defaults=masterplan.defaults, scripted=scripted)
    _refuse_without_sandbox(configuration)
    with transaction.atomic():
        execution = _store(masterplan, actor, configuration)
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
            )
            if masterplan.atoms_total == 0:
                begin(unit, locked)
        if masterplan.atoms_total:
            doorbell.ring(execution.id)
    execution.refresh_from_db()
    return execution


def costs_money(
    settings: Mapping[str, Any] | None, masterplan: Masterplan, *, scripted: bool = False
) -> str | None:
    """The model's name when an execution with these settings would be billed at a known price; None otherwise."""
    configuration = configure(settings or {}, plan_defaults=masterplan.defaults, scripted=scripted)
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


def _store(masterplan: Masterplan, actor: User | None, configuration: Configuration) -> Execution:
    budget = configuration.budget_usd
    execution = Execution.objects.create(
        masterplan=masterplan,
        owner=actor,
        team=masterplan.team,
        config=configuration.as_json(),
        model=configuration.model,
        schedule=configuration.schedule,
        on_dependency_failure=configuration.on_dependency_failure,
        budget_nano_usd=None if budget is None else int(Decimal(budget) * NANO),
        max_concurrency=configuration.max_concurrency,
        needs_sandbox=configuration.runs_tests,
        waves_total=masterplan.waves_total,
        atoms_total=masterplan.atoms_total,
        atoms_stored=masterplan.atoms_total,
    )
    rows = list(
        Atom.objects.filter(masterplan=masterplan).values_list(
            "id", "key", "wave", "chain", "position", "depends_on"
        )
    )
    sizes = Counter(wave for _, _, wave, _, _, _ in rows)
    Wave.objects.bulk_create(
        Wave(execution=execution, number=number, atoms_total=sizes[number])
        for number in range(1, masterplan.waves_total + 1)
    )
    _store_runs(
        execution,
        [
            {
                "id": dialect.uid(new_id()),
                "atom_id": atom_id,
                "key": key,
                "wave": wave,
                "chain": chain,
                "position": position,
                "unmet": len(depends_on),
            }
            for atom_id, key, wave, chain, position, depends_on in rows
        ],
    )
    return execution


def _store_runs(execution: Execution, runs: Sequence[Mapping[str, Any]]) -> None:
    """Insert the rows of the atoms: these columns of each, all others as a new row has them.

    Not by `bulk_create`, which spends four fifths of the start of a large plan on making and preparing equal values.
    """
    new = AtomRun(execution=execution)
    values: dict[str, Any] = {
        str(field.column): field.get_db_prep_save(getattr(new, field.attname), connection)
        for field in AtomRun._meta.concrete_fields
    }
    columns = ", ".join(connection.ops.quote_name(column) for column in values)
    statement = f"INSERT INTO {AtomRun._meta.db_table} ({columns}) VALUES ({dialect.marks(len(values))})"  # noqa: S608
    with connection.cursor() as cursor:
        cursor.executemany(statement, [tuple({**values, **run}.values()) for run in runs])
