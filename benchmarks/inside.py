"""Parts of the product measured from inside, run by `benchmarks.micro` in a process of an installation with `manage.py shell`.

Each function prints one JSON object.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
import uuid
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.db import connection
from django.test import Client

from executions.engine import wave_executor
from executions.engine.calls import AttemptIntent, RecordIntent
from executions.engine.claims import Claim, ClaimedAtom
from executions.engine.ledger import Ledger
from executions.engine.transaction import open_transaction
from executions.identity import new_id
from executions.models import Execution, Masterplan
from executions.planning.format import load_file
from executions.services.masterplans import store_masterplans
from executions.services.start import start_execution
from executions.states import ExecutionStatus

OWNER = "benchmark"
LEASE = timedelta(hours=1)
MOST = 100_000
PROMPT = "word " * 400
"""About as long as the prompt of a small atom."""


def _tell(**found: Any) -> None:
    sys.stdout.write(json.dumps(found) + "\n")


def _started(plan_file: Path, max_concurrency: int = 1_000) -> Execution:
    (masterplan,) = store_masterplans(load_file(plan_file), owner=None)
    chosen = {"validators": "syntax", "cache": "off", "max_concurrency": max_concurrency}
    return start_execution(masterplan=masterplan, actor=None, settings=chosen)


def run_alone(plan_file: str, slowed: int) -> None:
    """One runner, in this process, from the first claim to the end of the execution.

    `slowed`: by how much counting slows it down; what it does by the clock it does that much more rarely.
    """
    wave_executor.LOOK_S *= slowed
    wave_executor.HELP_S *= slowed
    # Else its two threads would take turns that much more often, and share out the work in other pieces.
    sys.setswitchinterval(slowed * sys.getswitchinterval())
    execution = _started(Path(plan_file), max_concurrency=100)
    wave_executor.run_slice()
    execution.refresh_from_db()
    if execution.status != ExecutionStatus.COMPLETED:
        raise SystemExit(f"the execution is {execution.status}: {execution.status_reason}")


def _with_ledger(work: Callable[[Ledger], Awaitable[None]]) -> None:
    async def run() -> None:
        ledger = Ledger()
        ledger.start()
        try:
            await work(ledger)
        finally:
            await ledger.close()

    asyncio.run(run())


def _intent(claim: ClaimedAtom) -> RecordIntent:
    return RecordIntent(
        claim=claim,
        attempt_id=new_id(),
        attempt_number=1,
        call_id=new_id(),
        ordinal=1,
        endpoint="benchmark",
        model="scripted-test",
        requested={"temperature": 0.7},
        reserve_nano_usd=0,
        new_attempt=AttemptIntent(1, "generate", {"temperature": 0.7}, PROMPT, PROMPT),
    )


def ledger_changes(plan_file: str, tasks: int, count: int) -> None:
    """Intents through the ledger, `tasks` of them waited for at any time: `{"seconds", "cpu_s", "changes", "transactions"}`."""
    _started(Path(plan_file))

    async def work(ledger: Ledger) -> None:
        claims = await ledger.record(Claim(OWNER, lambda: count, LEASE, MOST, can_execute=True))
        waiting = iter(claims)
        transactions, cpu, began = ledger.transactions, time.process_time(), time.perf_counter()

        async def record() -> None:
            for claim in waiting:
                await ledger.record(_intent(claim))

        await asyncio.gather(*(record() for _ in range(tasks)))
        _tell(
            seconds=time.perf_counter() - began,
            cpu_s=time.process_time() - cpu,
            changes=len(claims),
            transactions=ledger.transactions - transactions,
        )

    _with_ledger(work)


def claims(plan_file: str, size: int, count: int) -> None:
    """`count` claims of `size` atoms, one after the other, out of many that are ready: `{"seconds": […]}`."""
    _started(Path(plan_file))

    async def work(ledger: Ledger) -> None:
        seconds: list[float] = []
        for _ in range(count):
            began = time.perf_counter()
            taken = await ledger.record(Claim(OWNER, lambda: size, LEASE, MOST, can_execute=True))
            seconds.append(time.perf_counter() - began)
            if len(taken) != size:
                raise SystemExit(f"{len(taken)} atoms claimed, not {size}")
        _tell(seconds=seconds)

    _with_ledger(work)


def store_and_start(plan_file: str) -> None:
    """`{"read_s", "store_s", "start_s", "started_at", "execution"}`; the last two tell of the call of `start_execution`."""
    began = time.perf_counter()
    plans = load_file(Path(plan_file))
    read = time.perf_counter()
    (masterplan,) = store_masterplans(plans, owner=None)
    stored, at = time.perf_counter(), time.time()
    execution = start_execution(
        masterplan=Masterplan.objects.get(pk=masterplan.pk),
        actor=None,
        settings={"validators": "syntax", "cache": "off"},
    )
    _tell(
        read_s=read - began,
        store_s=stored - read,
        start_s=time.perf_counter() - stored,
        started_at=at,
        execution=str(execution.id),
    )


def start_of(plan_id: str) -> None:
    """Start a stored plan: `{"execution", "cookie"}`, the cookie that of a browser in which the first user is signed in."""
    user = get_user_model().objects.earliest("pk")
    execution = start_execution(
        masterplan=Masterplan.objects.get(pk=plan_id),
        actor=user,
        settings={"validators": "syntax", "cache": "off"},
    )
    browser = Client()
    browser.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    name = settings.SESSION_COOKIE_NAME
    _tell(execution=str(execution.id), cookie=f"{name}={browser.cookies[name].value}")


def events(execution_id: str, pauses_s: Sequence[float]) -> None:
    """One event after each pause: `{"committed": {seq: Unix seconds after its commit}}`."""
    committed: dict[int, float] = {}
    execution = uuid.UUID(execution_id)
    connection.ensure_connection()
    for pause in pauses_s:
        time.sleep(pause)
        with open_transaction(execution) as unit:
            locked = unit.executions[execution]
            unit.event(locked, "benchmark.noted")
            seq = locked.seq
        committed[seq] = time.time()
    _tell(committed=committed)
