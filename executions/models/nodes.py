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
    schema = models.CharField(max_length=100, blank=True, help_text="last migration that its code knows")
    problem = models.TextField(blank=True, help_text="why it claims nothing")
    draining = models.BooleanField(default=False, help_text="claims nothing more")
    started_at = models.DateTimeField()
    heartbeat_at = models.DateTimeField()
    stopped_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ("-heartbeat_at",)

    def __str__(self) -> str:
        return f"{self.host}:{self.pid}"


class NodeWorker(models.Model):
    """One worker process of a node; keeps its own heartbeat."""

    node = models.ForeignKey(Node, on_delete=models.CASCADE, db_index=False, related_name="workers")
    pid = models.PositiveIntegerField()
    busy_since = models.DateTimeField(null=True, blank=True, help_text="when its present task began")
    worked_at = models.DateTimeField(null=True, blank=True, help_text="when its last task began or ended")
    beat_at = models.DateTimeField()

    class Meta:
        ordering = ("node", "pid")
        constraints = (models.UniqueConstraint(fields=("node", "pid"), name="node_worker_once"),)

    def __str__(self) -> str:
        return f"worker {self.pid}"


class Canary(models.Model):
    """A message sent through a node's whole queue to see whether it still works."""

    id = models.UUIDField(primary_key=True, editable=False)
    node = models.ForeignKey(Node, on_delete=models.CASCADE, related_name="canaries")
    task_id = models.CharField(max_length=64, blank=True, help_text="django-q2's id of the message")
    sent_at = models.DateTimeField()
    ran_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ("-sent_at",)

    def __str__(self) -> str:
        return f"canary {self.id}"


class Leadership(models.Model):
    """Who does a job that only one process should do at a time; a lease by the database's clock."""

    job = models.CharField(primary_key=True, max_length=40)
    owner = models.CharField(max_length=120)
    until = models.DateTimeField()

    def __str__(self) -> str:
        return self.job
