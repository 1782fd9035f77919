"""The feed of one execution: who sees it, what a replay is worth, how it ends."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.contrib.sessions.models import Session
from hypothesis import given
from hypothesis import strategies as st

from executions.engine.transaction import open_transaction
from executions.live import feed
from executions.live.consumers import ExecutionFeed
from executions.live.routing import Identified, feed_route
from executions.live.sockets import Pace
from executions.models import Event, Execution, Masterplan
from executions.services.control import cancel_execution, pause_execution
from executions.services.reports import event_json
from tests.live.socket_client import PATIENCE_S, Socket, append, off_loop

Begin = Callable[..., Execution]
Connect = Callable[..., Awaitable[Socket]]


def with_pace(**times: Any) -> Any:
    """The feed's application with other times."""
    from channels.routing import URLRouter

    class Paced(ExecutionFeed):
        pace = Pace(**times)

    return Identified(URLRouter([feed_route("ws/execution/<uuid:execution_id>/", Paced)]))


async def test_hello_holds_the_whole_state_and_its_number(ada: User, begin: Begin, connect: Connect) -> None:
    execution = await off_loop(lambda: begin(ada, 2, 1))
    socket = await connect(f"/ws/execution/{execution.id}/", ada)
    hello = await socket.frame()
    assert hello["type"] == "hello"
    assert hello["seq"] == hello["after"] == execution.seq
    assert hello["snapshot"]["execution"]["status"] == "pending"
    assert [wave["atoms_total"] for wave in hello["snapshot"]["waves"]] == [2, 1]
    assert [(atom[0], atom[2]) for atom in hello["snapshot"]["atoms"]] == [
        (f"a{k}", "pending") for k in ("1.0", "1.1", "2.0")
    ]


async def test_events_are_those_of_the_event_log_with_the_state_they_lead_to(
    ada: User, begin: Begin, connect: Connect
) -> None:
    execution = await off_loop(lambda: begin(ada))
    socket = await connect(f"/ws/execution/{execution.id}/?after=0", ada)
    await socket.frame()
    await off_loop(lambda: cancel_execution(execution_id=execution.id, actor=ada, why="enough"))
    seen: list[dict[str, Any]] = []
    atoms: dict[str, Any] = {}
    while True:
        frame = await socket.frame()
        if frame["type"] == "final":
            break
        seen += frame["events"]
        atoms |= {atom[0]: atom for atom in frame["state"]["atoms"]}
        state = frame["state"]
    stored = await off_loop(
        lambda: [event_json(one) for one in Event.objects.filter(execution=execution).order_by("seq")]
    )
    assert seen == stored
    assert frame == {"type": "final", "seq": stored[-1]["seq"], "status": "cancelled"}
    after = await off_loop(lambda: feed.read_snapshot(execution.id))
    assert state["execution"] == after.state.execution
    assert sorted(atoms.values()) == sorted([list(atom) for atom in after.state.atoms])


async def test_a_replay_begins_right_after_the_number_asked_for(
    ada: User, begin: Begin, connect: Connect
) -> None:
    execution = await off_loop(lambda: begin(ada))
    last = await off_loop(lambda: append(execution.id, 2500))
    socket = await connect(f"/ws/execution/{execution.id}/?after=700", ada)
    assert await socket.numbers_until(last) == list(range(701, last + 1))


async def test_nothing_is_missed_or_doubled_while_a_writer_appends(
    ada: User, begin: Begin, connect: Connect
) -> None:
    execution = await off_loop(lambda: begin(ada))

    cut = asyncio.Event()

    async def write() -> None:
        for size in (1, 3, 40, 1, 1, 200, 2, 5, 1, 1):
            await off_loop(lambda size=size: append(execution.id, size))
            await cut.wait()
            cut.clear()
        await off_loop(lambda: cancel_execution(execution_id=execution.id, actor=ada))

    async def follow_and_be_cut_off() -> list[int]:
        seen: list[int] = []
        while True:
            socket = await connect(f"/ws/execution/{execution.id}/?after={len(seen)}", ada)
            frame = await socket.until(lambda frame: frame["type"] in ("events", "final"))
            await socket.communicator.disconnect(timeout=PATIENCE_S)
            if frame["type"] == "final":
                return seen
            seen += [event["seq"] for event in frame["events"]]
            cut.set()

    steady = await connect(f"/ws/execution/{execution.id}/?after=0", ada)
    seen, _ = await asyncio.gather(follow_and_be_cut_off(), write())
    last = await off_loop(lambda: Execution.objects.get(pk=execution.id).seq)
    assert seen == list(range(1, last + 1))
    assert await steady.numbers_until(last) == seen


async def test_two_sockets_of_one_execution_see_the_same(ada: User, begin: Begin, connect: Connect) -> None:
    execution = await off_loop(lambda: begin(ada))
    sockets = [await connect(f"/ws/execution/{execution.id}/", ada) for _ in range(2)]
    for socket in sockets:
        await socket.frame()
    last = await off_loop(lambda: append(execution.id, 3))
    assert [await socket.numbers_until(last) for socket in sockets] == [[last - 2, last - 1, last]] * 2


async def test_totals_that_change_without_an_event_are_told(
    ada: User, begin: Begin, connect: Connect
) -> None:
    execution = await off_loop(lambda: begin(ada))
    socket = await connect(f"/ws/execution/{execution.id}/", ada)
    await socket.frame()

    def spend() -> None:
        with open_transaction(execution.id) as unit:
            unit.executions[execution.id].add("cost_nano_usd", 1_500_000)

    await off_loop(spend)
    frame = await socket.frame()
    assert (frame["events"], frame["seq"]) == ([], execution.seq)
    assert frame["state"]["execution"]["cost_usd"] == 0.0015


@pytest.mark.parametrize("which", ["unknown", "another's", "nobody's"])
async def test_what_a_user_may_not_see_does_not_exist(
    which: str, ada: User, grace: User, begin: Begin, connect: Connect
) -> None:
    owner = {"another's": ada, "nobody's": None, "unknown": ada}[which]
    execution = await off_loop(lambda: begin(owner))
    socket = await connect(f"/ws/execution/{uuid.uuid4() if which == 'unknown' else execution.id}/", grace)
    assert await socket.frame() == {"type": "denied", "code": 4404, "reason": "no such execution"}
    assert await socket.close_code() == 4404


async def test_a_member_of_the_plans_team_sees_it(
    ada: User, grace: User, begin: Begin, connect: Connect
) -> None:
    def share() -> Execution:
        team = Group.objects.create(name="makers")
        grace.groups.add(team)
        execution = begin(ada)
        Execution.objects.filter(pk=execution.id).update(team=team)
        Masterplan.objects.filter(pk=execution.masterplan_id).update(team=team)
        return execution

    execution = await off_loop(share)
    socket = await connect(f"/ws/execution/{execution.id}/", grace)
    assert (await socket.frame())["type"] == "hello"


async def test_whoever_is_not_signed_in_is_told_so(ada: User, begin: Begin, connect: Connect) -> None:
    execution = await off_loop(lambda: begin(ada))
    socket = await connect(f"/ws/execution/{execution.id}/")
    assert (await socket.frame())["code"] == 4401
    assert await socket.close_code() == 4401


@pytest.mark.parametrize("origin", ["https://elsewhere.example", None])
async def test_another_origin_is_refused(
    origin: str | None, ada: User, begin: Begin, connect: Connect
) -> None:
    execution = await off_loop(lambda: begin(ada))
    with pytest.raises(ConnectionRefusedError):
        await connect(f"/ws/execution/{execution.id}/", ada, origin=origin)


@pytest.mark.parametrize("path", ["/ws/", "/ws/execution/no-uuid/", "/", "/ws/executions"])
async def test_an_unknown_address_is_closed_with_a_code(path: str, connect: Connect) -> None:
    socket = await connect(path)
    assert await socket.close_code() == 4404


@pytest.mark.parametrize(
    "query", ["after=x", "after=-1", "after=1&after=2", "after=99999999999999999999", "after=%C2%B2"]
)
async def test_a_cursor_that_is_no_number_is_refused(
    query: str, ada: User, begin: Begin, connect: Connect
) -> None:
    execution = await off_loop(lambda: begin(ada))
    socket = await connect(f"/ws/execution/{execution.id}/?{query}", ada)
    assert await socket.close_code() == 4400


async def test_signing_out_ends_the_socket_at_the_next_check(
    ada: User, begin: Begin, connect: Connect
) -> None:
    execution = await off_loop(lambda: begin(ada))
    socket = await connect(f"/ws/execution/{execution.id}/", ada, app=with_pace(recheck=0.05))
    await socket.frame()
    await off_loop(lambda: Session.objects.all().delete())
    assert (await socket.until(lambda frame: frame["type"] == "bye"))["code"] == 4401
    assert await socket.close_code() == 4401


async def test_losing_the_right_to_see_ends_the_socket_at_the_next_check(
    ada: User, grace: User, begin: Begin, connect: Connect
) -> None:
    execution = await off_loop(lambda: begin(ada))
    socket = await connect(f"/ws/execution/{execution.id}/", ada, app=with_pace(recheck=0.05))
    await socket.frame()
    await off_loop(lambda: Execution.objects.filter(pk=execution.id).update(owner=grace))
    assert (await socket.until(lambda frame: frame["type"] == "bye"))["code"] == 4404


async def test_a_quiet_socket_beats_its_heart(ada: User, begin: Begin, connect: Connect) -> None:
    execution = await off_loop(lambda: begin(ada))
    socket = await connect(f"/ws/execution/{execution.id}/", ada, app=with_pace(heartbeat=0.05))
    await socket.frame()
    assert (await socket.until(lambda frame: frame["type"] == "heartbeat"))["seq"] == execution.seq


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        ({"type": "dance"}, "unknown_type"),
        ({"seq": 1}, "bad_frame"),
        ("no json", "bad_frame"),
        ("[" * 3000, "bad_frame"),
        ([1], "bad_frame"),
        ({"type": "ack"}, "bad_frame"),
        ({"type": "ack", "seq": "1"}, "bad_frame"),
        ({"type": "ack", "seq": True}, "bad_frame"),
        ({"type": "ack", "seq": -1}, "bad_frame"),
    ],
)
async def test_a_frame_that_is_not_understood_gets_an_error_and_the_feed_goes_on(
    frame: Any, code: str, ada: User, begin: Begin, connect: Connect
) -> None:
    execution = await off_loop(lambda: begin(ada))
    socket = await connect(f"/ws/execution/{execution.id}/", ada)
    await socket.frame()
    await socket.say(frame)
    assert (await socket.frame())["code"] == code
    last = await off_loop(lambda: append(execution.id))
    assert await socket.numbers_until(last) == [last]


async def test_a_client_that_does_not_acknowledge_its_window_gets_nothing_more_until_it_does(
    ada: User, begin: Begin, connect: Connect
) -> None:
    execution = await off_loop(lambda: begin(ada))
    socket = await connect(
        f"/ws/execution/{execution.id}/", ada, app=with_pace(window=2, frame_every=0.0, heartbeat=0.3)
    )
    await socket.frame()
    await socket.say({"type": "ack", "seq": execution.seq})
    for _ in range(2):
        last = await off_loop(lambda: append(execution.id))
        assert await socket.numbers_until(last) == [last]
    held_back = await off_loop(lambda: append(execution.id, 5))
    assert (await socket.frame())["type"] == "heartbeat"
    await socket.say({"type": "ack", "seq": last})
    assert await socket.numbers_until(held_back) == list(range(last + 1, held_back + 1))


async def test_a_client_that_stops_acknowledging_is_sent_away(
    ada: User, begin: Begin, connect: Connect
) -> None:
    execution = await off_loop(lambda: begin(ada))
    socket = await connect(f"/ws/execution/{execution.id}/", ada, app=with_pace(window=1, patience=0.05))
    await socket.frame()
    await socket.say({"type": "ack", "seq": execution.seq})
    await off_loop(lambda: append(execution.id))
    assert await socket.close_code() == 4408


async def test_too_many_frames_end_the_socket(ada: User, begin: Begin, connect: Connect) -> None:
    execution = await off_loop(lambda: begin(ada))
    socket = await connect(
        f"/ws/execution/{execution.id}/", ada, app=with_pace(inbound_burst=3.0, inbound_rate=0.0)
    )
    await socket.frame()
    for _ in range(4):
        await socket.say({"type": "ack", "seq": 1})
    assert await socket.close_code() == 4429


async def test_too_large_a_frame_ends_the_socket(ada: User, begin: Begin, connect: Connect) -> None:
    execution = await off_loop(lambda: begin(ada))
    socket = await connect(f"/ws/execution/{execution.id}/", ada)
    await socket.frame()
    await socket.say({"type": "ack", "seq": 1, "padding": "x" * 5000})
    assert await socket.close_code() == 4413


async def test_a_cursor_beyond_the_last_event_is_answered_with_the_state(
    ada: User, begin: Begin, connect: Connect
) -> None:
    execution = await off_loop(lambda: begin(ada))
    socket = await connect(f"/ws/execution/{execution.id}/?after=1000", ada)
    assert (await socket.frame())["type"] == "hello"
    resync = await socket.frame()
    assert (resync["type"], resync["seq"], len(resync["snapshot"]["atoms"])) == ("resync", execution.seq, 3)
    last = await off_loop(lambda: append(execution.id))
    assert await socket.numbers_until(last) == [last]


async def test_a_client_that_takes_snapshots_is_spared_a_long_replay(
    ada: User, begin: Begin, connect: Connect
) -> None:
    execution = await off_loop(lambda: begin(ada))
    last = await off_loop(lambda: append(execution.id, 5100))
    socket = await connect(f"/ws/execution/{execution.id}/?after=1&resync=1", ada)
    await socket.frame()
    assert (await socket.frame())["seq"] == last


async def test_events_that_are_kept_no_longer_are_answered_with_the_state(
    ada: User, begin: Begin, connect: Connect
) -> None:
    execution = await off_loop(lambda: begin(ada))

    def prune() -> int:
        last = append(execution.id, 20)
        Event.objects.filter(execution=execution, seq__lte=10).delete()
        return last

    last = await off_loop(prune)
    socket = await connect(f"/ws/execution/{execution.id}/?after=3", ada)
    await socket.frame()
    resync = await socket.frame()
    assert (resync["type"], resync["seq"]) == ("resync", last)


async def test_the_end_is_told_again_after_reopening(ada: User, begin: Begin, connect: Connect) -> None:
    execution = await off_loop(lambda: begin(ada))
    await off_loop(lambda: cancel_execution(execution_id=execution.id, actor=ada))
    socket = await connect(f"/ws/execution/{execution.id}/", ada)
    await socket.frame()
    first = await socket.frame()
    assert first["type"] == "final"
    last = await off_loop(lambda: append(execution.id))
    second = await socket.until(lambda frame: frame["type"] == "final")
    assert second["seq"] == last == first["seq"] + 1


async def test_a_pause_arrives_with_who_and_why(ada: User, begin: Begin, connect: Connect) -> None:
    execution = await off_loop(lambda: begin(ada))
    socket = await connect(f"/ws/execution/{execution.id}/", ada)
    await socket.frame()
    await off_loop(lambda: pause_execution(execution_id=execution.id, actor=ada, why="lunch"))
    frame = await socket.frame()
    assert frame["events"][0]["type"] == "control.pause"
    assert frame["events"][0]["data"] == {"what": "pause", "who": "ada", "why": "lunch"}
    assert frame["state"]["execution"]["status"] == "paused"


def test_a_feed_without_a_rule_of_visibility_does_not_start() -> None:
    from django.core.exceptions import ImproperlyConfigured

    from executions.live.sockets import FeedSocket

    with pytest.raises(ImproperlyConfigured, match="no rule of visibility"):
        type("Leak", (FeedSocket,), {})


def _page(after: int, seqs: list[int], head: int) -> feed.Page:
    atoms = [(f"a{seq % 3}", 1, f"at {seq}", 0, "") for seq in seqs]
    state = feed.State({"status": "running", "at": seqs[-1] if seqs else after}, (), atoms)
    return feed.Page(after, head, [{"seq": seq} for seq in seqs], state)


@given(sizes=st.lists(st.integers(0, 5), min_size=1, max_size=8), data=st.data())
def test_merged_pages_are_every_event_above_the_cursor_once_with_the_newest_state(
    sizes: list[int], data: st.DataObject
) -> None:
    start, pages = 10, []
    for size in sizes:
        pages.append(_page(start, list(range(start + 1, start + size + 1)), start + size))
        start += size
    after = data.draw(st.integers(10, start))
    merged = feed.merge(pages, after)
    assert merged is not None
    assert [event["seq"] for event in merged.events] == list(range(after + 1, start + 1))
    for key, _, status, _, _ in merged.state.atoms:
        assert status == f"at {max(seq for seq in range(11, start + 1) if f'a{seq % 3}' == key)}"


@given(missing=st.integers(1, 5))
def test_pages_that_do_not_reach_back_to_the_cursor_are_not_merged(missing: int) -> None:
    assert feed.merge([_page(10, [11, 12], 12)], 10 - missing) is None
