"""Masterplans and their atoms: immutable once stored; editing makes a new version."""

from __future__ import annotations

from django.conf import settings
from django.contrib.auth.models import Group
from django.db import models
from django.db.models import Q

from executions.identity import new_id
from executions.models.visibility import OwnedModel


class Masterplan(OwnedModel):
    """A named, versioned set of atoms."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    name = models.CharField(max_length=200)
    slug = models.CharField(max_length=200)
    version = models.PositiveIntegerField(default=1)
    description = models.TextField(blank=True)
    instructions = models.TextField(blank=True)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        db_index=False,
        related_name="+",
    )
    team = models.ForeignKey(Group, null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    digest = models.CharField(max_length=64, help_text="SHA-256 over what the product keeps of the plan")
    requires = models.JSONField(default=list)
    wave_tests = models.JSONField(default=list)
    acceptance_tests = models.JSONField(default=list)
    approvals = models.JSONField(default=list)
    defaults = models.JSONField(default=dict)
    warnings = models.JSONField(default=list)
    atoms_total = models.PositiveIntegerField()
    waves_total = models.PositiveIntegerField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("-created_at",)
        constraints = (
            models.UniqueConstraint(fields=("owner", "name", "version"), name="masterplan_version_once"),
            models.UniqueConstraint(
                fields=("name", "version"),
                condition=Q(owner__isnull=True),
                name="masterplan_version_once_unowned",
            ),
        )

    def __str__(self) -> str:
        return f"{self.name} v{self.version}"


class Atom(OwnedModel):
    """A small unit of code to be written."""

    owned_through = "masterplan"

    masterplan = models.ForeignKey(Masterplan, on_delete=models.CASCADE, db_index=False, related_name="atoms")
    key = models.CharField(max_length=200)
    name = models.CharField(max_length=300)
    description = models.TextField(blank=True)
    language = models.CharField(max_length=40, default="python")
    entry_points = models.JSONField(default=list)
    signature = models.TextField(blank=True)
    contract = models.TextField(blank=True)
    prompt = models.TextField(blank=True)
    tests = models.TextField(blank=True)
    hidden_tests = models.TextField(blank=True)
    target_path = models.CharField(max_length=400)
    instructions = models.TextField(blank=True)
    approval = models.BooleanField(default=False)
    depends_on = models.JSONField(default=list)
    position = models.PositiveIntegerField(help_text="place in the file, from 0")
    wave = models.PositiveIntegerField(help_text="level in the dependency graph, from 1")
    chain = models.PositiveIntegerField(help_text="atoms on the longest path that starts here")
    rank = models.PositiveIntegerField(help_text="place in the topological order, from 0")

    class Meta:
        ordering = ("masterplan", "position")
        constraints = (
            models.UniqueConstraint(fields=("masterplan", "key"), name="atom_key_once"),
            models.CheckConstraint(condition=Q(wave__gte=1), name="atom_wave_from_1"),
            models.CheckConstraint(condition=Q(chain__gte=1), name="atom_chain_from_1"),
        )

    def __str__(self) -> str:
        return self.key
