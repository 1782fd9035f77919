"""Requests and responses of our own routes, in the words of the design."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from executions.api import words
from executions.api.fields import Body, Text
from executions.models import Atom, AtomRun, Attempt, Call, Execution, Gate, Issue, Masterplan, Wave
from executions.services.explain import MOST_ASKED, approvals_asked, why_waiting
from executions.services.reports import event_json, usd

LONGEST_WHY = 1000
APPROVAL = "by a person: empty where none is needed, else needed, asked (it waits for it) or given"


@extend_schema_field({"type": "string", "maxLength": LONGEST_WHY, "pattern": "^[^\\u0000]*$"})
class Reason(Text):
    """A text that every database can keep."""


class Why(Body):
    """What the history shall say of it."""

    why = Reason(
        required=False, allow_blank=True, default="", max_length=LONGEST_WHY, help_text="kept in the history"
    )


class MasterplanSummary(serializers.ModelSerializer[Masterplan]):
    owner = serializers.CharField(source="owner.username", default=None, allow_null=True)
    team = serializers.CharField(source="team.name", default=None, allow_null=True)

    class Meta:
        model = Masterplan
        fields: tuple[str, ...] = (
            "id",
            "name",
            "version",
            "description",
            "owner",
            "team",
            "atoms_total",
            "waves_total",
            "created_at",
        )
        read_only_fields: tuple[str, ...] = fields


class MasterplanDetail(MasterplanSummary):
    requires = serializers.ListField(child=serializers.CharField())
    wave_tests = serializers.ListField(child=serializers.DictField())
    acceptance_tests = serializers.ListField(child=serializers.CharField())
    approvals = serializers.ListField(child=serializers.IntegerField())
    defaults = serializers.DictField()
    warnings = serializers.ListField(
        child=serializers.CharField(), help_text="what is odd about the document"
    )

    class Meta(MasterplanSummary.Meta):
        fields: tuple[str, ...] = (
            *MasterplanSummary.Meta.fields,
            "instructions",
            "requires",
            "wave_tests",
            "acceptance_tests",
            "approvals",
            "defaults",
            "warnings",
            "digest",
        )
        read_only_fields: tuple[str, ...] = fields


class StoredMasterplans(serializers.Serializer[Any]):
    """Of a document with several plans."""

    masterplans = MasterplanDetail(many=True)


class PlannedAtom(serializers.ModelSerializer[Atom]):
    entry_points = serializers.ListField(child=serializers.CharField())
    depends_on = serializers.ListField(child=serializers.CharField())

    class Meta:
        model = Atom
        fields: tuple[str, ...] = (
            "key",
            "name",
            "wave",
            "description",
            "language",
            "signature",
            "entry_points",
            "contract",
            "prompt",
            "instructions",
            "tests",
            "hidden_tests",
            "target_path",
            "depends_on",
            "approval",
        )
        read_only_fields: tuple[str, ...] = fields


class NamedMasterplan(serializers.ModelSerializer[Masterplan]):
    class Meta:
        model = Masterplan
        fields: tuple[str, ...] = ("id", "name", "version")
        read_only_fields: tuple[str, ...] = fields


class ExecutionSummary(serializers.ModelSerializer[Execution]):
    masterplan = NamedMasterplan()
    owner = serializers.CharField(source="owner.username", default=None, allow_null=True)
    team = serializers.CharField(source="team.name", default=None, allow_null=True)
    status = serializers.ChoiceField(choices=words.EXECUTION_STATUSES)
    atoms_unsuccessful = serializers.IntegerField(help_text="ended without success")
    completion_percent = serializers.FloatField()
    precision_percent = serializers.FloatField(help_text="succeeded of all atoms")
    cost_usd = serializers.SerializerMethodField()
    seconds = serializers.SerializerMethodField(help_text="that it was not at rest, until now where it runs")
    forked_from = serializers.UUIDField(
        source="forked_from_id", allow_null=True, help_text="the execution whose results it took over"
    )
    ran_seconds = serializers.SerializerMethodField(
        help_text="that it was not at rest, before `running_since`"
    )
    seq = serializers.IntegerField(help_text="number of the last event")

    class Meta:
        model = Execution
        fields: tuple[str, ...] = (
            "id",
            "masterplan",
            "owner",
            "team",
            "status",
            "status_reason",
            "model",
            "current_wave",
            "waves_total",
            "atoms_total",
            "atoms_succeeded",
            "atoms_unsuccessful",
            "completion_percent",
            "precision_percent",
            "cache_hits",
            "cost_usd",
            "seconds",
            "ran_seconds",
            "running_since",
            "forked_from",
            "forked_at_wave",
            "seq",
            "created_at",
            "started_at",
            "ended_at",
        )
        read_only_fields: tuple[str, ...] = fields

    def get_cost_usd(self, execution: Execution) -> float:
        return usd(execution.cost_nano_usd)

    def get_seconds(self, execution: Execution) -> float:
        return round(execution.ran_seconds, 3)

    def get_ran_seconds(self, execution: Execution) -> float:
        return execution.ran_ms / 1000


class AskedShape(serializers.Serializer[Any]):
    """Approve with `POST …/approve/`."""

    waves = serializers.ListField(child=serializers.IntegerField())
    atoms = serializers.ListField(
        child=serializers.CharField(),
        help_text=f"keys, at most {MOST_ASKED}; `GET …/atoms/?approval=asked` has all",
    )


class ExecutionDetail(ExecutionSummary):
    waits_for = serializers.SerializerMethodField(help_text="why nothing moves; empty while something does")
    reserved_usd = serializers.SerializerMethodField(help_text="reserved by calls in flight")
    lost_usd = serializers.SerializerMethodField(
        help_text="possibly spent by calls whose outcome is not known"
    )
    budget_usd = serializers.SerializerMethodField(help_text="the execution pauses at this cost")
    config = serializers.DictField(help_text="frozen when it started")
    approvals_asked = serializers.SerializerMethodField(help_text="what waits for a person's approval now")

    class Meta(ExecutionSummary.Meta):
        fields: tuple[str, ...] = (
            *ExecutionSummary.Meta.fields,
            "waits_for",
            "approvals_asked",
            "run_number",
            "schedule",
            "max_concurrency",
            "on_dependency_failure",
            "config",
            "atoms_failed",
            "atoms_blocked",
            "atoms_cancelled",
            "atoms_dead_lettered",
            "atoms_static",
            "atoms_stored",
            "gates_total",
            "gates_passed",
            "gates_failed",
            "gates_cancelled",
            "attempts_total",
            "attempts_passed",
            "retries_total",
            "retries_passed",
            "calls_total",
            "input_tokens",
            "output_tokens",
            "reserved_usd",
            "lost_usd",
            "budget_usd",
        )
        read_only_fields: tuple[str, ...] = fields

    def get_waits_for(self, execution: Execution) -> str:
        return why_waiting(execution)

    @extend_schema_field(AskedShape)
    def get_approvals_asked(self, execution: Execution) -> Any:
        return AskedShape(approvals_asked(execution)).data

    def get_reserved_usd(self, execution: Execution) -> float:
        return usd(execution.reserved_nano_usd)

    def get_lost_usd(self, execution: Execution) -> float:
        return usd(execution.lost_nano_usd)

    def get_budget_usd(self, execution: Execution) -> float | None:
        return None if execution.budget_nano_usd is None else usd(execution.budget_nano_usd)


class WaveShape(serializers.ModelSerializer[Wave]):
    status = serializers.ChoiceField(choices=words.WAVE_STATUSES)
    approval = serializers.CharField(help_text=APPROVAL)

    class Meta:
        model = Wave
        fields: tuple[str, ...] = (
            "number",
            "status",
            "approval",
            "atoms_total",
            "atoms_succeeded",
            "atoms_unsuccessful",
            "started_at",
            "ended_at",
        )
        read_only_fields: tuple[str, ...] = fields


class GateFinding(serializers.Serializer[Any]):
    severity = serializers.CharField(help_text="CRITICAL and ERROR are why it failed")
    rule = serializers.CharField()
    message = serializers.CharField(help_text="names the module or the test")


class GateShape(serializers.ModelSerializer[Gate]):
    """What the project of a wave, or of the whole masterplan, was found to be."""

    level = serializers.ChoiceField(choices=words.GATE_LEVELS)
    wave = serializers.IntegerField(allow_null=True, help_text="its number; null for the masterplan's")
    status = serializers.ChoiceField(choices=words.GATE_STATUSES)
    findings = GateFinding(many=True)

    class Meta:
        model = Gate
        fields: tuple[str, ...] = (
            "level",
            "wave",
            "status",
            "tests_passed",
            "tests_total",
            "findings",
            "isolation",
            "project_digest",
            "run_number",
            "duration_ms",
            "cpu_ms",
            "started_at",
            "ended_at",
        )
        read_only_fields: tuple[str, ...] = fields


class AtomSummary(serializers.ModelSerializer[AtomRun]):
    name = serializers.CharField(source="atom.name")
    target_path = serializers.CharField(source="atom.target_path")
    status = serializers.ChoiceField(choices=words.ATOM_STATUSES)
    assurance = serializers.CharField(help_text="of a succeeded atom: tested or static")
    reason = serializers.CharField(help_text="why it ended, in one word")
    approval = serializers.CharField(help_text=APPROVAL)

    class Meta:
        model = AtomRun
        fields: tuple[str, ...] = (
            "id",
            "key",
            "name",
            "wave",
            "status",
            "assurance",
            "reason",
            "error",
            "approval",
            "generation",
            "attempts",
            "target_path",
            "not_before",
            "started_at",
            "ended_at",
        )
        read_only_fields: tuple[str, ...] = fields


class IssueShape(serializers.ModelSerializer[Issue]):
    class Meta:
        model = Issue
        fields: tuple[str, ...] = ("severity", "rule", "message", "line", "hint")
        read_only_fields: tuple[str, ...] = fields


class CallShape(serializers.ModelSerializer[Call]):
    outcome = serializers.CharField(help_text="empty while it is in flight")
    requested = serializers.DictField(help_text="parameters that the rung asks for")
    applied = serializers.DictField(help_text="parameters that were sent; null where one was left out")
    dropped = serializers.DictField(help_text="why one was left out")
    cost_usd = serializers.SerializerMethodField()

    class Meta:
        model = Call
        fields: tuple[str, ...] = (
            "id",
            "ordinal",
            "model",
            "outcome",
            "status_code",
            "error_type",
            "error",
            "request_id",
            "stop_reason",
            "requested",
            "applied",
            "dropped",
            "answer",
            "input_tokens",
            "output_tokens",
            "cache_read_tokens",
            "cache_write_tokens",
            "price_kind",
            "cost_usd",
            "started_at",
            "ended_at",
        )
        read_only_fields: tuple[str, ...] = fields

    def get_cost_usd(self, call: Call) -> float | None:
        return None if call.cost_nano_usd is None else usd(call.cost_nano_usd)


class AttemptShape(serializers.ModelSerializer[Attempt]):
    status = serializers.ChoiceField(choices=words.ATTEMPT_STATUSES)
    kind = serializers.ChoiceField(
        choices=words.ATTEMPT_KINDS, help_text="who wrote the code; only the model's attempts are counted"
    )
    author = serializers.CharField(help_text="the person who supplied the code")
    origin = serializers.UUIDField(
        allow_null=True, help_text="the attempt whose accepted answer this is, taken from cache or fork"
    )
    rung = serializers.DictField(help_text="what this attempt does differently")
    tests_passed = serializers.ListField(child=serializers.CharField())
    issues = IssueShape(many=True)
    calls = CallShape(many=True)

    class Meta:
        model = Attempt
        fields: tuple[str, ...] = (
            "id",
            "generation",
            "number",
            "kind",
            "author",
            "origin",
            "status",
            "superseded",
            "strategy",
            "rung",
            "prompt_system",
            "prompt_user",
            "code",
            "isolation",
            "tests_passed",
            "tests_total",
            "validation_ms",
            "issues",
            "calls",
            "started_at",
            "ended_at",
        )
        read_only_fields: tuple[str, ...] = fields


class AtomDetail(AtomSummary):
    code = serializers.CharField(
        source="accepted.code", default=None, allow_null=True, help_text="the accepted code"
    )
    depends_on = serializers.ListField(source="atom.depends_on", child=serializers.CharField())
    tests = serializers.CharField(source="atom.tests")
    all_attempts = AttemptShape(source="attempt_rows", many=True, help_text="every attempt, oldest first")

    class Meta(AtomSummary.Meta):
        fields: tuple[str, ...] = (*AtomSummary.Meta.fields, "code", "depends_on", "tests", "all_attempts")
        read_only_fields: tuple[str, ...] = fields


class EventShape(serializers.Serializer[Any]):
    """As `manage.py events` prints it; what does not apply is left out."""

    seq = serializers.IntegerField()
    at = serializers.DateTimeField()
    type = serializers.CharField()
    wave = serializers.IntegerField(required=False)
    atom = serializers.CharField(required=False, help_text="its key")
    attempt = serializers.IntegerField(required=False)
    data = serializers.DictField()  # type: ignore[assignment]  # a field of this name, not the serializer's property

    def to_representation(self, instance: Any) -> dict[str, Any]:
        return event_json(instance)


class EventPage(serializers.Serializer[Any]):
    events = EventShape(many=True)
    after = serializers.IntegerField(help_text="ask for what comes after this next")
    last_seq = serializers.IntegerField(help_text="number of the execution's last event when this was read")
    status = serializers.ChoiceField(choices=words.EXECUTION_STATUSES)
