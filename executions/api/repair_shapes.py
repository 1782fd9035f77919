"""Requests and responses of retry, rollback, fork, approval and review."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from executions.api.fields import Settings, Text, Truth, Whole
from executions.api.shapes import ExecutionDetail, Why
from executions.services.review import MOST_CODE

MOST_ATOMS = 10_000
"""Atoms that one request may name."""
HIGHEST_WAVE = 2**31 - 1


@extend_schema_field({"type": "string", "maxLength": 200, "pattern": "^[^\\u0000]*$"})
class AtomKey(Text):
    """The key of an atom."""


class RetryRequest(Why):
    """Which atoms are to be generated again."""

    atoms = serializers.ListField(
        child=AtomKey(max_length=200), required=False, default=list, max_length=MOST_ATOMS, help_text="keys"
    )
    failed = Truth(required=False, default=False, help_text="all that ended failed or dead-lettered, besides")
    with_dependents = Truth(
        required=False,
        default=False,
        help_text="also everything that builds on them; without it, what has succeeded there keeps its code",
    )


class RollbackRequest(Why):
    wave = Whole(
        min_value=0, max_value=HIGHEST_WAVE, help_text="everything behind it begins anew; 0: everything"
    )


class ForkRequest(Why):
    wave = Whole(
        min_value=0,
        max_value=HIGHEST_WAVE,
        help_text="accepted results up to it are taken over; 0: none",
    )
    settings = Settings(
        required=False, default=dict, help_text='where the fork differs, e.g. `{"model": "claude-opus-5"}`'
    )
    confirm_cost = Truth(required=False, default=False, help_text="agree to pay for a model that has a price")


class JudgeRequest(Why):
    wave = Whole(
        required=False, min_value=1, max_value=HIGHEST_WAVE, help_text="from the gate of this wave on"
    )


class ApproveRequest(Why):
    """Exactly one of both."""

    wave = Whole(required=False, min_value=1, max_value=HIGHEST_WAVE, help_text="number of a wave")
    atom = AtomKey(required=False, max_length=200, help_text="key of an atom")


@extend_schema_field({"type": "string", "minLength": 1, "maxLength": MOST_CODE, "pattern": "^[^\\u0000]*$"})
class Code(Text):
    """Source text as it is."""


class CodeRequest(Why):
    code = Code(
        trim_whitespace=False, help_text=f"what stands for the model's answer; at most {MOST_CODE // 1024} kB"
    )


class RepairShape(serializers.Serializer[Any]):
    """What begins anew, dependencies first."""

    generated = serializers.ListField(
        child=serializers.CharField(), help_text="keys of atoms that are generated again"
    )
    revived = serializers.ListField(
        child=serializers.CharField(),
        help_text="keys of atoms that were blocked and wait for their turn now",
    )
    kept = serializers.ListField(
        child=serializers.CharField(),
        help_text="keys of atoms that have succeeded, build on generated ones and keep their code",
    )
    changes_nothing = serializers.BooleanField()


class RepairedShape(RepairShape):
    execution = ExecutionDetail()


class SuppliedShape(serializers.Serializer[Any]):
    """Code that waits for its verdict, which will be told of that attempt."""

    attempt_id = serializers.UUIDField()
    atom = serializers.CharField(help_text="its key")
    execution = ExecutionDetail()
