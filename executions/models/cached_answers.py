"""Accepted answers that another execution of the same owner or team may take over."""

from __future__ import annotations

from django.db import models

from executions.identity import new_id


class CachedAnswer(models.Model):
    """An accepted answer under the digest of everything that the model was asked and would be asked."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    scope = models.CharField(max_length=60, help_text="whose it is: user:ID, team:ID, or command")
    key = models.CharField(
        max_length=64, help_text="digest of the request, the ladder, the models, the checks"
    )
    answer = models.TextField()
    verdict_key = models.CharField(max_length=64, help_text="digest of what the verdict depended on besides")
    assurance = models.CharField(max_length=8)
    isolation = models.CharField(max_length=12, blank=True)
    tests_passed = models.JSONField(default=list)
    tests_total = models.PositiveIntegerField(default=0)
    origin = models.UUIDField(help_text="the attempt that was accepted")
    created_at = models.DateTimeField()
    used_at = models.DateTimeField(help_text="when it was stored or last taken")

    class Meta:
        ordering = ("-used_at",)
        indexes = (models.Index(fields=("used_at",), name="cached_answer_by_use"),)
        constraints = (models.UniqueConstraint(fields=("scope", "key"), name="cached_answer_once"),)

    def __str__(self) -> str:
        return self.key[:12]
