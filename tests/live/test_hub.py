"""One tailer for all sockets of a process: when it lives, what it keeps, what wakes it."""

from __future__ import annotations

import asyncio
import threading
import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.contrib.auth.models import User
from django.db import connection

from executions.engine.wake_up import CHANNEL
from executions.live import feed
from executions.live.frames import Farewell
from executions.live.hub import KEPT_EVENTS, KEPT_EXECUTIONS, SOCKETS_PER_USER, Channel, Hub, ListChannel
from executions.live.wakers import DataVersionWaker, ListenWaker, PollWaker, Waker, waker_for_database
from executions.models import Execution
from tests.ground import SERVER_URL
from tests.live.socket_client import PATIENCE_S, Socket, append, off_loop

Begin = Callable[..., Execution]
Connect = Callable[..., Awaitable[Socket]]


class DeafWaker(Waker):
    """Every wake-up is lost."""

    def _watch(self) -> None:
        self._stopping.wait()


def live_threads() -> set[str]:
    names = ("live-read", "DataVersionWaker", "ListenWaker", "PollWaker")
    return {thread.name for thread in threading.enumerate() if thread.name.startswith(names)}


async def test_the_tailer_begins_with_the_first_socket_and_ends_with_the_last(
    ada: User, begin: Begin, connect: Connect
) -> None:
    execution = await off_loop(lambda: begin(ada))
    assert live_threads() == set()
    sockets = [await connect(f"/ws/execution/{execution.id}/", ada) for _ in range(2)]
    for socket in sockets:
        await socket.frame()
    wakers = [name for name in live_threads() if name.endswith("Waker")]
    assert len(wakers) == 1
    for socket in sockets:
        await socket.communicator.disconnect(timeout=PATIENCE_S)
    assert live_threads() == set()


async def test_what_no_wake_up_told_of_is_found_by_looking(ada: User, begin: Begin, connect: Connect) -> None:
    execution = await off_loop(lambda: begin(ada))
    hub = Hub.join("the test", waker=DeafWaker)
    try:
        socket = await connect(f"/ws/execution/{execution.id}/", ada)
        await socket.frame()
        last = await off_loop(lambda: append(execution.id))
        assert await socket.numbers_until(last) == [last]
    finally:
        await hub.leave("the test")


async def test_a_hub_is_of_one_loop_only(transactional_db: None) -> None:
    here = Hub.join("a")
    again = Hub.join("b")

    async def elsewhere() -> Hub:
        hub = Hub.join("c")
        await hub.leave("c")
        return hub

    there = await asyncio.to_thread(asyncio.run, elsewhere())
    assert here is again
    assert there is not here
    await here.leave("a")
    await here.leave("b")
    later = Hub.join("d")
    assert later is not here
    await later.leave("d")


async def test_one_user_cannot_open_sockets_without_end(transactional_db: None) -> None:
    hub = Hub.join("greedy")
    for _ in range(SOCKETS_PER_USER - 1):
        Hub.join("greedy")
    with pytest.raises(Farewell, match="too many"):
        Hub.join("greedy")
    assert Hub.join("modest") is hub
    await hub.leave("modest")
    for _ in range(SOCKETS_PER_USER):
        await hub.leave("greedy")


def page(after: int, count: int) -> feed.Page:
    events = [{"seq": seq} for seq in range(after + 1, after + count + 1)]
    return feed.Page(after, after + count, events, feed.State({"status": "running", "seq": after + count}))


def test_a_channel_gives_what_is_above_a_cursor() -> None:
    channel = Channel()
    channel.add(page(10, 0))
    channel.add(page(10, 3))
    channel.add(page(13, 2))
    taken = channel.take(12, 0)
    assert taken is not None
    assert [event["seq"] for event in taken[1].events] == [13, 14, 15]
    assert channel.take(9, 0) is None


def test_a_channel_forgets_and_then_says_so() -> None:
    channel = Channel()
    for number in range(12):
        channel.add(page(number * 1000, 1000))
    assert channel.take(100, 0) is None
    taken = channel.take(12_000 - KEPT_EVENTS, 0)
    assert taken is not None
    assert len(taken[1].events) == KEPT_EVENTS


def test_the_list_gives_the_newest_change_of_each_and_says_when_it_forgot() -> None:
    channel = ListChannel()
    channel.add([{"id": str(uuid.uuid4()), "status": "running", "n": 0}])
    ids = [str(uuid.uuid4()) for _ in range(KEPT_EXECUTIONS)]
    channel.add([{"id": one, "status": "running", "n": 1} for one in ids])
    seen = channel.version
    channel.add([{"id": ids[5], "status": "completed", "n": 2}])
    channel.add([{"id": ids[5], "status": "completed", "n": 2}])
    assert channel.take(seen) == [{"id": ids[5], "status": "completed", "n": 2}]
    assert channel.active == frozenset()
    assert channel.take(0) is None


class Bell:
    """Counts wake-ups and can be waited for."""

    def __init__(self) -> None:
        self._rung = threading.Event()

    def __call__(self) -> None:
        self._rung.set()

    def waits_for(self, cause: Callable[[], Any]) -> bool:
        """Whether it rings after `cause`, having been quiet before."""
        assert self._rung.wait(PATIENCE_S), "a waker wakes once it watches"
        self._rung.clear()
        cause()
        return self._rung.wait(PATIENCE_S)


def test_sqlite_wakes_at_a_commit_of_another_connection(tmp_path: Path) -> None:
    import sqlite3
    from contextlib import closing

    with closing(sqlite3.connect(tmp_path / "some.sqlite3", isolation_level=None)) as writer:
        writer.execute("PRAGMA journal_mode=WAL")
        writer.execute("CREATE TABLE t (x)")
        bell = Bell()
        waker = DataVersionWaker(bell, tmp_path / "some.sqlite3")
        waker.start()
        try:
            assert bell.waits_for(lambda: writer.execute("INSERT INTO t VALUES (1)"))
        finally:
            waker.stop()


def test_sqlite_waits_for_a_file_that_is_not_there_yet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sqlite3
    from contextlib import closing

    monkeypatch.setattr("executions.live.wakers.RECONNECT_S", 0.01)
    bell = Bell()
    waker = DataVersionWaker(bell, tmp_path / "later.sqlite3")
    waker.start()
    try:

        def create() -> None:
            with closing(sqlite3.connect(tmp_path / "later.sqlite3", isolation_level=None)) as writer:
                writer.execute("CREATE TABLE t (x)")

        assert bell.waits_for(create)
    finally:
        waker.stop()


def test_without_either_the_clock_wakes() -> None:
    bell = Bell()
    waker = PollWaker(bell)
    waker.start()
    try:
        assert bell.waits_for(lambda: None)
    finally:
        waker.stop()


@pytest.mark.needs_postgres
def test_postgres_wakes_at_the_writers_commit_and_not_before() -> None:
    bell = Bell()
    waker = ListenWaker(bell, {"conninfo": SERVER_URL})
    waker.start()
    try:
        with psycopg.connect(SERVER_URL) as writer:

            def announce() -> None:
                writer.execute("SELECT pg_notify(%s, '')", [CHANNEL])
                writer.commit()

            assert bell.waits_for(announce)
    finally:
        waker.stop()


@pytest.mark.needs_postgres
def test_postgres_is_listened_to_again_after_the_connection_broke(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("executions.live.wakers.RECONNECT_S", 0.01)
    bell = Bell()
    waker = ListenWaker(bell, {"conninfo": SERVER_URL, "application_name": "live-feed-test"})
    waker.start()
    try:
        with psycopg.connect(SERVER_URL, autocommit=True) as other:
            cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'live-feed-test'"
            assert bell.waits_for(lambda: other.execute(cut))
            assert bell.waits_for(lambda: other.execute("SELECT pg_notify(%s, '')", [CHANNEL]))
    finally:
        waker.stop()


def test_the_database_of_the_settings_has_its_own_waker(transactional_db: None, begin: Begin) -> None:
    bell = Bell()
    waker = waker_for_database(bell)
    assert type(waker) is (ListenWaker if connection.vendor == "postgresql" else DataVersionWaker)
    execution = begin(None)
    waker.start()
    try:
        assert bell.waits_for(lambda: append(execution.id))
    finally:
        waker.stop()
