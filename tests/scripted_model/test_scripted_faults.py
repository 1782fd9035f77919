"""Faults on demand: what a client sees of each, and that they never change what an attempt is answered."""

from __future__ import annotations

import asyncio
import json
import statistics
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anthropic
import pytest
from aiohttp import ClientPayloadError, ClientSession, ServerDisconnectedError
from hypothesis import given
from hypothesis import strategies as st

from executions.scripted_model.faults import MOST_IN_A_ROW, USUAL, Fault, FaultPlan, Latency
from executions.scripted_model.serving import ServerSettings, running


@asynccontextmanager
async def failing(*kinds: Fault, answers: tuple[Path, ...] = (), **settings: Any) -> AsyncIterator[str]:
    settings = {"fault_share": 1.0, "faults": kinds, **settings}
    async with running(ServerSettings(answers=answers, **settings)) as url:
        yield url


@asynccontextmanager
async def sdk_at(url: str) -> AsyncIterator[anthropic.AsyncAnthropic]:
    async with anthropic.AsyncAnthropic(api_key="any", base_url=url, max_retries=0) as sdk:
        yield sdk


async def ask(sdk: anthropic.AsyncAnthropic, text: str = "Write it.") -> anthropic.types.Message:
    return await sdk.messages.create(model="m", max_tokens=4096, messages=[{"role": "user", "content": text}])


def body(**more: Any) -> dict[str, Any]:
    return {"model": "m", "max_tokens": 4096, "messages": [{"role": "user", "content": "x"}], **more}


@pytest.mark.parametrize(
    ("kind", "status", "error_type"),
    [
        (Fault.RATE_LIMIT, 429, "rate_limit_error"),
        (Fault.RATE_LIMIT_AFTER, 429, "rate_limit_error"),
        (Fault.SPEND_LIMIT, 429, "rate_limit_error"),
        (Fault.OVERLOADED, 529, "overloaded_error"),
        (Fault.SERVER_ERROR, 500, "api_error"),
    ],
)
async def test_an_http_error_is_one_that_the_sdk_knows(kind: Fault, status: int, error_type: str) -> None:
    async with failing(kind, retry_after=1.5) as url, sdk_at(url) as sdk:
        with pytest.raises(anthropic.APIStatusError) as caught:
            await ask(sdk)
    error = caught.value
    assert (error.status_code, error.type) == (status, error_type)
    assert error.request_id
    assert error.response.headers.get("retry-after") == ("1.5" if kind is Fault.RATE_LIMIT_AFTER else None)
    assert error.error_code == ("enforced_spend_limit_reached" if kind is Fault.SPEND_LIMIT else None)


async def test_a_disconnect_brings_nothing_of_a_plain_answer() -> None:
    async with failing(Fault.DISCONNECT) as url, ClientSession() as http, sdk_at(url) as sdk:
        with pytest.raises(ServerDisconnectedError):
            await http.post(f"{url}/v1/messages", json=body())
        with pytest.raises(anthropic.APIConnectionError):
            await ask(sdk)


async def test_a_disconnect_breaks_a_stream_off_in_the_middle() -> None:
    async with (
        failing(Fault.DISCONNECT) as url,
        ClientSession() as http,
        http.post(f"{url}/v1/messages", json=body(stream=True)) as response,
    ):
        first = await response.content.readline()
        with pytest.raises(ClientPayloadError):
            await response.read()
    assert first == b"event: message_start\n"


async def test_a_cut_body_is_no_json() -> None:
    async with failing(Fault.CUT_BODY) as url, ClientSession() as http:
        async with http.post(f"{url}/v1/messages", json=body()) as response:
            text = await response.text()
        async with http.post(f"{url}/v1/messages", json=body(stream=True)) as response:
            events = await response.text()
    with pytest.raises(json.JSONDecodeError):
        json.loads(text)
    assert "message_start" in events
    assert "message_stop" not in events


async def test_a_truncated_answer_stops_at_the_limit() -> None:
    async with failing(Fault.TRUNCATE) as url, sdk_at(url) as sdk:
        message = await ask(sdk)
    assert message.stop_reason == "max_tokens"
    assert message.usage.output_tokens == 4096


async def test_a_refusal_is_an_answer_with_its_stop_reason() -> None:
    async with failing(Fault.REFUSAL) as url, sdk_at(url) as sdk:
        message = await ask(sdk)
    assert message.stop_reason == "refusal"
    assert message.stop_details is not None


async def test_prose_has_a_block_in_another_language_first() -> None:
    async with failing(Fault.PROSE) as url, sdk_at(url) as sdk:
        message = await ask(sdk)
    (block,) = message.content
    assert block.type == "text"
    assert block.text.index("```bash") < block.text.index("```python")
    assert message.stop_reason == "end_turn"


@pytest.mark.parametrize("stream", [False, True])
async def test_a_slow_answer_comes_whole(stream: bool) -> None:
    async with failing(Fault.SLOW, slow_seconds=0.05) as url, ClientSession() as http:
        async with http.post(f"{url}/v1/messages", json=body(stream=stream)) as response:
            assert "end_turn" in await response.text()
        async with http.get(f"{url}/stats") as response:
            stats = await response.json()
    assert stats["outcomes"] == {"slow": 1}
    assert stats["complete_answers"] == 1


async def until(url: str, page: str, condition: Callable[[Any], bool]) -> Any:
    """What the page says once the condition holds of it."""
    async with ClientSession() as http, asyncio.timeout(60):
        while True:
            async with http.get(f"{url}{page}") as response:
                content = await response.json()
            if condition(content):
                return content
            await asyncio.sleep(0.01)


async def test_a_hanging_call_ends_when_the_client_leaves() -> None:
    async with failing(Fault.HANG) as url, ClientSession() as http:
        call = asyncio.create_task(http.post(f"{url}/v1/messages", json=body()))
        await until(url, "/stats", lambda stats: stats["in_flight"] == 1)
        call.cancel()
        stats = await until(url, "/stats", lambda stats: stats["in_flight"] == 0)
    assert stats["outcomes"] == {"hang": 1}


async def test_a_call_whose_client_leaves_before_the_answer_is_logged_as_abandoned() -> None:
    async with failing(fault_share=0.0, latency="600") as url, ClientSession() as http:
        call = asyncio.create_task(http.post(f"{url}/v1/messages", json=body()))
        await until(url, "/stats", lambda stats: stats["in_flight"] == 1)
        call.cancel()
        (entry,) = await until(url, "/log", bool)
    assert entry["outcome"] == "abandoned"


async def test_an_attempt_gets_its_answer_whatever_faults_come_before(make_plan: Callable[..., Path]) -> None:
    path = make_plan(atoms=1, near_misses={0: 2})
    tests = json.loads(path.read_text())["atoms"][0]["tests"]
    kinds = (Fault.RATE_LIMIT, Fault.DISCONNECT, Fault.TRUNCATE, Fault.CUT_BODY, Fault.SERVER_ERROR)
    settings: dict[str, Any] = {
        "answers": (path,),
        "near_misses": (path.with_name("plan-near-miss.json"),),
        "near_miss_share": 1.0,
    }
    async with failing(*kinds, fault_share=0.8, seed=5, **settings) as url, sdk_at(url) as sdk:
        for attempt in (1, 2, 3):
            text = f"{tests}\nAttempt {attempt}" + (" after test_adds_0 failed" if attempt > 1 else "")
            for _ in range(12):
                try:
                    await ask(sdk, text)
                except (anthropic.APIError, json.JSONDecodeError):
                    continue
        async with ClientSession() as http, http.get(f"{url}/log") as response:
            log = await response.json()
    assert [entry["index"] for entry in log] == [0] * 12 + [1] * 12 + [2] * 12
    assert sum(entry["outcome"] == "answered" for entry in log) >= 9
    assert len({entry["outcome"] for entry in log}) == 6


@given(st.floats(0.01, 0.99), st.integers(0, 100), st.integers(1, 3))
def test_no_answer_is_withheld_more_than_three_times_in_a_row(share: float, seed: int, answers: int) -> None:
    plan = FaultPlan(share=share, kinds=(Fault.OVERLOADED, Fault.RATE_LIMIT), seed=seed)
    in_a_row: Counter[int] = Counter()
    for number in range(100):
        answer = number % answers
        in_a_row[answer] = in_a_row[answer] + 1 if plan.draw(answer) else 0
        assert in_a_row[answer] <= MOST_IN_A_ROW


def test_with_a_share_of_one_every_request_fails() -> None:
    plan = FaultPlan(share=1.0, kinds=(Fault.OVERLOADED,), seed=1)
    assert all(plan.draw("x") is Fault.OVERLOADED for _ in range(50))


def test_faults_come_in_the_share_asked_for_each_kind_alike_and_the_same_again() -> None:
    plan = FaultPlan(share=0.2, kinds=USUAL, seed=1)
    drawn = [plan.draw(number) for number in range(8_000)]
    counts = Counter(drawn)
    assert abs(8_000 - counts[None] - 1_600) < 160
    assert all(abs(counts[kind] - 200) < 70 for kind in USUAL)
    plan.restart()
    assert [plan.draw(number) for number in range(8_000)] == drawn


def test_latency_has_the_median_asked_for_and_repeats() -> None:
    latency = Latency("lognormal:1.0,0.6", seed=1)
    drawn = [latency.draw() for _ in range(2_000)]
    assert abs(statistics.median(drawn) - 1.0) < 0.1
    latency.restart()
    assert latency.draw() == drawn[0]
    assert Latency("0.2", seed=1).draw() == 0.2
    assert Latency("0", seed=1).draw() == 0


@pytest.mark.parametrize(
    "spec", ["", "fast", "-1", "lognormal:1", "normal:1,2", "lognormal:1,2,3", "nan", "inf"]
)
def test_a_latency_that_says_nothing_is_an_error(spec: str) -> None:
    with pytest.raises(ValueError, match="latency"):
        Latency(spec, seed=1)
