"""The scripted model in a thread of the test's own, with a gate: answers can be held back and let go one by one."""

from __future__ import annotations

import asyncio
import json
import threading
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from aiohttp import web

from executions.scripted_model.faults import USUAL, Fault, FaultPlan, Latency
from executions.scripted_model.ledger import RequestLedger
from executions.scripted_model.library import Library
from executions.scripted_model.server import ScriptedModel
from tests.plans import write_plan
from tests.product import wait_for


class ModelInProcess:
    """`with ModelInProcess(folder, plan, …) as model:`; `model.url` speaks /v1/messages.

    While the gate is shut, calls are answered only as far as `let_through` allows; `model.waiting` says how many wait.
    """

    def __init__(
        self,
        folder: Path,
        plan: Mapping[str, Any],
        near_misses: Sequence[Mapping[str, Any]] = (),
        *,
        shut: bool = False,
        fault_share: float = 0.0,
        faults: tuple[Fault, ...] = USUAL,
        seed: int = 1,
    ) -> None:
        file = write_plan(folder, plan, near_misses)
        self._library = Library(share=1.0, seed=seed, list_file=None, complain=lambda line: None)
        self._library.load((file,), (folder / "plan-near-miss.json",))
        self._model = ScriptedModel(
            self._library,
            faults=FaultPlan(share=fault_share, kinds=faults, seed=seed),
            latency=Latency("0", seed=seed),
            ledger=RequestLedger(),
            retry_after=0.02,
            slow_seconds=0.02,
        )
        self._loop = asyncio.new_event_loop()
        self._passes: int | None = 0 if shut else None
        self._gate = asyncio.Condition()
        self._ready = threading.Event()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="model")
        self.waiting = 0
        self.url = ""

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(timeout=30)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def let_through(self, count: int | None) -> None:
        """Answer this many calls more; None: all from now on."""
        asyncio.run_coroutine_threadsafe(self._let_through(count), self._loop).result(30)

    def until_waiting(self, count: int) -> None:
        """Return once exactly this many calls wait for their answer."""
        wait_for(lambda: self.waiting == count, f"{count} calls wait for their answers")

    def stats(self) -> dict[str, Any]:
        found: dict[str, Any] = self._get("/stats")
        return found

    def attempts(self) -> dict[str, int]:
        """The attempts that each atom is expected to need."""
        found: dict[str, int] = self._get("/script")["attempts"]
        return found

    def log(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._get("/log")
        return found

    def _get(self, path: str) -> Any:
        with urllib.request.urlopen(self.url + path, timeout=30) as answer:  # noqa: S310  our own loopback server
            return json.load(answer)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._serve())
        self._loop.close()

    async def _serve(self) -> None:
        application = self._model.application()
        application.middlewares.append(self._pass_the_gate)
        runner = web.AppRunner(application, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        self._ready.set()
        await self._stop.wait()
        await self._let_through(None)
        await runner.cleanup()

    @web.middleware
    async def _pass_the_gate(self, request: web.Request, handler: Any) -> web.StreamResponse:
        if request.path == "/v1/messages":
            async with self._gate:
                self.waiting += 1
                try:
                    await self._gate.wait_for(lambda: self._passes is None or self._passes > 0)
                finally:
                    self.waiting -= 1
                if self._passes is not None:
                    self._passes -= 1
        response: web.StreamResponse = await handler(request)
        return response

    async def _let_through(self, count: int | None) -> None:
        async with self._gate:
            self._passes = None if count is None else (self._passes or 0) + count
            self._gate.notify_all()


@contextmanager
def asked(settings: Any, model: ModelInProcess) -> Iterator[ModelInProcess]:
    """The product asks this model while the block runs."""
    with model:
        settings.ANTHROPIC_BASE_URL = model.url
        settings.MGE_MODEL = "scripted-test"
        yield model
