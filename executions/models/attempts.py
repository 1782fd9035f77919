"""What was tried for an atom: attempts, the calls they made and the issues they were left with."""

from __future__ import annotations

from enum import StrEnum

from django.db import models
from django.db.models import Exists, OuterRef, Q

from executions.findings import Severity
from executions.identity import new_id
from executions.models.executions import AtomRun, Execution
from executions.models.visibility import OwnedModel
from executions.states import AttemptKind, AttemptStatus, CallOutcome


def choices(states: type[StrEnum]) -> list[tuple[str, str]]:
    return [(state.value, state.value.replace("_", " ")) for state in states]


class Attempt(OwnedModel):
    """One use of a rung of the ladder."""

    owned_through = "execution"

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    execution = models.ForeignKey(
        Execution, on_delete=models.CASCADE, db_index=False, related_name="attempts"
    )
    atom_run = models.ForeignKey(AtomRun, on_delete=models.CASCADE, related_name="attempt_rows")
    generation = models.PositiveIntegerField()
    number = models.PositiveIntegerField(help_text="from 1")
    kind = models.CharField(max_length=8, choices=choices(AttemptKind), default=AttemptKind.MODEL)
    status = models.CharField(max_length=14, choices=choices(AttemptStatus), default=AttemptStatus.RUNNING)
    superseded = models.BooleanField(default=False, help_text="a retry or rollback replaced it")
    author = models.CharField(max_length=150, blank=True, help_text="the person who supplied the code")
    origin = models.UUIDField(
        null=True, blank=True, help_text="the attempt whose accepted answer this is, taken from cache or fork"
    )
    strategy = models.CharField(max_length=12)
    rung = models.JSONField(default=dict)
    prompt_system = models.TextField(blank=True)
    prompt_user = models.TextField(blank=True)
    code = models.TextField(blank=True)
    isolation = models.CharField(max_length=12, blank=True)
    tests_passed = models.JSONField(default=list)
    tests_total = models.PositiveIntegerField(default=0)
    validation_ms = models.FloatField(null=True, blank=True)
    validation_cpu_ms = models.FloatField(null=True, blank=True)
    started_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ("atom_run", "generation", "number")
        indexes = (models.Index(fields=("execution", "-started_at"), name="attempt_newest"),)
        constraints = (
            models.UniqueConstraint(
                fields=("atom_run", "generation", "number"),
                condition=Q(kind="model"),
                name="attempt_number_once",
            ),
            models.UniqueConstraint(
                fields=("atom_run",),
                condition=Q(status="passed", superseded=False),
                name="attempt_accepted_once",
            ),
            models.UniqueConstraint(
                fields=("atom_run",), condition=Q(status="running"), name="attempt_running_once"
            ),
            models.CheckConstraint(
                condition=Q(status__in=[s.value for s in AttemptStatus]), name="attempt_status_known"
            ),
            models.CheckConstraint(condition=Q(number__gte=1), name="attempt_number_from_1"),
            models.CheckConstraint(
                condition=Q(status="running", ended_at__isnull=True)
                | ~Q(status="running") & Q(ended_at__isnull=False),
                name="attempt_ended_at_set",
            ),
        )

    def __str__(self) -> str:
        return f"attempt {self.number}"


class Call(OwnedModel):
    """One request to the model. The row exists before the request leaves."""

    owned_through = "execution"

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    execution = models.ForeignKey(Execution, on_delete=models.CASCADE, db_index=False, related_name="calls")
    attempt = models.ForeignKey(Attempt, on_delete=models.CASCADE, db_index=False, related_name="calls")
    ordinal = models.PositiveIntegerField(help_text="from 1, within the attempt")
    owner = models.CharField(max_length=120)
    fence = models.PositiveIntegerField()
    endpoint = models.CharField(max_length=300)
    model = models.CharField(max_length=200)
    requested = models.JSONField(default=dict, help_text="parameters that the rung asks for")
    applied = models.JSONField(
        default=dict, help_text="parameters that were sent; null where one was left out"
    )
    dropped = models.JSONField(default=dict, help_text="why a parameter was left out")
    outcome = models.CharField(max_length=16, choices=choices(CallOutcome), blank=True)
    status_code = models.PositiveIntegerField(null=True, blank=True)
    error_type = models.CharField(max_length=80, blank=True)
    error = models.TextField(blank=True)
    request_id = models.CharField(max_length=200, blank=True)
    stop_reason = models.CharField(max_length=60, blank=True)
    answer = models.TextField(blank=True)
    input_tokens = models.PositiveBigIntegerField(default=0)
    output_tokens = models.PositiveBigIntegerField(default=0)
    cache_read_tokens = models.PositiveBigIntegerField(default=0)
    cache_write_tokens = models.PositiveBigIntegerField(default=0)
    price_kind = models.CharField(max_length=10, blank=True)
    reserved_nano_usd = models.PositiveBigIntegerField(default=0)
    cost_nano_usd = models.PositiveBigIntegerField(null=True, blank=True, help_text="settled cost")
    started_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ("attempt", "ordinal")
        indexes = (models.Index(fields=("execution", "-started_at"), name="call_newest"),)
        constraints = (
            models.UniqueConstraint(fields=("attempt", "ordinal"), name="call_ordinal_once"),
            models.UniqueConstraint(fields=("attempt",), condition=Q(outcome=""), name="call_open_once"),
            models.CheckConstraint(
                condition=Q(outcome="", ended_at__isnull=True) | ~Q(outcome="") & Q(ended_at__isnull=False),
                name="call_ended_at_set",
            ),
        )

    def __str__(self) -> str:
        return f"call {self.ordinal}"


class Issue(OwnedModel):
    """One finding of a validator."""

    owned_through = "attempt__execution"

    attempt = models.ForeignKey(Attempt, on_delete=models.CASCADE, db_index=False, related_name="issues")
    ordinal = models.PositiveIntegerField()
    severity = models.CharField(max_length=8, choices=choices(Severity))
    rule = models.CharField(max_length=60)
    message = models.TextField()
    line = models.PositiveIntegerField(null=True, blank=True)
    hint = models.TextField(blank=True)

    class Meta:
        ordering = ("attempt", "ordinal")
        constraints = (models.UniqueConstraint(fields=("attempt", "ordinal"), name="issue_ordinal_once"),)

    def __str__(self) -> str:
        return f"{self.severity} {self.rule}"


def with_finding(rule: str) -> Exists:
    """Of atom runs: those to which an issue of that rule still clings.

    It stands beside an attempt that no retry has replaced, or beside the one whose answer such an attempt took over from
    the cache or a fork.
    """
    issues = Issue.objects.filter(Q(attempt=OuterRef("pk")) | Q(attempt=OuterRef("origin")), rule=rule)
    attempts = Attempt.objects.filter(atom_run=OuterRef("pk"), superseded=False)
    return Exists(attempts.filter(Exists(issues)))
