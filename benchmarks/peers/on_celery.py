"""Celery: one worker with a pool of threads, a group per wave; a Redis of its own as broker and for results."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import sys
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager

import redis
from celery import group

from benchmarks.atom_work import Done, WorkPlan
from benchmarks.peers.executor import Given, RunPlan, child

START_S = 60.0
LONGEST_WAVE_S = 900.0
LOOK_S = 0.02
"""Left to itself the client looks for results twice a second, and each wave would end that late."""


@asynccontextmanager
async def executor(given: Given) -> AsyncIterator[RunPlan]:
    with _redis(given) as broker:
        os.environ.update(PEERS_BROKER=broker, PEERS_MODEL=given.url)
        from benchmarks.peers.celery_app import app, write_atom  # reads the environment

        def run_blocking(plan: WorkPlan) -> Mapping[str, Done]:
            done: dict[str, Done] = {}
            for wave in plan.waves:
                queued = group(write_atom.s(dict(plan.atoms[key])) for key in wave).apply_async()
                done.update(zip(wave, queued.get(timeout=LONGEST_WAVE_S, interval=LOOK_S), strict=True))
                queued.forget()
            return done

        async def run(plan: WorkPlan) -> Mapping[str, Done]:
            return await asyncio.to_thread(run_blocking, plan)

        command = [sys.executable, "-m", "celery", "-A", "benchmarks.peers.celery_app", "worker"]
        command += ["--pool", "threads", "--concurrency", str(given.concurrency), "--loglevel", "WARNING"]
        with child(command, given):
            deadline = time.monotonic() + START_S
            while not app.control.ping(timeout=0.5):
                if time.monotonic() > deadline:
                    raise RuntimeError("Celery's worker did not start")
            yield run


@contextmanager
def _redis(given: Given) -> Iterator[str]:
    """The URL of a server that keeps what it is told in its append-only file."""
    program = shutil.which("redis-server")
    if program is None:
        raise RuntimeError("redis-server is not installed (Debian: redis-server)")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        program,
        "--bind",
        "127.0.0.1",
        "--port",
        str(port),
        "--appendonly",
        "yes",
        "--loglevel",
        "warning",
    ]
    with child(command, given), redis.Redis(port=port) as client:
        deadline = time.monotonic() + START_S
        while True:
            try:
                client.ping()
                break
            except redis.ConnectionError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)
        yield f"redis://127.0.0.1:{port}/0"
