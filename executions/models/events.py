"""The history of an execution: facts numbered from 1 without gaps, in commit order."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from executions.models.executions import Execution
from executions.models.visibility import OwnedModel


class Event(OwnedModel):
    """A numbered fact; written in the same transaction as the change it tells of."""

    owned_through = "execution"

    execution = models.ForeignKey(Execution, on_delete=models.CASCADE, db_index=False, related_name="events")
    seq = models.PositiveBigIntegerField(help_text="from 1")
    type = models.CharField(max_length=40)
    wave = models.PositiveIntegerField(null=True, blank=True)
    atom = models.CharField(max_length=200, blank=True, help_text="the atom's key")
    attempt = models.PositiveIntegerField(null=True, blank=True)
    data = models.JSONField(default=dict)
    at = models.DateTimeField()

    class Meta:
        ordering = ("execution", "seq")
        constraints = (
            models.UniqueConstraint(fields=("execution", "seq"), name="event_seq_once"),
            models.CheckConstraint(condition=Q(seq__gte=1), name="event_seq_from_1"),
        )

    def __str__(self) -> str:
        return f"{self.seq} {self.type}"
