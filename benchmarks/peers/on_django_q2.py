"""django-q2: a task per atom on the ORM broker, queued by this process when its dependencies are done."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from graphlib import TopologicalSorter

import django
from django.core.management import call_command

from benchmarks.atom_work import Done, WorkPlan
from benchmarks.peers.executor import Given, RunPlan, child

LOOK_S = 0.02
TASK = "benchmarks.peers.django_q2_tasks.write_atom"


@asynccontextmanager
async def executor(given: Given) -> AsyncIterator[RunPlan]:
    os.environ.update(
        PEERS_DATABASE=given.database,
        PEERS_MODEL=given.url,
        DJANGO_SETTINGS_MODULE="benchmarks.peers.django_q2_settings",
    )
    django.setup()
    await asyncio.to_thread(call_command, "migrate", verbosity=0)

    async def run(plan: WorkPlan) -> Mapping[str, Done]:
        return await asyncio.to_thread(_run, plan)

    with child([sys.executable, "-m", "benchmarks.peers.django_q2_cluster"], given):
        yield run


def _run(plan: WorkPlan) -> Mapping[str, Done]:
    from django_q.models import Task  # after Django is set up
    from django_q.tasks import async_task

    done: dict[str, Done] = {}
    queued: dict[str, str] = {}
    sorter = TopologicalSorter(plan.depends_on)
    sorter.prepare()
    while sorter.is_active():
        for key in sorter.get_ready():
            queued[async_task(TASK, dict(plan.atoms[key]))] = key
        ended = Task.objects.filter(id__in=list(queued)).values_list("id", "success", "result")
        if not ended:
            time.sleep(LOOK_S)
        for number, success, result in ended:
            if not success:
                raise RuntimeError(f"{queued[number]}: {result}")
            key = queued.pop(number)
            done[key] = result
            sorter.done(key)
    return done
