"""One run of a masterplan: the execution, its waves and the state of each atom within it."""

from __future__ import annotations

from datetime import UTC, datetime

from django.conf import settings
from django.contrib.auth.models import Group
from django.db import models
from django.db.models import F, Q

from executions.identity import new_id
from executions.models.masterplans import Atom, Masterplan
from executions.models.visibility import OwnedModel
from executions.states import ATOM_LEASED, Approval, Assurance, AtomStatus, ExecutionStatus, WaveStatus


def choices(
    states: type[ExecutionStatus] | type[WaveStatus] | type[AtomStatus] | type[Assurance] | type[Approval],
) -> list[tuple[str, str]]:
    return [(state.value, state.value.replace("_", " ")) for state in states]


class Execution(OwnedModel):
    """One run with a frozen configuration. Counters equal the rows they count, in every committed state."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    masterplan = models.ForeignKey(Masterplan, on_delete=models.PROTECT, related_name="executions")
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    team = models.ForeignKey(Group, null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    forked_from = models.ForeignKey(
        "self", null=True, blank=True, on_delete=models.SET_NULL, related_name="forks"
    )
    forked_at_wave = models.PositiveIntegerField(
        null=True, blank=True, help_text="results of the waves up to this one were taken over"
    )
    status = models.CharField(
        max_length=12, choices=choices(ExecutionStatus), default=ExecutionStatus.PENDING
    )
    status_reason = models.TextField(blank=True)
    run_number = models.PositiveIntegerField(default=1)
    config = models.JSONField(default=dict)
    model = models.CharField(max_length=200)
    schedule = models.CharField(max_length=10, default="waves")
    on_dependency_failure = models.CharField(max_length=10, default="block")
    budget_nano_usd = models.PositiveBigIntegerField(
        null=True, blank=True, help_text="the execution pauses at this cost"
    )
    max_concurrency = models.PositiveIntegerField()
    time_limit_s = models.PositiveIntegerField(
        null=True, blank=True, help_text="seconds it may run from start or resume until it pauses"
    )
    needs_sandbox = models.BooleanField(default=True)
    asks_people = models.BooleanField(default=False, help_text="some wave or atom waits for an approval")

    seq = models.PositiveBigIntegerField(default=0, help_text="number of the last event")
    current_wave = models.PositiveIntegerField(default=0)
    waves_total = models.PositiveIntegerField()
    atoms_total = models.PositiveIntegerField()
    atoms_stored = models.PositiveIntegerField(
        default=0, help_text="rows of atoms so far; nothing runs before all are there"
    )
    atoms_succeeded = models.PositiveIntegerField(default=0)
    atoms_failed = models.PositiveIntegerField(default=0, help_text="ended failed")
    atoms_blocked = models.PositiveIntegerField(default=0)
    atoms_cancelled = models.PositiveIntegerField(default=0)
    atoms_dead_lettered = models.PositiveIntegerField(default=0)
    atoms_static = models.PositiveIntegerField(default=0, help_text="succeeded without running tests")
    attempts_total = models.PositiveIntegerField(default=0, help_text="attempts with a verdict")
    attempts_passed = models.PositiveIntegerField(default=0)
    retries_total = models.PositiveIntegerField(
        default=0, help_text="attempts with a verdict, after the first of an atom"
    )
    retries_passed = models.PositiveIntegerField(default=0)
    cache_hits = models.PositiveIntegerField(
        default=0, help_text="atoms that took an earlier accepted answer"
    )
    gates_total = models.PositiveIntegerField(default=0)
    gates_due = models.PositiveIntegerField(default=0, help_text="may be claimed")
    gates_passed = models.PositiveIntegerField(default=0)
    gates_failed = models.PositiveIntegerField(default=0)
    gates_cancelled = models.PositiveIntegerField(default=0)
    calls_total = models.PositiveIntegerField(default=0)
    input_tokens = models.PositiveBigIntegerField(default=0)
    output_tokens = models.PositiveBigIntegerField(default=0)
    cost_nano_usd = models.PositiveBigIntegerField(
        default=0, help_text="settled cost; 1 USD is 1,000,000,000"
    )
    reserved_nano_usd = models.PositiveBigIntegerField(default=0, help_text="reserved by calls in flight")
    lost_nano_usd = models.PositiveBigIntegerField(default=0, help_text="possibly spent by lost calls")

    created_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    rung_at = models.DateTimeField(null=True, blank=True, help_text="last doorbell")
    running_since = models.DateTimeField(
        null=True, blank=True, help_text="since when it has not been at rest"
    )
    ran_ms = models.PositiveBigIntegerField(default=0, help_text="time it was not at rest, before that")
    deadline_at = models.DateTimeField(null=True, blank=True, help_text="the execution pauses at this time")

    class Meta:
        ordering = ("-created_at",)
        indexes = (
            models.Index(fields=("status", "created_at"), name="execution_by_status"),
            models.Index(fields=("-created_at",), name="execution_newest"),
            models.Index(
                fields=("deadline_at",), condition=Q(deadline_at__isnull=False), name="execution_by_deadline"
            ),
        )
        constraints = (
            models.CheckConstraint(
                condition=Q(status__in=[s.value for s in ExecutionStatus]), name="execution_status_known"
            ),
            models.CheckConstraint(
                condition=Q(schedule__in=["waves", "flow"]), name="execution_schedule_known"
            ),
            models.CheckConstraint(
                condition=Q(on_dependency_failure__in=["block", "continue", "stop"]),
                name="execution_policy_known",
            ),
            models.CheckConstraint(condition=Q(max_concurrency__gte=1), name="execution_concurrency_from_1"),
            models.CheckConstraint(
                condition=Q(
                    atoms_total__gte=F("atoms_succeeded")
                    + F("atoms_failed")
                    + F("atoms_blocked")
                    + F("atoms_cancelled")
                    + F("atoms_dead_lettered")
                ),
                name="execution_ended_within_total",
            ),
            models.CheckConstraint(
                condition=Q(atoms_total__gte=F("atoms_stored")), name="execution_stored_within_total"
            ),
            models.CheckConstraint(
                condition=Q(attempts_total__gte=F("attempts_passed")), name="execution_passed_within_total"
            ),
            models.CheckConstraint(
                condition=Q(current_wave__lte=F("waves_total")), name="execution_wave_within_total"
            ),
            models.CheckConstraint(
                condition=Q(
                    gates_total__gte=F("gates_due")
                    + F("gates_passed")
                    + F("gates_failed")
                    + F("gates_cancelled")
                ),
                name="execution_gates_within_total",
            ),
        )

    def __str__(self) -> str:
        return str(self.id)

    @property
    def atoms_unsuccessful(self) -> int:
        """Atoms that ended without success."""
        return self.atoms_failed + self.atoms_blocked + self.atoms_cancelled + self.atoms_dead_lettered

    @property
    def atoms_ended(self) -> int:
        return self.atoms_succeeded + self.atoms_unsuccessful

    @property
    def is_built(self) -> bool:
        """Whether the rows of all its atoms are there; large plans are built in the background."""
        return self.atoms_stored == self.atoms_total

    @property
    def ran_seconds(self) -> float:
        """Seconds that it was not at rest, until now where it runs."""
        running = 0.0
        if self.running_since is not None:
            running = max(0.0, (datetime.now(UTC) - self.running_since).total_seconds())
        return self.ran_ms / 1000 + running

    @property
    def precision_percent(self) -> float:
        """Succeeded atoms of all atoms, in percent; 100 where there are none."""
        return 100.0 * self.atoms_succeeded / self.atoms_total if self.atoms_total else 100.0

    @property
    def completion_percent(self) -> float:
        return 100.0 * self.atoms_ended / self.atoms_total if self.atoms_total else 100.0


class Wave(OwnedModel):
    """A level of the dependency graph within an execution."""

    owned_through = "execution"

    execution = models.ForeignKey(Execution, on_delete=models.CASCADE, db_index=False, related_name="waves")
    number = models.PositiveIntegerField(help_text="from 1")
    status = models.CharField(max_length=12, choices=choices(WaveStatus), default=WaveStatus.PENDING)
    approval = models.CharField(max_length=8, blank=True, choices=choices(Approval))
    atoms_total = models.PositiveIntegerField()
    atoms_succeeded = models.PositiveIntegerField(default=0)
    atoms_unsuccessful = models.PositiveIntegerField(default=0)
    started_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ("execution", "number")
        constraints = (
            models.UniqueConstraint(fields=("execution", "number"), name="wave_number_once"),
            models.CheckConstraint(condition=Q(number__gte=1), name="wave_number_from_1"),
            models.CheckConstraint(
                condition=Q(status__in=[s.value for s in WaveStatus]), name="wave_status_known"
            ),
            models.CheckConstraint(
                condition=Q(atoms_total__gte=F("atoms_succeeded") + F("atoms_unsuccessful")),
                name="wave_ended_within_total",
            ),
        )

    def __str__(self) -> str:
        return f"wave {self.number}"


class AtomRun(OwnedModel):
    """The state of one atom within one execution."""

    owned_through = "execution"

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    execution = models.ForeignKey(
        Execution, on_delete=models.CASCADE, db_index=False, related_name="atom_runs"
    )
    atom = models.ForeignKey(Atom, on_delete=models.PROTECT, related_name="runs")
    key = models.CharField(max_length=200)
    wave = models.PositiveIntegerField()
    chain = models.PositiveIntegerField(help_text="priority: atoms on the longest path that starts here")
    position = models.PositiveIntegerField()
    status = models.CharField(max_length=14, choices=choices(AtomStatus), default=AtomStatus.PENDING)
    reason = models.CharField(max_length=40, blank=True, help_text="why it ended, in one word")
    error = models.TextField(blank=True)
    unmet = models.PositiveIntegerField(default=0, help_text="dependencies that have not succeeded yet")
    approval = models.CharField(max_length=8, blank=True, choices=choices(Approval))
    not_before = models.DateTimeField(null=True, blank=True, help_text="may not be claimed earlier")

    lease_owner = models.CharField(max_length=120, blank=True)
    lease_until = models.DateTimeField(null=True, blank=True)
    fence = models.PositiveIntegerField(default=0, help_text="number of claims so far")
    deaths = models.PositiveIntegerField(default=0, help_text="owners that died")

    generation = models.PositiveIntegerField(
        default=1, help_text="goes up when a retry or rollback starts it afresh"
    )
    attempts = models.PositiveIntegerField(default=0, help_text="attempts with a verdict in this generation")
    faults = models.PositiveIntegerField(default=0, help_text="calls in a row without a usable answer")
    fault_since = models.DateTimeField(null=True, blank=True)
    accepted = models.ForeignKey(
        "Attempt", null=True, blank=True, on_delete=models.RESTRICT, related_name="+"
    )
    assurance = models.CharField(max_length=8, blank=True, choices=choices(Assurance))
    started_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ("execution", "position")
        indexes = (
            models.Index(
                fields=("execution", "-chain", "position"),
                condition=Q(status="ready"),
                name="atom_run_claimable",
            ),
            models.Index(fields=("execution", "wave", "status"), name="atom_run_by_wave"),
            models.Index(
                fields=("lease_until",),
                condition=Q(status__in=sorted(s.value for s in ATOM_LEASED)),
                name="atom_run_leased",
            ),
            models.Index(fields=("lease_owner",), condition=~Q(lease_owner=""), name="atom_run_by_owner"),
        )
        constraints = (
            models.UniqueConstraint(fields=("execution", "key"), name="atom_run_once"),
            models.CheckConstraint(
                condition=Q(status__in=[s.value for s in AtomStatus]), name="atom_run_status_known"
            ),
            models.CheckConstraint(
                condition=Q(status__in=sorted(s.value for s in ATOM_LEASED), lease_until__isnull=False)
                & ~Q(lease_owner="")
                | ~Q(status__in=sorted(s.value for s in ATOM_LEASED))
                & Q(lease_owner="", lease_until__isnull=True),
                name="atom_run_leased_when_working",
            ),
            models.CheckConstraint(
                condition=Q(status=AtomStatus.SUCCEEDED.value, accepted__isnull=False) & ~Q(assurance="")
                | ~Q(status=AtomStatus.SUCCEEDED.value) & Q(accepted__isnull=True, assurance=""),
                name="atom_run_accepted_when_succeeded",
            ),
        )

    def __str__(self) -> str:
        return self.key
