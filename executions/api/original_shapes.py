"""Requests and responses of the original's nine routes, with its field names. `state` beside `status` is our finer word."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.utils import timezone
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from executions.api import words
from executions.api.fields import Body, Settings, Truth, UuidText
from executions.models import AtomRun, Execution
from executions.services.reports import usd
from executions.states import ORIGINAL_WORD, AtomStatus, ExecutionStatus


def seconds_between(started_at: datetime | None, ended_at: datetime | None) -> float:
    """Seconds from the start to the end, or until now while there is none; 0 before the start."""
    return (
        0.0 if started_at is None else round(((ended_at or timezone.now()) - started_at).total_seconds(), 3)
    )


class StartRequest(Body):
    """What is to be run, and how."""

    masterplan_id = UuidText(help_text="of a stored masterplan: `POST /api/v2/masterplans/`")
    settings = Settings(
        required=False, help_text='as for `run_masterplan --set`, e.g. `{"max_concurrency": 10}`'
    )
    confirm_cost = Truth(required=False, default=False, help_text="agree to pay for a model that has a price")


class _OfExecution(serializers.Serializer[Execution]):
    """What most of the routes say of an execution."""

    execution_id = serializers.UUIDField(source="id")
    masterplan_id = serializers.UUIDField()
    status = serializers.SerializerMethodField()
    state = serializers.ChoiceField(source="status", choices=words.EXECUTION_STATUSES)

    @extend_schema_field(serializers.ChoiceField(choices=words.ORIGINAL_STATUSES))
    def get_status(self, execution: Execution) -> str:
        return ORIGINAL_WORD[ExecutionStatus(execution.status)]


class StartResponse(_OfExecution):
    total_waves = serializers.IntegerField(source="waves_total")
    atoms_total = serializers.IntegerField()
    message = serializers.SerializerMethodField()

    def get_message(self, execution: Execution) -> str:
        return f"execution of {execution.atoms_total} atoms in {execution.waves_total} waves accepted"


class _Counted(_OfExecution):
    current_wave = serializers.IntegerField(help_text="0 before the first")
    total_waves = serializers.IntegerField(source="waves_total")
    atoms_completed = serializers.IntegerField(source="atoms_ended", help_text="ended, well or not")
    atoms_total = serializers.IntegerField()
    atoms_succeeded = serializers.IntegerField()
    atoms_failed = serializers.IntegerField(source="atoms_unsuccessful", help_text="ended without success")


class _Billed(serializers.Serializer[Execution]):
    total_cost_usd = serializers.SerializerMethodField()
    total_time_seconds = serializers.SerializerMethodField(
        help_text="that it was not at rest, since the first claim"
    )
    started_at = serializers.DateTimeField(allow_null=True)
    completed_at = serializers.DateTimeField(source="ended_at", allow_null=True)

    def get_total_cost_usd(self, execution: Execution) -> float:
        return usd(execution.cost_nano_usd)

    def get_total_time_seconds(self, execution: Execution) -> float:
        return round(execution.ran_seconds, 3)


class StatusResponse(_Counted, _Billed):
    pass


class ProgressResponse(_Counted):
    completion_percent = serializers.FloatField()
    precision_percent = serializers.FloatField(help_text="succeeded of all atoms")


class MetricsResponse(ProgressResponse, _Billed):
    pass


class WaveResponse(serializers.Serializer[Any]):
    wave_id = serializers.IntegerField(source="number", help_text="from 1")
    execution_id = serializers.UUIDField()
    status = serializers.ChoiceField(choices=words.WAVE_STATUSES)
    current = serializers.BooleanField(help_text="whether it is the execution's current wave")


class AtomResponse(serializers.Serializer[AtomRun]):
    atom_id = serializers.CharField(source="key")
    execution_id = serializers.UUIDField()
    success = serializers.SerializerMethodField(help_text="true once an answer was accepted")
    state = serializers.ChoiceField(source="status", choices=words.ATOM_STATUSES)
    attempts = serializers.IntegerField(help_text="with a verdict")
    code = serializers.CharField(
        source="accepted.code", default=None, allow_null=True, help_text="the accepted code"
    )
    error = serializers.SerializerMethodField()
    time_seconds = serializers.SerializerMethodField()

    def get_success(self, run: AtomRun) -> bool:
        return run.status == AtomStatus.SUCCEEDED

    def get_error(self, run: AtomRun) -> str | None:
        return run.error or None

    def get_time_seconds(self, run: AtomRun) -> float:
        return seconds_between(run.started_at, run.ended_at)


class ControlResponse(_OfExecution):
    message = serializers.SerializerMethodField()

    def get_message(self, execution: Execution) -> str:
        return {
            ExecutionStatus.PAUSING: "pausing: calls in flight are finished first, no new one starts",
            ExecutionStatus.PAUSED: "paused: nothing is in flight",
            ExecutionStatus.RUNNING: "running",
            ExecutionStatus.PENDING: "pending: waits for a worker",
        }.get(ExecutionStatus(execution.status), execution.status)


class HealthResponse(serializers.Serializer[Any]):
    service = serializers.CharField()
    status = serializers.CharField()
    version = serializers.CharField()
    active_executions = serializers.IntegerField(
        help_text="of those that you see: pending or at work, neither paused nor ended"
    )
