"""DBOS: one workflow that gathers a step per atom, wave by wave; each step's output is stored."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from dbos import DBOS

from benchmarks.atom_work import AtomWork, Done, WorkPlan
from benchmarks.peers.executor import Given, RunPlan, connected


class Workflow:
    """The registered functions, and the plan that they work on: arguments would be stored with the workflow."""

    def __init__(self, work: AtomWork, concurrency: int) -> None:
        self._plan: WorkPlan
        slots = asyncio.Semaphore(concurrency)

        @DBOS.step()
        async def write_atom(key: str) -> Done:
            async with slots:
                return await work.do(self._plan.atoms[key])

        @DBOS.workflow()
        async def write_plan() -> dict[str, Done]:
            done: dict[str, Done] = {}
            for wave in self._plan.waves:
                written = await asyncio.gather(*(write_atom(key) for key in wave))
                done.update(zip(wave, written, strict=True))
            return done

        self._write_plan = write_plan

    async def run(self, plan: WorkPlan) -> Mapping[str, Done]:
        self._plan = plan
        handle = await DBOS.start_workflow_async(self._write_plan)
        done: Mapping[str, Done] = await handle.get_result()
        return done


@asynccontextmanager
async def executor(given: Given) -> AsyncIterator[RunPlan]:
    _, _, rest = given.database.partition("://")
    DBOS(
        config={
            "name": "peers",
            "system_database_url": f"postgresql://{rest}",
            "log_level": "WARNING",
        }
    )
    async with connected(given) as work:
        workflow = Workflow(work, given.concurrency)
        DBOS.launch()
        try:
            yield workflow.run
        finally:
            DBOS.destroy()
