"""Running the server: from settings to a listening port, and to its end."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

from executions.scripted_model.faults import USUAL, Fault, FaultPlan, Latency
from executions.scripted_model.ledger import RequestLedger
from executions.scripted_model.library import Library
from executions.scripted_model.processes import WatchedProcess
from executions.scripted_model.server import ScriptedModel

LIST_NAME = "scripted-answers.txt"
"""In the data directory: plan files that were made known while the server runs, one path a line."""
WATCH_SECONDS = 1.0
DRAIN_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """All that can be said on the command line."""

    answers: tuple[Path, ...]
    near_misses: tuple[Path, ...] = ()
    near_miss_share: float = 0.4
    seed: int = 1
    latency: str = "0"
    fault_share: float = 0.0
    faults: tuple[Fault, ...] = USUAL
    retry_after: float = 1.0
    """Seconds that `rate_limit_after` asks for."""
    slow_seconds: float = 2.0
    """Seconds that `slow` takes longer."""
    refuse_temperature: bool = False
    log_file: Path | None = None
    host: str = "127.0.0.1"
    port: int = 0
    """0 takes a free one."""
    port_file: Path | None = None
    """Written once the server listens: `{"port", "pid"}`; removed at its end."""
    watch_pid: int | None = None
    """The server ends with this process (and with the last of those named later by `POST /watch`)."""
    data_dir: Path | None = None
    """Where the list of plan files made known later lies."""


class _Watch:
    """The processes for which the server runs; without any it runs until it is stopped."""

    def __init__(self, pid: int | None) -> None:
        self._processes = {WatchedProcess.now(pid)} if pid is not None else set()
        self._watches = pid is not None
        self._ending = False

    def add(self, pid: int) -> bool:
        """False when the server is on its way out already."""
        if self._watches and not self._ending:
            self._processes.add(WatchedProcess.now(pid))
        return not self._ending

    async def until_all_ended(self) -> None:
        while not self._watches or self._processes:
            await asyncio.sleep(WATCH_SECONDS)
            self._processes = {process for process in self._processes if process.lives()}
        self._ending = True


async def serve(
    settings: ServerSettings, *, announce: Callable[[str], None], complain: Callable[[str], None]
) -> None:
    """Serves until SIGTERM, SIGINT or the end of the watched processes.

    `announce` gets the address, `complain` a line for every file that is left out. Raises
    `AnswersError` and ValueError for settings that cannot be used, OSError when the port is taken.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    watch = _Watch(settings.watch_pid)
    async with running(settings, watch=watch.add, complain=complain) as url:
        announce(f"scripted model at {url}")
        endings = [asyncio.create_task(stop.wait()), asyncio.create_task(watch.until_all_ended())]
        await asyncio.wait(endings, return_when=asyncio.FIRST_COMPLETED)
        for ending in endings:
            ending.cancel()


@asynccontextmanager
async def running(
    settings: ServerSettings,
    *,
    watch: Callable[[int], bool] = lambda pid: False,
    complain: Callable[[str], None] = lambda line: None,
) -> AsyncIterator[str]:
    """A server on the running loop for as long as the context lasts; its value is the base URL."""
    list_file = settings.data_dir / LIST_NAME if settings.data_dir else None
    library = Library(
        share=settings.near_miss_share, seed=settings.seed, list_file=list_file, complain=complain
    )
    library.load(settings.answers, settings.near_misses)
    latency = Latency(settings.latency, seed=settings.seed)
    ledger = RequestLedger(settings.log_file)
    model = ScriptedModel(
        library,
        faults=FaultPlan(share=settings.fault_share, kinds=settings.faults, seed=settings.seed),
        latency=latency,
        ledger=ledger,
        retry_after=settings.retry_after,
        slow_seconds=settings.slow_seconds,
        refuse_sampling=settings.refuse_temperature,
        watch=watch,
    )
    runner = web.AppRunner(
        model.application(), access_log=None, handler_cancellation=True, shutdown_timeout=DRAIN_SECONDS
    )
    await runner.setup()
    try:
        site = web.TCPSite(runner, settings.host, settings.port, backlog=1024)
        await site.start()
        port = runner.addresses[0][1]
        if settings.port_file is not None:
            _write_port_file(settings.port_file, port)
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        yield f"http://{host}:{port}"
    finally:
        if settings.port_file is not None:
            _remove_own_port_file(settings.port_file)
        await runner.cleanup()
        ledger.close()


def _write_port_file(path: Path, port: int) -> None:
    """Whole or not at all: others read it at any moment."""
    fresh = path.with_name(f"{path.name}.{os.getpid()}")
    fresh.write_text(json.dumps({"port": port, "pid": os.getpid()}), encoding="utf-8")
    fresh.replace(path)


def _remove_own_port_file(path: Path) -> None:
    """Another server may have taken the place already; its file stays."""
    try:
        if json.loads(path.read_text(encoding="utf-8"))["pid"] == os.getpid():
            path.unlink()
    except (OSError, ValueError, KeyError, TypeError):
        return
