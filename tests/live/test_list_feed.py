"""The feed of the list: every execution that the user may see, and no other."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from django.contrib.auth.models import User

from executions.live.consumers import ListFeed
from executions.live.routing import Identified, feed_route
from executions.live.sockets import Pace
from executions.models import Execution
from executions.services.control import cancel_execution, pause_execution
from tests.live.socket_client import Socket, append, off_loop

Begin = Callable[..., Execution]
Connect = Callable[..., Awaitable[Socket]]


def told(frame: dict[str, Any]) -> list[tuple[str, str]]:
    return [(one["id"], one["status"]) for one in frame["executions"]]


async def test_hello_holds_what_the_user_may_see_newest_first(
    ada: User, grace: User, begin: Begin, connect: Connect
) -> None:
    first = await off_loop(lambda: begin(ada, name="first"))
    await off_loop(lambda: begin(grace, name="hers"))
    second = await off_loop(lambda: begin(ada, name="second"))
    hello = await (await connect("/ws/executions/", ada)).frame()
    assert [one["id"] for one in hello["snapshot"]["executions"]] == [str(second.id), str(first.id)]
    assert hello["snapshot"]["executions"][0]["masterplan"] == "second"


async def test_a_change_is_told_to_those_who_may_see_it_only(
    ada: User, grace: User, begin: Begin, connect: Connect
) -> None:
    of_ada = await off_loop(lambda: begin(ada, name="adas"))
    of_grace = await off_loop(lambda: begin(grace, name="graces"))
    sockets = {user: await connect("/ws/executions/", user) for user in (ada, grace)}
    for socket in sockets.values():
        await socket.frame()
    await off_loop(lambda: pause_execution(execution_id=of_ada.id, actor=ada))
    assert told(await sockets[ada].frame()) == [(str(of_ada.id), "paused")]
    await off_loop(lambda: pause_execution(execution_id=of_grace.id, actor=grace))
    # The first that grace hears is her own: ada's change, which came before, was never sent to her.
    assert told(await sockets[grace].frame()) == [(str(of_grace.id), "paused")]


async def test_an_execution_started_later_appears_and_its_end_is_told(
    ada: User, begin: Begin, connect: Connect
) -> None:
    socket = await connect("/ws/executions/", ada)
    assert (await socket.frame())["snapshot"]["executions"] == []
    execution = await off_loop(lambda: begin(ada))
    assert told(await socket.frame()) == [(str(execution.id), "pending")]
    await off_loop(lambda: cancel_execution(execution_id=execution.id, actor=ada))
    assert told(await socket.frame()) == [(str(execution.id), "cancelled")]


async def test_a_plan_without_atoms_that_ends_at_once_is_told(
    ada: User, begin: Begin, connect: Connect
) -> None:
    socket = await connect("/ws/executions/", ada)
    await socket.frame()
    execution = await off_loop(lambda: begin(ada, 0))
    assert told(await socket.frame()) == [(str(execution.id), "completed")]


async def test_a_right_that_was_taken_away_is_noticed_at_the_next_check(
    ada: User, grace: User, begin: Begin, connect: Connect
) -> None:
    from channels.routing import URLRouter

    class Paced(ListFeed):
        pace = Pace(recheck=0.0, frame_every=0.0)

    execution = await off_loop(lambda: begin(ada, name="moves"))
    other = await off_loop(lambda: begin(ada, name="stays"))
    socket = await connect(
        "/ws/executions/", ada, app=Identified(URLRouter([feed_route("ws/executions/", Paced)]))
    )
    await socket.frame()
    await off_loop(lambda: append(execution.id))
    assert [one for one, _ in told(await socket.frame())] == [str(execution.id)]
    await off_loop(lambda: Execution.objects.filter(pk=execution.id).update(owner=grace))
    await off_loop(lambda: append(execution.id))
    await off_loop(lambda: append(other.id))
    assert [one for one, _ in told(await socket.frame())] == [str(other.id)]


async def test_staff_sees_every_change(ada: User, begin: Begin, connect: Connect) -> None:
    def promote() -> Execution:
        User.objects.filter(pk=ada.pk).update(is_staff=True)
        return begin(None)

    execution = await off_loop(promote)
    socket = await connect("/ws/executions/", ada)
    assert [one["id"] for one in (await socket.frame())["snapshot"]["executions"]] == [str(execution.id)]


async def test_whoever_is_not_signed_in_gets_no_list(transactional_db: None, connect: Connect) -> None:
    assert await (await connect("/ws/executions/")).close_code() == 4401
