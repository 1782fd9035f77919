"""The checks of chaos can fail: what holds of a whole run is found missing once the data says otherwise."""

from __future__ import annotations

import random
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from chaos.installation import Installation, Node, Place, plain_environment
from chaos.invariants import Found, check
from chaos.model_process import ModelProcess
from chaos.plans import MadePlan, layered_plan
from tests.ground import ROOT

pytestmark = [pytest.mark.needs_sandbox]


class _Run:
    """An execution that ended undisturbed."""

    def __init__(self, folder: Path, plan: MadePlan, model: ModelProcess) -> None:
        variables = {"ANTHROPIC_BASE_URL": model.url, "MGE_MODEL": "scripted-chaos"}
        place = Place(ROOT, Path(sys.executable), folder, plain_environment(variables))
        self.installation = Installation(place)
        self.installation.nodes.append(Node(place, "site", ("serve",)))
        self.plan, self.model = plan, model
        self.installation.manage("run_masterplan", plan.file, "--set", "cache=off")

    def found(self) -> Found:
        expected = self.model.expected_attempts()
        return check(self.installation, [self.plan], expected, self.model.counts(), faults=(), deaths=())

    def change(self, statement: str) -> None:
        with closing(sqlite3.connect(self.installation.nodes[0].data_dir / "mge.sqlite3")) as lite, lite:
            assert lite.execute(statement).rowcount > 0


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[_Run]:
    folder = tmp_path_factory.mktemp("chaos")
    plan = layered_plan(folder / "plans", "small", (3, 2), random.Random(1), near_miss_share=0.5)
    arguments = ["--answers", plan.file, "--near-misses", plan.near_misses, "--near-miss-share", "1"]
    with ModelProcess(Path(sys.executable), ROOT, folder / "model", arguments) as model:
        yield _Run(folder, plan, model)


def test_an_undisturbed_run_holds(run: _Run) -> None:
    found = run.found()

    assert found.violations == []
    assert (found.executions, found.atoms, found.succeeded) == (1, 5, 5)
    assert (found.calls_beyond, found.calls_lost, found.calls_allowed) == (0, 0, 0)
    assert found.calls_made == found.calls_expected > 5


@pytest.mark.parametrize(
    ("statement", "back", "said"),
    [
        (
            "UPDATE executions_execution SET calls_total = calls_total + 1",
            "UPDATE executions_execution SET calls_total = calls_total - 1",
            "calls_total",
        ),
        (
            "UPDATE executions_atomrun SET fence = fence + 1 WHERE key = 'small-1.0'",
            "UPDATE executions_atomrun SET fence = fence - 1 WHERE key = 'small-1.0'",
            "fence and claims differ: small-1.0",
        ),
        (
            "UPDATE executions_event SET seq = seq + 1000 WHERE type = 'execution.ended'",
            "UPDATE executions_event SET seq = seq - 1000 WHERE type = 'execution.ended'",
            "gaps in events",
        ),
        (
            "UPDATE executions_call SET outcome = 'lost' WHERE id = (SELECT MIN(id) FROM executions_call)",
            "UPDATE executions_call SET outcome = 'answered'",
            "lost without a fault",
        ),
        (
            "UPDATE executions_execution SET status = 'running', ended_at = NULL",
            "UPDATE executions_execution SET status = 'completed', ended_at = started_at",
            "not ended",
        ),
    ],
)
def test_what_does_not_hold_is_found(run: _Run, statement: str, back: str, said: str) -> None:
    run.change(statement)

    violations = run.found().violations

    assert any(said in one for one in violations), violations
    run.change(back)
