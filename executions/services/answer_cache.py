"""Answers kept for later executions: how old ones go."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from django.db import transaction

from executions.models import CachedAnswer

AT_ONCE = 1_000
"""Rows deleted in one transaction."""


def prune_answers(older_than: timedelta | None) -> int:
    """Delete the answers that were neither stored nor taken for so long; None: all. Returns how many went.

    Executions that have taken an answer have its code themselves and lose nothing.
    """
    before = datetime.now(UTC) - (older_than or timedelta())
    pruned = 0
    while True:
        with transaction.atomic():
            # Runners hold the rows that they are about to use: those stay.
            rows = CachedAnswer.objects.select_for_update(skip_locked=True).filter(used_at__lte=before)
            ids = list(rows.order_by("used_at").values_list("pk", flat=True)[:AT_ONCE])
            deleted, _ = CachedAnswer.objects.filter(pk__in=ids).delete()
        pruned += deleted
        if not ids:
            return pruned
