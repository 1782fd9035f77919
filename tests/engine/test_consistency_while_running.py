"""fsck on a live system: each look is at one moment, so work under way is no finding."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from executions.models import Execution
from executions.scripted_model.faults import Fault
from executions.services.consistency import check_all
from tests.engine.by_hand import start
from tests.engine.committed import transactional_db  # noqa: F401  a fixture
from tests.engine.model_in_process import ModelInProcess, asked
from tests.engine.runner_thread import RESTING, RunnerThread
from tests.plans import layers, plan, wrong

FAULTS = (Fault.RATE_LIMIT_AFTER, Fault.OVERLOADED, Fault.DISCONNECT, Fault.TRUNCATE)


@pytest.mark.usefixtures("transactional_db")
@pytest.mark.parametrize("schedule", ["waves", "flow"])
def test_nothing_is_found_while_a_runner_works(settings: Any, scratch: Path, schedule: str) -> None:
    settings.MGE_PROVIDER_BACKOFF_SECONDS = 0.01
    settings.MGE_PROVIDER_BACKOFF_MAX_SECONDS = 0.02
    atoms = layers(20, 20, 20)
    misses = [wrong(atom) for atom in atoms[::3]]
    model = ModelInProcess(scratch, plan(*atoms), misses, fault_share=0.3, faults=FAULTS)
    with asked(settings, model):
        execution = start(plan(*atoms), schedule=schedule, validators="syntax", max_concurrency=8)
        looks = []
        with RunnerThread(execution):
            while Execution.objects.get(pk=execution.id).status not in RESTING:
                looks.append(check_all())

    assert len(looks) > 5, "it was looked at while it ran"
    assert all(found == [] for found in looks), next(found for found in looks if found)
    assert check_all() == []
