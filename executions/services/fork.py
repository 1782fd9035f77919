"""Fork an execution: a new one of the same masterplan, with what was accepted up to a wave, and other settings."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from executions.engine.configuration import Configuration
from executions.engine.transaction import open_transaction
from executions.models import AtomRun, Execution
from executions.services.audit import audit, locked
from executions.services.errors import InvalidRequest, NotFound
from executions.services.settings_of_execution import SETTINGS, configure
from executions.services.start import priced_model, store_execution
from executions.states import ATOM_ENDED

if TYPE_CHECKING:
    from django.contrib.auth.models import User


def fork_execution(
    *,
    execution_id: uuid.UUID,
    actor: User | None,
    wave: int,
    settings: Mapping[str, Any] | None = None,
    why: str = "",
) -> Execution:
    """Start a new execution that takes over the accepted results of waves 1 to `wave`; everything else is generated.

    The execution that it is forked from stays as it is, whatever its state, and is told of the fork. Taken-over results
    cost nothing.

    Args:
        execution_id: of an execution that the caller has checked the actor may see.
        actor: who forks, and will own the fork; None for a command.
        wave: 0 takes over nothing.
        settings: where the fork differs from the configuration of the one it is forked from.
        why: kept with the event.

    Raises:
        NotFound: no such execution.
        InvalidRequest: there is no such wave, or it has not ended.
        InvalidSettings, StartRefused: as at a start.
    """
    source = Execution.objects.select_related("masterplan").filter(pk=execution_id).first()
    if source is None:
        raise NotFound("no such execution")
    _check_wave(source, wave)
    configuration = _configuration(source, settings or {})
    with open_transaction(execution_id) as unit:
        fork = store_execution(
            masterplan=source.masterplan,
            actor=actor,
            configuration=configuration,
            forked_from=source,
            forked_at_wave=wave,
        )
        audit(unit, locked(unit, execution_id), "fork", actor, why, wave=wave or None, fork=str(fork.id))
    return fork


def fork_costs_money(execution: Execution, settings: Mapping[str, Any] | None = None) -> str | None:
    """The model's name when a fork with these settings would be billed at a known price; None otherwise."""
    return priced_model(_configuration(execution, settings or {}))


def _check_wave(source: Execution, wave: int) -> None:
    if not 0 <= wave <= source.waves_total:
        raise InvalidRequest([f"wave: must be from 0 to {source.waves_total}, not {wave}"])
    ahead = AtomRun.objects.filter(execution=source, wave__lte=wave)
    unfinished = ahead.exclude(status__in=sorted(ATOM_ENDED)).order_by("position").first()
    if unfinished is not None:
        raise InvalidRequest(
            [f"wave: {wave} has not ended, {unfinished.key} of wave {unfinished.wave} is {unfinished.status}"]
        )
    if wave and not source.is_built:
        raise InvalidRequest([f"wave: {wave} has not ended, the execution is still being stored"])


def _configuration(source: Execution, settings: Mapping[str, Any]) -> Configuration:
    """The source's frozen settings, overlaid with the edited ones."""
    before = {key: value for key, value in source.config.items() if key in SETTINGS and value is not None}
    if "ladder" in settings:
        before.pop("max_attempts", None)
    scripted = source.config["endpoint"] == "embedded" and "model" not in settings
    return configure({**before, **settings}, scripted=scripted)
