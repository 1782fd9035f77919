"""Groups of worker processes that are, or were, ready to work."""

from __future__ import annotations

from django.db import models


class Node(models.Model):
    """One django-q2 cluster on one host; its workers keep the heartbeat."""

    id = models.UUIDField(primary_key=True, editable=False)
    host = models.CharField(max_length=200)
    pid = models.PositiveIntegerField(help_text="of the cluster's guard")
    version = models.CharField(max_length=40)
    isolation = models.CharField(max_length=12)
    draining = models.BooleanField(default=False, help_text="claims nothing more")
    started_at = models.DateTimeField()
    heartbeat_at = models.DateTimeField()
    stopped_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ("-heartbeat_at",)

    def __str__(self) -> str:
        return f"{self.host}:{self.pid}"
