"""Procrastinate: a job per atom, deferred by the job that ended the last of its dependencies; one worker."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from graphlib import TopologicalSorter
from typing import Any

from procrastinate import App, PsycopgConnector

from benchmarks.atom_work import AtomWork, Done, WorkPlan
from benchmarks.peers.executor import Given, RunPlan, connected

LOOK_S = 0.02
UNFINISHED = "SELECT count(*) AS jobs FROM procrastinate_jobs WHERE status IN ('todo', 'doing')"
FAILED = "SELECT count(*) AS jobs FROM procrastinate_jobs WHERE status <> 'succeeded'"


class Progress:
    """What is done of a plan. Jobs keep no results, so they are kept here."""

    def __init__(self, plan: WorkPlan) -> None:
        self.plan = plan
        self.done: dict[str, Done] = {}
        self.sorter = TopologicalSorter(plan.depends_on)
        self.sorter.prepare()


class Jobs:
    """The task, and the plan that its jobs belong to."""

    def __init__(self, app: App, work: AtomWork) -> None:
        self._app = app
        self._work = work
        self._progress: Progress
        self._write_atom = app.task(name="write_atom")(self.write_atom)

    async def write_atom(self, key: str) -> None:
        progress = self._progress
        progress.done[key] = await self._work.do(progress.plan.atoms[key])
        progress.sorter.done(key)
        await self._defer_ready()

    async def run(self, plan: WorkPlan) -> Mapping[str, Done]:
        self._progress = Progress(plan)
        await self._defer_ready()
        # A job is marked after its function has returned, and dependents are deferred within it.
        while await self._count(UNFINISHED):  # noqa: ASYNC110  what is waited for is a row
            await asyncio.sleep(LOOK_S)
        if await self._count(FAILED):
            raise RuntimeError("jobs failed")
        return self._progress.done

    async def _defer_ready(self) -> None:
        ready = self._progress.sorter.get_ready()
        if ready:
            arguments: list[dict[str, Any]] = [{"key": key} for key in ready]
            await self._write_atom.batch_defer_async(*arguments)

    async def _count(self, query: str) -> int:
        found = await self._app.connector.execute_query_one_async(query)
        return int(found["jobs"])


@asynccontextmanager
async def executor(given: Given) -> AsyncIterator[RunPlan]:
    app = App(connector=PsycopgConnector(conninfo=given.database))
    async with connected(given) as work, app.open_async():
        await app.schema_manager.apply_schema_async()
        jobs = Jobs(app, work)
        worker = asyncio.create_task(
            app.run_worker_async(concurrency=given.concurrency, install_signal_handlers=False)
        )
        try:
            yield jobs.run
        finally:
            worker.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await worker
