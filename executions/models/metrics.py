"""What was counted for `/metrics`: sums that outlive the rows they were counted from."""

from __future__ import annotations

import uuid

from django.db import models

ALL = uuid.UUID(int=0)
"""Stands for every masterplan, or every execution, in a tally."""


class Tally(models.Model):
    """One number of what happened. While an execution goes on it has tallies of its own, written under its lock; at its end
    they are moved into those of its masterplan and of the whole site.

    No foreign keys, on purpose: what was counted stays counted when executions and masterplans are deleted.
    """

    masterplan_id = models.UUIDField(help_text="nil: of the whole site")
    execution_id = models.UUIDField(help_text="nil: of all executions that have ended")
    name = models.CharField(max_length=24, help_text="what is counted: engine/tallies.py")
    label = models.CharField(
        max_length=24, blank=True, help_text="wave, attempt's number, temperature before, …"
    )
    part = models.CharField(max_length=24, blank=True, help_text="status, bucket, temperature after, …")
    amount = models.BigIntegerField(
        help_text="events, nano-USD, or millionths of a histogram's unit in its sum"
    )

    class Meta:
        verbose_name_plural = "tallies"
        constraints = (
            models.UniqueConstraint(
                fields=("masterplan_id", "execution_id", "name", "label", "part"), name="tally_once"
            ),
        )
        indexes = (models.Index(fields=("execution_id",), name="tally_by_execution"),)

    def __str__(self) -> str:
        return " ".join(word for word in (self.name, self.label, self.part) if word)
