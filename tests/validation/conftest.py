"""Both isolation levels as a fixture, and one line to have an answer judged."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from executions.validation.candidate import Candidate
from executions.validation.pipeline import Validator
from executions.validation.sandbox.limits import Limits
from executions.validation.sandbox.sandbox import Sandbox
from executions.validation.verdict import Isolation, Verdict

Judge = Callable[..., Awaitable[Verdict]]

SHORT = Limits(cpu_seconds=2, wall_seconds=3.0, outer_seconds=6.0)


@pytest.fixture(scope="session")
def sandbox_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder whose self-tests serve the whole session."""
    return tmp_path_factory.mktemp("sandbox-data")


@pytest.fixture(
    params=[
        pytest.param(Isolation.ISOLATED, marks=pytest.mark.needs_bubblewrap),
        pytest.param(Isolation.RESTRICTED, marks=pytest.mark.needs_sandbox),
    ],
    ids=str,
)
def sandbox(request: pytest.FixtureRequest, sandbox_data: Path) -> Sandbox:
    found = Sandbox.detect(data_dir=sandbox_data, forced=request.param)
    if found.isolation is not request.param:
        pytest.skip(f"{request.param} is not granted here: {[c.name for c in found.refused]}")
    return found


def at_any_level(data_dir: Path) -> Sandbox:
    """The strongest that is granted here."""
    return Sandbox.detect(data_dir=data_dir)


@pytest.fixture
def judged(sandbox: Sandbox) -> Judge:
    """`await judged(source, tests, …)` gives the verdict; the answer is `answer.py`, its entry point `f`."""

    async def judge(source: str | bytes, tests: str, **more: Any) -> Verdict:
        validator = Validator(
            sandbox, validators=more.pop("validators", "contract,tests"), limits=more.pop("limits", SHORT)
        )
        fields = {"entry_points": ("f",), "target_path": "answer.py"} | more
        return await validator.validate(Candidate(source=source, tests=tests, **fields))

    return judge
