"""Executions run in this process: real services, real database, real runner, the scripted model at the wire."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as site

from executions.engine.plan_graph import plan_graph
from executions.engine.reconciler import reconcile
from executions.engine.wave_executor import run_slice
from executions.models import Event, Execution
from executions.planning.format import load_document
from executions.services.masterplans import store_masterplans
from executions.services.start import start_execution
from executions.states import EXECUTION_ENDED, ExecutionStatus
from tests.plans import write_plan
from tests.scripted import ScriptedServer


@pytest.fixture
def fast_provider(settings: Any) -> None:
    """Short waits after faults of the provider."""
    settings.MGE_PROVIDER_BACKOFF_SECONDS = 0.02
    settings.MGE_PROVIDER_BACKOFF_MAX_SECONDS = 0.1


@pytest.fixture
def scripted(scratch: Path, settings: Any) -> Iterator[Callable[..., ScriptedServer]]:
    """Starts scripted models for given plans and points the product at the last one."""
    servers: list[ScriptedServer] = []

    def start(
        plan: dict[str, Any], near_misses: list[dict[str, Any]] | None = None, *arguments: object
    ) -> ScriptedServer:
        folder = scratch / f"answers{len(servers)}"
        file = write_plan(folder, plan, near_misses or [])
        server = ScriptedServer(
            "--answers",
            file,
            "--near-misses",
            folder / "plan-near-miss.json",
            "--near-miss-share",
            "1",
            *arguments,
        )
        server.__enter__()
        servers.append(server)
        settings.ANTHROPIC_BASE_URL = server.url
        settings.MGE_MODEL = "scripted-test"
        return server

    yield start
    for server in servers:
        server.__exit__()


@pytest.fixture
def begin(transactional_db: None) -> Callable[..., Execution]:
    """Store a plan and start an execution of it; nothing runs yet."""
    plan_graph.cache_clear()

    def start(plan: dict[str, Any], **settings: Any) -> Execution:
        masterplan = store_masterplans(load_document(plan, origin="test"), owner=None)[0]
        return start_execution(masterplan=masterplan, actor=None, settings=settings)

    return start


@pytest.fixture
def finish() -> Callable[[Execution], Execution]:
    """Run slices and reconcile until the execution rests."""

    def run(execution: Execution) -> Execution:
        for _ in range(200):
            run_slice()
            execution.refresh_from_db()
            if execution.status in EXECUTION_ENDED | {ExecutionStatus.PAUSED}:
                return execution
            reconcile()
        raise AssertionError(f"still {execution.status} after 200 slices")

    return run


@pytest.fixture
def facts() -> Callable[[Execution], list[tuple[str, str, int | None]]]:
    """(type, atom, attempt) of every event, in order."""

    def read(execution: Execution) -> list[tuple[str, str, int | None]]:
        return list(
            Event.objects.filter(execution=execution).order_by("seq").values_list("type", "atom", "attempt")
        )

    return read


@pytest.fixture(autouse=True)
def _data_dir_exists() -> None:
    site.MGE_DATA_DIR.mkdir(parents=True, exist_ok=True)
