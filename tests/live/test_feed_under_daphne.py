"""The feed as users have it: a real web process, sockets over the network, events of the real writer."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Iterator

import aiohttp
import pytest
from django.contrib.auth.models import User

from executions.models import Execution
from executions.services.control import cancel_execution
from tests.live.socket_client import append, cookie_of, off_loop
from tests.live.web_process import WebProcess, open_socket

Begin = Callable[..., Execution]


@pytest.fixture
def web(transactional_db: None) -> Iterator[WebProcess]:
    with WebProcess() as process:
        yield process


async def test_a_socket_that_is_idle_for_longer_than_seven_seconds_lives_on(
    ada: User, begin: Begin, web: WebProcess
) -> None:
    execution = await off_loop(lambda: begin(ada))
    cookie = await off_loop(lambda: cookie_of(ada))
    async with open_socket(web, f"/ws/execution/{execution.id}/", cookie) as socket:
        assert (await socket.frame())["type"] == "hello"
        with pytest.raises(TimeoutError):
            # Five seconds is where an idle consumer of a Redis channel layer breaks.
            await socket.socket.receive(timeout=7.5)
        last = await off_loop(lambda: append(execution.id))
        assert await socket.events() == [last]


async def test_clients_that_are_cut_off_again_and_again_see_every_event_once(
    ada: User, begin: Begin, web: WebProcess
) -> None:
    execution = await off_loop(lambda: begin(ada))
    cookie = await off_loop(lambda: cookie_of(ada))
    cuts = [0] * 4
    cut = asyncio.Event()

    async def write() -> None:
        sizes = itertools.cycle([1, 5, 1, 60, 2, 1, 1, 17])
        while min(cuts) < 4:
            await off_loop(lambda: append(execution.id, next(sizes)))
            await cut.wait()
            cut.clear()
        await off_loop(lambda: cancel_execution(execution_id=execution.id, actor=ada))

    async def follow(number: int) -> list[int]:
        seen: list[int] = []
        while True:
            async with open_socket(web, f"/ws/execution/{execution.id}/?after={len(seen)}", cookie) as socket:
                left = 1 + number % 3
                while left:
                    frame = await socket.frame()
                    if frame["type"] == "final":
                        assert frame["seq"] == len(seen)
                        return seen
                    seen += [event["seq"] for event in frame.get("events", [])]
                    left -= bool(frame.get("events"))
            cuts[number] += 1
            cut.set()

    *everything, _ = await asyncio.gather(*(follow(number) for number in range(len(cuts))), write())
    last = await off_loop(lambda: Execution.objects.get(pk=execution.id).seq)
    for seen in everything:
        assert seen == list(range(1, last + 1))


async def test_a_killed_web_process_costs_no_event(ada: User, begin: Begin) -> None:
    execution = await off_loop(lambda: begin(ada))
    cookie = await off_loop(lambda: cookie_of(ada))
    seen: list[int] = []
    for _ in range(2):
        with WebProcess() as web:
            async with open_socket(web, f"/ws/execution/{execution.id}/?after={len(seen)}", cookie) as socket:
                last = await off_loop(lambda: append(execution.id, 5))
                while len(seen) < last:
                    seen += await socket.events()
        await off_loop(lambda: append(execution.id, 3))
    assert seen == list(range(1, last + 1))


async def test_another_user_sees_neither_the_feed_nor_the_list(
    ada: User, grace: User, begin: Begin, web: WebProcess
) -> None:
    execution = await off_loop(lambda: begin(ada))
    cookie = await off_loop(lambda: cookie_of(grace))
    async with open_socket(web, f"/ws/execution/{execution.id}/?after=0", cookie) as socket:
        assert (await socket.frame())["type"] == "denied"
        assert (await socket.socket.receive()).type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED)
        assert socket.socket.close_code == 4404
    async with open_socket(web, "/ws/executions/", cookie) as socket:
        assert (await socket.frame())["snapshot"]["executions"] == []
        await off_loop(lambda: cancel_execution(execution_id=execution.id, actor=ada))
        hers = await off_loop(lambda: begin(grace, name="hers"))
        assert [one["id"] for one in (await socket.frame())["executions"]] == [str(hers.id)]


@pytest.mark.parametrize("origin", ["https://elsewhere.example", "null"])
async def test_a_page_of_another_site_is_refused_at_the_handshake(
    origin: str, ada: User, begin: Begin, web: WebProcess
) -> None:
    execution = await off_loop(lambda: begin(ada))
    cookie = await off_loop(lambda: cookie_of(ada))
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        async with open_socket(web, f"/ws/execution/{execution.id}/", cookie, origin=origin):
            pass
    assert refused.value.status == 403


async def test_an_unknown_address_leaves_no_error_in_the_log(web: WebProcess, transactional_db: None) -> None:
    async with open_socket(web, "/ws/nothing/", "none=1") as socket:
        assert (await socket.frame())["code"] == 4404
    log = web.log()
    assert "Traceback" not in log
    assert "Error" not in log
