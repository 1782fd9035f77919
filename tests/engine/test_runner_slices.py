"""A runner's slice: what it takes up again, what it leaves to others, how it hands over and what it survives."""

from __future__ import annotations

import asyncio
import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django_q.models import OrmQ

from executions.engine.claims import ClaimedAtom
from executions.engine.context import load_atoms, load_execution
from executions.engine.node import drain, node_id
from executions.engine.owners import owner_name
from executions.engine.reconciler import reconcile
from executions.engine.wave_executor import WaveExecutor, run_slice
from executions.models import AtomRun, Attempt, Call, Execution, Node
from executions.services.control import cancel_execution
from tests.engine.away import database_away
from tests.engine.by_hand import (
    Hand,
    assert_all_ended,
    assert_counters_equal_rows,
    claim_one,
    claiming,
    events,
    expire_leases,
    held,
    start,
    statuses,
    write,
)
from tests.engine.committed import transactional_db  # noqa: F401  a fixture
from tests.engine.model_in_process import ModelInProcess, asked
from tests.engine.runner_thread import RunnerThread, run_to_rest
from tests.ground import ON_POSTGRES
from tests.plans import adder, layers, plan, wrong
from tests.product import wait_for

pytestmark = pytest.mark.usefixtures("transactional_db")
STATIC = {"validators": "syntax"}


# --- what a dead owner left ---------------------------------------------------------------------------------------------


def test_an_answer_that_was_not_judged_is_judged_without_a_new_call(scratch: Path, settings: Any) -> None:
    atom = adder("a")
    value = plan(atom, adder("b", depends_on=["a"]))
    with asked(settings, ModelInProcess(scratch, value)) as model:
        execution = start(value, **STATIC)
        dead = claim_one(execution, owner="dead")
        dead.answer(dead.intend(), text=f"```python\n{atom['reference_solution']}```")
        expire_leases(execution)
        reconcile()

        run_to_rest(execution)

        assert execution.status == "completed"
        assert model.stats()["calls_per_atom"] == {"b": 1}
        attempt = Attempt.objects.get(atom_run__key="a")
        assert (attempt.status, attempt.code) == ("passed", atom["reference_solution"])
        assert execution.calls_total == 2
        assert_counters_equal_rows(execution)


def test_a_lost_call_is_repeated_in_the_same_attempt_with_the_same_prompt(
    scratch: Path, settings: Any
) -> None:
    value = plan(adder("a"))
    with asked(settings, ModelInProcess(scratch, value)) as model:
        execution = start(value, **STATIC)
        claim_one(execution, owner="dead").intend()
        Attempt.objects.update(prompt_user=f"kept prompt\n\n{value['atoms'][0]['tests']}")
        expire_leases(execution)
        reconcile()

        run_to_rest(execution)

        attempt = Attempt.objects.get()
        assert (attempt.number, attempt.status) == (1, "passed")
        assert attempt.prompt_user.startswith("kept prompt")
        calls = Call.objects.order_by("ordinal").values_list("ordinal", "outcome")
        assert list(calls) == [(1, "lost"), (2, "answered")]
        assert model.stats()["calls"] == 1
        assert_all_ended(execution)
        assert_counters_equal_rows(execution)


def test_attempts_that_were_judged_before_the_owner_died_count(scratch: Path, settings: Any) -> None:
    value = plan(adder("a"))
    with asked(settings, ModelInProcess(scratch, value)):
        execution = start(value, max_attempts=3, **STATIC)
        claim_one(execution, owner="dead").attempt(passed=False)
        expire_leases(execution)
        reconcile()

        run_to_rest(execution)

        found = Attempt.objects.order_by("number").values_list("number", "status")
        assert list(found) == [(1, "rejected"), (2, "passed")]
        assert "attempt 2 of 3" in Attempt.objects.get(number=2).prompt_user.lower()


# --- handing over -------------------------------------------------------------------------------------------------------


class _Slice:
    """One slice of one runner in a thread; `executor` can be looked at meanwhile."""

    def __init__(self) -> None:
        self.executor = WaveExecutor(owner_name(), timedelta(seconds=30))
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> WaveExecutor:
        self._thread.start()
        return self.executor

    def __exit__(self, *_: object) -> None:
        self._thread.join(timeout=60)
        assert not self._thread.is_alive()

    def _run(self) -> None:
        try:
            asyncio.run(self.executor.run())
        finally:
            connection.close()


def _rung_for() -> list[str]:
    return sorted(one.task["args"][0] for one in OrmQ.objects.all())


def test_at_the_end_of_a_slice_it_rings_once_for_each_execution_with_work(
    scratch: Path, settings: Any
) -> None:
    settings.MGE_RUNNER_CAPACITY = 1
    settings.MGE_SLICE_SECONDS = 0.05
    value, other = plan(*layers(5)), plan(*layers(5), name="other")
    with asked(settings, ModelInProcess(scratch, value, shut=True)) as model:
        executions = [start(one, **STATIC) for one in (value, other)]
        for claim in write(claiming(2)):
            Hand(claim).give_back()
        OrmQ.objects.all().delete()
        begun = time.monotonic()
        with _Slice():
            model.until_waiting(1)
            wait_for(lambda: time.monotonic() > begun + 0.1, "the slice is over")
            model.let_through(None)

    assert AtomRun.objects.filter(status="ready").count() == 9
    assert _rung_for() == sorted(str(execution.id) for execution in executions)


def test_what_was_claimed_while_the_runner_was_ended_is_given_back() -> None:
    execution = start(plan(*layers(5)), **STATIC)

    async def run() -> None:
        executor = WaveExecutor(owner_name(), timedelta(seconds=30))
        running = asyncio.create_task(executor.run())
        with held(execution):
            async with asyncio.timeout(30):
                while not executor.asked:  # noqa: ASYNC110  the executor tells nobody
                    await asyncio.sleep(0.01)
            running.cancel()
            await asyncio.sleep(0.05)
        with pytest.raises(asyncio.CancelledError):
            await running

    asyncio.run(run())

    runs = AtomRun.objects.filter(execution=execution)
    assert set(runs.values_list("status", "lease_owner")) == {("ready", "")}
    # It had been claimed: the claim was on its way when the runner was told to end.
    assert set(runs.values_list("fence", flat=True)) == {1}


def test_a_runner_that_finds_every_slot_taken_leaves_and_rings_nobody() -> None:
    execution = start(plan(*layers(3)), max_concurrency=1)
    claim_one(execution, owner="busy")
    OrmQ.objects.all().delete()

    assert run_slice() == 0

    # Whoever holds the slots rings at the end of its own slice, and the reconciler does when it died: rings from here
    # would start one idle runner after another for as long as the slots are held.
    assert _rung_for() == []


def test_a_runner_rings_again_for_what_its_last_atoms_freed(scratch: Path, settings: Any) -> None:
    settings.MGE_SLICE_SECONDS = 0.05
    value, other = plan(*layers(1, 2)), plan(*layers(2), name="other")
    with asked(settings, ModelInProcess(scratch, value, shut=True)) as model:
        busy = start(other, max_concurrency=1, **STATIC)
        claim_one(busy, owner="busy")
        execution = start(value, **STATIC)
        OrmQ.objects.all().delete()
        with _Slice():
            model.until_waiting(1)
            wait_for(lambda: _rung_for() == [str(busy.id)], "the slice is over and the atom still in flight")
            model.let_through(None)

    assert sorted(statuses(execution).values()) == ["ready", "ready", "succeeded"]
    assert str(execution.id) in _rung_for()


def test_a_runner_does_not_wait_for_slots_that_others_hold() -> None:
    execution = start(plan(*layers(2)), max_concurrency=1)
    claim_one(execution, owner="busy")
    AtomRun.objects.filter(status="ready").update(not_before=datetime.now(UTC) - timedelta(seconds=5))

    with _Slice() as executor:
        pass

    assert executor.ledger.changes == 1  # the one claim, in vain


def test_a_runner_stays_for_an_atom_whose_time_comes_soon(scratch: Path, settings: Any) -> None:
    value = plan(adder("a"))
    with asked(settings, ModelInProcess(scratch, value)):
        execution = start(value, **STATIC)
        claim_one(execution).give_back(wait_s=0.3)

        assert run_slice() == 1

        assert statuses(execution) == {"a": "succeeded"}


def test_a_runner_of_a_draining_node_finishes_what_it_has_and_claims_nothing_more(
    scratch: Path, settings: Any
) -> None:
    value = plan(*layers(4))
    now = datetime.now(UTC)
    node = Node.objects.create(
        id=node_id(os.getppid()),
        host="here",
        pid=1,
        version="1",
        isolation="isolated",
        started_at=now,
        heartbeat_at=now,
    )
    with asked(settings, ModelInProcess(scratch, value, shut=True)) as model:
        execution = start(value, max_concurrency=2, **STATIC)
        OrmQ.objects.all().delete()
        with _Slice() as executor:
            model.until_waiting(2)
            drain(node.id)
            wait_for(lambda: executor.stopping, "the runner has seen it")
            model.let_through(None)

    assert sorted(statuses(execution).values()) == ["ready", "ready", "succeeded", "succeeded"]
    assert set(_rung_for()) == {str(execution.id)}


def test_a_runner_fills_its_capacity_and_no_more(scratch: Path, settings: Any) -> None:
    settings.MGE_RUNNER_CAPACITY = 3
    value = plan(*layers(8))
    with asked(settings, ModelInProcess(scratch, value, shut=True)) as model:
        execution = start(value, **STATIC)
        with RunnerThread(execution):
            model.until_waiting(3)
            model.let_through(None)

        assert model.stats()["calls"] == 8
        assert model.stats()["max_in_flight"] <= 3


# --- aborts -------------------------------------------------------------------------------------------------------------


def test_an_abort_between_an_intent_and_the_news_of_it_leaves_no_open_call(
    scratch: Path, settings: Any
) -> None:
    value = plan(adder("a"))
    with asked(settings, ModelInProcess(scratch, value)):
        execution = start(value, **STATIC)
        (claim,) = write(claiming(owner="me"))

        asyncio.run(_abort_in_mid_intent(execution, claim))

        assert AtomRun.objects.get().status == "ready"
        assert Call.objects.get().outcome == "lost"
        execution.refresh_from_db()
        assert execution.reserved_nano_usd == 0
        assert_counters_equal_rows(execution)
        run_to_rest(execution)
        assert execution.atoms_succeeded == 1


async def _abort_in_mid_intent(execution: Execution, claim: ClaimedAtom) -> None:
    executor = WaveExecutor("me", timedelta(seconds=30))
    executor.ledger.start()
    shared = await executor.reader.run(load_execution, execution.id)
    await asyncio.to_thread(executor.clients.prepare, "configured")
    (context,) = await executor.reader.run(load_atoms, shared, [claim])
    with held(execution):
        work = asyncio.create_task(executor.orchestrator.work(context))
        # It waits for the intent's commit as soon as it has rendered its prompt: nothing else makes it wait.
        await asyncio.sleep(0)
        work.cancel()
        await asyncio.sleep(0)
    await work
    await executor.ledger.close()
    await executor.reader.close()
    await executor.clients.close()


@pytest.mark.skipif(not ON_POSTGRES, reason="a database that takes no connection is PostgreSQL's")
def test_a_runner_hears_of_a_cancel_after_the_database_was_away(
    scratch: Path, settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    settings.MGE_RUNNER_CAPACITY = 1
    value = plan(*layers(2))
    with asked(settings, ModelInProcess(scratch, value, shut=True)) as model:
        execution = start(value, **STATIC)
        with _Slice():
            model.until_waiting(1)
            with database_away():
                wait_for(lambda: "cannot look for commands" in caplog.text, "it looks in vain")
            connection.close()
            cancel_execution(execution_id=execution.id, actor=None)
            model.until_waiting(0)

    assert_all_ended(execution)
    assert_counters_equal_rows(execution)


# --- trouble ------------------------------------------------------------------------------------------------------------


def test_an_execution_that_cannot_be_worked_on_ends_and_does_not_disturb_the_others(
    scratch: Path, settings: Any
) -> None:
    value = plan(*layers(2, 1))
    with asked(settings, ModelInProcess(scratch, value)):
        broken = start(plan(adder("b"), adder("c", depends_on=["b"]), name="broken"), **STATIC)
        Execution.objects.filter(pk=broken.pk).update(config={"of": "another time"})
        sound = start(value, **STATIC)

        run_to_rest(sound)
        run_to_rest(broken)

    assert sound.atoms_succeeded == 3
    assert statuses(broken) == {"b": "dead_lettered", "c": "blocked"}
    assert_all_ended(broken)
    assert_counters_equal_rows(broken)


def test_an_atom_whose_work_breaks_down_in_a_living_runner_ends_after_five_times(
    scratch: Path, settings: Any
) -> None:
    atom = adder("a")
    value = plan(atom)
    nothing = {"atom": "a", "kind": "nothing", "code": "def nothing(x):\n    return 0\n"}
    with asked(settings, ModelInProcess(scratch, value, [nothing])) as model:
        execution = start(value, validators="syntax,contract")
        # A second attempt is due, and there is no rung for it.
        Execution.objects.update(config={**execution.config, "ladder": execution.config["ladder"][:1]})

        run_to_rest(execution)

        run = AtomRun.objects.get()
        assert (run.status, run.deaths, run.attempts) == ("dead_lettered", 5, 1)
        assert model.stats()["calls"] == 1
        assert_all_ended(execution)
        assert_counters_equal_rows(execution)


def test_atoms_wait_for_an_embedded_model_that_cannot_be_started(scratch: Path, settings: Any) -> None:
    file = scratch / "file"
    file.write_text("no folder", encoding="utf-8")
    execution = start(plan(*layers(2)), **STATIC)
    settings.MGE_DATA_DIR = file
    settings.MGE_SLICE_SECONDS = 0.01

    assert run_slice() == 2

    for run in AtomRun.objects.filter(execution=execution):
        assert (run.status, run.deaths) == ("ready", 0)
        assert run.not_before is not None
    assert_counters_equal_rows(execution)


def test_a_stopping_node_gives_back_what_does_not_end_within_the_grace_time(
    scratch: Path, settings: Any
) -> None:
    settings.MGE_DRAIN_SECONDS = 0.0
    value = plan(*layers(3))
    now = datetime.now(UTC)
    node = Node.objects.create(
        id=node_id(os.getppid()),
        host="here",
        pid=1,
        version="1",
        isolation="isolated",
        started_at=now,
        heartbeat_at=now,
    )
    with asked(settings, ModelInProcess(scratch, value, shut=True)) as model:
        execution = start(value, max_concurrency=2, **STATIC)
        with _Slice():
            model.until_waiting(2)
            drain(node.id)
        assert set(statuses(execution).values()) == {"ready"}
        assert set(Call.objects.values_list("outcome", flat=True)) == {"lost"}
        assert_counters_equal_rows(execution)

        node.delete()
        model.let_through(None)
        run_to_rest(execution)

        assert execution.atoms_succeeded == 3
        assert set(AtomRun.objects.values_list("deaths", flat=True)) == {0}
        assert_all_ended(execution)
        assert_counters_equal_rows(execution)


# --- hostile text -------------------------------------------------------------------------------------------------------

NASTY = "no \0 and \ud800 in <b>this</b>"


@pytest.fixture
def nasty_server() -> Iterator[Callable[[int], str]]:
    """Servers that answer with one status and an error full of what databases cannot store."""
    servers: list[ThreadingHTTPServer] = []

    def serve(status: int) -> str:
        class Nasty(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers.get("content-length", 0)))
                error = {"type": f"bad{NASTY}", "message": f"temperature {NASTY}"}
                body = json.dumps({"type": "error", "error": error}).encode()
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                return None

        server = ThreadingHTTPServer(("127.0.0.1", 0), Nasty)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_address[1]}"

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(("status", "rests"), [(529, "completed"), (400, "paused"), (401, "paused")])
def test_an_error_that_no_database_can_store_as_it_is_is_kept_as_far_as_it_can_be(
    nasty_server: Callable[[int], str], settings: Any, status: int, rests: str
) -> None:
    settings.ANTHROPIC_BASE_URL = nasty_server(status)
    settings.MGE_MODEL = "scripted-test"
    settings.MGE_PROVIDER_MAX_FAULTS = 1
    execution = start(plan(adder("a")), **STATIC)

    run_to_rest(execution)

    assert execution.status == rests
    said = AtomRun.objects.get().error if rests == "completed" else execution.status_reason
    assert "no \ufffd and" in said
    assert Call.objects.filter(outcome="transport_error", error__contains="no \ufffd and").exists()
    assert events(execution, "call.failed")[-1].data["error_type"].startswith("badno \ufffd")
    assert_counters_equal_rows(execution)


@pytest.mark.needs_sandbox
def test_findings_that_no_database_can_store_as_they_are_reach_the_next_prompt(
    scratch: Path, settings: Any
) -> None:
    atom = adder("a")
    code = (
        "def add_a(x: int) -> int:\n    raise ValueError('no ' + chr(0) + ' and ' + chr(0xD800) + ' here')\n"
    )
    value = plan(atom)
    miss = {**wrong(atom), "code": code}
    with asked(settings, ModelInProcess(scratch, value, [miss])):
        execution = start(value, validators="full")

        run_to_rest(execution)

    assert execution.status == "completed"
    assert [attempt.status for attempt in Attempt.objects.order_by("number")] == ["rejected", "passed"]
    assert "ValueError" in Attempt.objects.get(number=2).prompt_user
