"""No counter falls because old executions are removed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from django.core.management import call_command

from executions.models import Execution
from executions.services.control import cancel_execution
from tests.engine.by_hand import Hand, claiming, start, succeed_all, write
from tests.metrics.exposition import Scrape
from tests.plans import layers, plan

GAUGES = (
    "mge_executions",
    "mge_dead_letters",
    "mge_oldest",
    "v2_execution_precision",
    "v2_wave_completion",
    "process_",
    "python_",
)
"""What may fall: states of the database, and of the scraped process itself (its memory, its open files)."""


@pytest.mark.django_db
def test_no_counter_falls_when_old_executions_are_pruned(scrape: Callable[..., Scrape]) -> None:
    for number in range(3):
        _end(start(plan(*layers(3, 1), name=f"plan {number}"), max_attempts=2), cancelled=number == 2)
    running = start(plan(*layers(2), name="goes on"))
    Hand(write(claiming(1))[0]).attempt(passed=True)
    Execution.objects.exclude(pk=running.pk).update(ended_at=datetime.now(UTC) - timedelta(days=100))
    before = scrape()
    assert before("mge_calls_total") > 10

    call_command("prune", "--older-than", "90d")

    assert list(Execution.objects.all()) == [running]
    after = scrape()
    fell = {
        key: (value, after.samples[key])
        for key, value in before.samples.items()
        if key in after.samples and after.samples[key] < value and not key[0].startswith(GAUGES)
    }
    assert fell == {}
    # A masterplan without an execution is not named any more; what it counted is in the sums.
    gone = {key for key in before.samples if key not in after.samples}
    assert all(any("masterplan" in label for label, _ in labels) for _, labels in gone), gone
    assert after("mge_calls_total") == before("mge_calls_total")
    assert after("mge_cost_usd_total") == before("mge_cost_usd_total") > 0
    assert after.sum("mge_executions_ended_total") == before.sum("mge_executions_ended_total") == 3


def _end(execution: Execution, *, cancelled: bool) -> None:
    """Two answers are rejected at first; then everything passes, or it is cancelled."""
    for claim in write(claiming(2)):
        hand = Hand(claim, 2)
        hand.attempt(passed=False)
        hand.give_back()
    if cancelled:
        cancel_execution(execution_id=execution.id, actor=None)
    else:
        succeed_all(execution)
