"""Gates: what the project of a wave, or of the whole masterplan, was found to be once it was put together."""

from __future__ import annotations

from enum import StrEnum

from django.db import models
from django.db.models import Q

from executions.identity import new_id
from executions.models.executions import Execution
from executions.models.visibility import OwnedModel
from executions.states import GATE_ENDED, GateLevel, GateStatus


def choices(states: type[StrEnum]) -> list[tuple[str, str]]:
    return [(state.value, state.value) for state in states]


class Gate(OwnedModel):
    """One gate of an execution, with its last result; earlier ones are in the history (`gate.ended`)."""

    owned_through = "execution"

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    execution = models.ForeignKey(Execution, on_delete=models.CASCADE, db_index=False, related_name="gates")
    level = models.CharField(max_length=10, choices=choices(GateLevel))
    wave = models.PositiveIntegerField(null=True, blank=True, help_text="of a wave's gate: its number")
    position = models.PositiveIntegerField(help_text="a wave's number; the masterplan's gate comes last")
    status = models.CharField(max_length=10, choices=choices(GateStatus), default=GateStatus.PENDING)

    not_before = models.DateTimeField(null=True, blank=True, help_text="may not be claimed earlier")
    lease_owner = models.CharField(max_length=120, blank=True)
    lease_until = models.DateTimeField(null=True, blank=True)
    fence = models.PositiveIntegerField(default=0, help_text="number of claims and new beginnings so far")
    deaths = models.PositiveIntegerField(default=0, help_text="owners that died")

    run_number = models.PositiveIntegerField(
        default=0, help_text="run of the execution that it was judged in"
    )
    findings = models.JSONField(default=list)
    tests_passed = models.PositiveIntegerField(default=0, help_text="modules imported count as tests")
    tests_total = models.PositiveIntegerField(default=0)
    isolation = models.CharField(max_length=12, blank=True)
    project_digest = models.CharField(
        max_length=64, blank=True, help_text="SHA-256 of the project that was judged"
    )
    duration_ms = models.FloatField(null=True, blank=True)
    cpu_ms = models.FloatField(null=True, blank=True)
    started_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ("execution", "position")
        indexes = (
            models.Index(fields=("lease_owner",), condition=~Q(lease_owner=""), name="gate_by_owner"),
            models.Index(fields=("lease_until",), condition=Q(status="running"), name="gate_leased"),
        )
        constraints = (
            models.UniqueConstraint(fields=("execution", "position"), name="gate_position_once"),
            models.CheckConstraint(
                condition=Q(status__in=[s.value for s in GateStatus]), name="gate_status_known"
            ),
            models.CheckConstraint(
                condition=Q(level="wave", wave__isnull=False, wave=models.F("position"), wave__gte=1)
                | Q(level="masterplan", wave__isnull=True),
                name="gate_of_a_wave_or_the_plan",
            ),
            models.CheckConstraint(
                condition=Q(status="running", lease_until__isnull=False) & ~Q(lease_owner="")
                | ~Q(status="running") & Q(lease_owner="", lease_until__isnull=True),
                name="gate_leased_when_running",
            ),
            models.CheckConstraint(
                condition=Q(status__in=sorted(s.value for s in GATE_ENDED), ended_at__isnull=False)
                | ~Q(status__in=sorted(s.value for s in GATE_ENDED)) & Q(ended_at__isnull=True),
                name="gate_ended_at_set",
            ),
        )

    def __str__(self) -> str:
        return f"gate of wave {self.wave}" if self.level == GateLevel.WAVE else "gate of the masterplan"

    @property
    def blocking(self) -> int:
        """Findings for which it failed."""
        return sum(1 for one in self.findings if one["severity"] in ("CRITICAL", "ERROR"))
