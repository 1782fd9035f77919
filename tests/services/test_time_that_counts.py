"""The time of an execution is the time that it was not at rest."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from executions.management.progress_display import summary
from executions.models import Execution
from executions.services.control import pause_execution, resume_execution
from executions.services.reports import report
from tests.engine.by_hand import claim_one, start, succeed_all
from tests.plans import layers, plan

pytestmark = pytest.mark.django_db


def _as_if_begun(execution: Execution, *, ago_s: float) -> None:
    """As if it had been set going so long ago."""
    then = datetime.now(UTC) - timedelta(seconds=ago_s)
    Execution.objects.filter(pk=execution.pk).update(started_at=then, running_since=then)


def test_it_is_nothing_before_the_first_claim() -> None:
    assert report(start(plan(*layers(1))))["seconds"] == 0


def test_a_pause_does_not_count() -> None:
    execution = start(plan(*layers(2)))
    hand = claim_one(execution)
    _as_if_begun(execution, ago_s=100)
    pause_execution(execution_id=execution.id, actor=None)
    hand.give_back()
    execution.refresh_from_db()
    assert report(execution)["seconds"] == pytest.approx(100, abs=5)
    assert f"{report(execution)['seconds']:.1f} s" in summary([execution], project=None)

    resume_execution(execution_id=execution.id, actor=None)
    # It rested for an hour.
    Execution.objects.filter(pk=execution.pk).update(started_at=datetime.now(UTC) - timedelta(seconds=3700))
    succeed_all(execution)

    assert execution.status == "completed"
    assert report(execution)["seconds"] == pytest.approx(100, abs=5)
