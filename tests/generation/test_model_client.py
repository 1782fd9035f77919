"""The client against a real server on a loopback port; the server stands in for the model, nothing else."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from executions.generation.capabilities import Capabilities
from executions.generation.client import Endpoint, FaultKind, ModelClient, ModelRequest, ProviderFault

ROOT = Path(__file__).resolve().parents[2]
KEY = "sk-test-0123456789abcdef"

Answer = Callable[["Server", web.Request, dict[str, Any]], Awaitable[web.StreamResponse]]


def message(text: str = "hello", **changes: Any) -> dict[str, Any]:
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "some-model",
        "content": [{"type": "text", "text": text}],
        "stop_reason": "end_turn",
        "usage": {"input_tokens": 12, "output_tokens": 3},
        **changes,
    }


def error(kind: str, text: str, **more: Any) -> dict[str, Any]:
    return {"type": "error", "error": {"type": kind, "message": text, **more}}


@dataclass
class Server:
    answer: Answer
    url: str = ""
    bodies: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    hung_up: asyncio.Event = field(default_factory=asyncio.Event)
    reached: asyncio.Event = field(default_factory=asyncio.Event)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        self.bodies.append(body)
        self.headers.append({name.lower(): value for name, value in request.headers.items()})
        self.reached.set()
        return await self.answer(self, request, body)


@asynccontextmanager
async def serving(answer: Answer, port: int = 0) -> AsyncIterator[Server]:
    server = Server(answer)
    app = web.Application()
    app.router.add_post("/v1/messages", server.handle)
    runner = web.AppRunner(app, handler_cancellation=True)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port)
    await site.start()
    server.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield server
    finally:
        await runner.cleanup()


@asynccontextmanager
async def connected(answer: Answer) -> AsyncIterator[tuple[Server, ModelClient]]:
    async with serving(answer) as server:
        client = ModelClient(Endpoint("test", server.url, KEY))
        try:
            yield server, client
        finally:
            await client.close()


def asking(**changes: Any) -> ModelRequest:
    values: dict[str, Any] = {
        "model": "some-model",
        "system": "rules",
        "user": "task",
        "max_tokens": 50_000,
        "temperature": 0.7,
        "effort": None,
        "timeout_s": 20.0,
        **changes,
    }
    return ModelRequest(**values)


def always(body: object, status: int = 200, headers: dict[str, str] | None = None) -> Answer:
    async def answer(server: Server, request: web.Request, asked: dict[str, Any]) -> web.StreamResponse:
        return web.json_response(body, status=status, headers=headers)

    return answer


async def fault_of(answer: Answer, **changes: Any) -> ProviderFault:
    async with connected(answer) as (_, client):
        with pytest.raises(ProviderFault) as caught:
            await client.complete(asking(**changes))
    return caught.value


async def test_an_answer_comes_back_with_its_usage_and_request_id() -> None:
    usage = {
        "input_tokens": 12,
        "output_tokens": 3,
        "cache_read_input_tokens": 100,
        "cache_creation_input_tokens": 40,
        "service_tier": "standard",
    }
    headers = {"request-id": "req_7"}
    async with connected(always(message("code", usage=usage), headers=headers)) as (server, client):
        answer = await client.complete(asking())
    assert (answer.text, answer.stop_reason, answer.model) == ("code", "end_turn", "some-model")
    assert answer.request_id == "req_7"
    assert answer.usage.raw == usage
    counted = answer.usage
    assert (counted.input_tokens, counted.output_tokens) == (12, 3)
    assert (counted.cache_read_tokens, counted.cache_write_tokens) == (100, 40)
    sent = server.bodies[0]
    assert sent["model"] == "some-model"
    assert sent["system"] == "rules"
    assert sent["messages"] == [{"role": "user", "content": "task"}]
    assert sent["max_tokens"] == 50_000
    assert sent["temperature"] == 0.7
    assert answer.applied == {"temperature": 0.7}
    assert server.headers[0]["authorization"] == f"Bearer {KEY}"


async def test_thinking_that_comes_first_is_left_out_and_text_blocks_are_joined() -> None:
    content = [
        {"type": "thinking", "thinking": "hm", "signature": "s"},
        {"type": "text", "text": "one "},
        {"type": "text", "text": "two"},
    ]
    async with connected(always(message(content=content))) as (_, client):
        assert (await client.complete(asking())).text == "one two"


@pytest.mark.parametrize("reason", ["max_tokens", "refusal"])
async def test_an_answer_that_stopped_early_is_handed_over_with_its_reason(reason: str) -> None:
    async with connected(always(message(content=[], stop_reason=reason))) as (_, client):
        answer = await client.complete(asking())
    assert (answer.text, answer.stop_reason) == ("", reason)


async def test_a_bare_answer_of_a_local_server_is_enough() -> None:
    body = {"content": [{"type": "text", "text": "hi"}], "usage": {"input_tokens": None, "output_tokens": 4}}
    async with connected(always(body)) as (_, client):
        answer = await client.complete(asking())
    assert (answer.text, answer.stop_reason, answer.model, answer.request_id) == ("hi", "", "some-model", "")
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (0, 4)


async def test_what_no_database_can_store_is_replaced_in_an_answer() -> None:
    async def answer(server: Server, request: web.Request, asked: dict[str, Any]) -> web.StreamResponse:
        text = '{"content": [{"type": "text", "text": "x \\ud800 y \\u0000 z"}]}'
        return web.Response(text=text, content_type="application/json")

    async with connected(answer) as (_, client):
        first = await client.complete(asking())
        assert first.text == "x ? y \ufffd z"
        await client.complete(asking(user="before \ud800 after"))


SPENT = error("rate_limit_error", "limit", details={"error_code": "enforced_spend_limit_reached"})


@pytest.mark.parametrize(
    ("status", "body", "kind", "fatal"),
    [
        (429, error("rate_limit_error", "slow down"), FaultKind.RATE_LIMITED, False),
        (429, SPENT, FaultKind.SPEND_LIMIT, True),
        (402, error("billing_error", "pay"), FaultKind.SPEND_LIMIT, True),
        (
            400,
            error("invalid_request_error", "Your credit balance is too low"),
            FaultKind.SPEND_LIMIT,
            True,
        ),
        (529, error("overloaded_error", "busy"), FaultKind.OVERLOADED, False),
        (503, error("api_error", "busy"), FaultKind.OVERLOADED, False),
        (500, error("api_error", "oops"), FaultKind.SERVER_ERROR, False),
        (504, error("timeout_error", "late"), FaultKind.SERVER_ERROR, False),
        (408, error("timeout_error", "late"), FaultKind.TIMEOUT, False),
        (409, error("conflict_error", "twice"), FaultKind.SERVER_ERROR, False),
        (401, error("authentication_error", "who?"), FaultKind.CONFIGURATION, True),
        (403, error("permission_error", "no"), FaultKind.CONFIGURATION, True),
        (404, error("not_found_error", "model: nope"), FaultKind.CONFIGURATION, True),
        (413, error("request_too_large", "big"), FaultKind.CONFIGURATION, True),
        (400, error("invalid_request_error", "messages: at least one"), FaultKind.CONFIGURATION, True),
    ],
)
async def test_each_http_error_has_its_kind(status: int, body: object, kind: FaultKind, fatal: bool) -> None:
    fault = await fault_of(always(body, status, {"request-id": "req_9"}))
    assert (fault.kind, fault.fatal, fault.status, fault.request_id) == (kind, fatal, status, "req_9")
    assert fault.applied == {"temperature": 0.7}


async def test_an_error_is_not_tried_again_by_the_sdk() -> None:
    async with connected(always(error("api_error", "oops"), 500)) as (server, client):
        with pytest.raises(ProviderFault):
            await client.complete(asking())
    assert len(server.bodies) == 1


@pytest.mark.parametrize(
    ("headers", "expected"),
    [({}, None), ({"retry-after": "7"}, 7.0), ({"retry-after": "7", "retry-after-ms": "250"}, 0.25)],
)
async def test_a_rate_limit_says_how_long_to_wait_and_nobody_waits_here(
    headers: dict[str, str], expected: float | None
) -> None:
    fault = await fault_of(always(error("rate_limit_error", "slow down"), 429, headers))
    assert fault.retry_after_s == expected


async def test_an_error_page_that_is_not_json_is_still_a_fault_with_its_status() -> None:
    async def answer(server: Server, request: web.Request, asked: dict[str, Any]) -> web.StreamResponse:
        return web.Response(text="<html>bad gateway</html>", status=502, content_type="text/html")

    fault = await fault_of(answer)
    assert (fault.kind, fault.status, fault.possibly_billed) == (FaultKind.SERVER_ERROR, 502, True)
    assert "bad gateway" in fault.message


async def test_a_redirect_is_not_followed() -> None:
    async def answer(server: Server, request: web.Request, asked: dict[str, Any]) -> web.StreamResponse:
        return web.Response(status=307, headers={"location": f"{server.url}/v1/messages"})

    async with connected(answer) as (server, client):
        with pytest.raises(ProviderFault) as caught:
            await client.complete(asking())
    assert caught.value.kind is FaultKind.CONFIGURATION
    assert len(server.bodies) == 1


async def test_a_dropped_connection_is_a_connection_fault_and_may_be_billed() -> None:
    async def answer(server: Server, request: web.Request, asked: dict[str, Any]) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.close()
        return web.Response()

    fault = await fault_of(answer)
    assert (fault.kind, fault.fatal, fault.status) == (FaultKind.CONNECTION, False, None)
    assert fault.possibly_billed


async def test_nobody_listening_is_a_connection_fault_and_bills_nothing() -> None:
    async with serving(always(message())) as server:
        url = server.url
    client = ModelClient(Endpoint("gone", url, KEY))
    with pytest.raises(ProviderFault) as caught:
        await client.complete(asking())
    await client.close()
    assert (caught.value.kind, caught.value.possibly_billed) == (FaultKind.CONNECTION, False)


@pytest.mark.parametrize("announced", [True, False], ids=["shorter than announced", "cut json"])
async def test_a_body_that_is_cut_off_is_a_bad_body_and_may_be_billed(announced: bool) -> None:
    whole = json.dumps(message("long " * 100)).encode()

    async def answer(server: Server, request: web.Request, asked: dict[str, Any]) -> web.StreamResponse:
        half = whole[: len(whole) // 2]
        if not announced:
            return web.Response(body=half, content_type="application/json")
        headers = {"content-type": "application/json", "content-length": str(len(whole))}
        response = web.StreamResponse(headers=headers)
        await response.prepare(request)
        await response.write(half)
        assert request.transport is not None
        request.transport.close()
        return response

    fault = await fault_of(answer)
    assert (fault.kind, fault.fatal, fault.possibly_billed) == (FaultKind.BAD_BODY, False, True)


@pytest.mark.parametrize("body", ["text", 3, None, [], {}, {"content": "text"}, {"content": None}])
async def test_json_that_is_no_message_is_a_bad_body(body: object) -> None:
    assert (await fault_of(always(body))).kind is FaultKind.BAD_BODY


async def test_no_answer_in_time_is_a_timeout_and_the_request_is_closed() -> None:
    async def answer(server: Server, request: web.Request, asked: dict[str, Any]) -> web.StreamResponse:
        try:
            await asyncio.Event().wait()
        finally:
            server.hung_up.set()
        raise AssertionError

    async with connected(answer) as (server, client):
        with pytest.raises(ProviderFault) as caught:
            await client.complete(asking(timeout_s=0.3))
        await asyncio.wait_for(server.hung_up.wait(), 10)
    fault = caught.value
    assert (fault.kind, fault.fatal, fault.possibly_billed) == (FaultKind.TIMEOUT, False, True)


async def test_an_answer_that_trickles_in_for_ever_times_out() -> None:
    async def answer(server: Server, request: web.Request, asked: dict[str, Any]) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-type": "application/json"})
        await response.prepare(request)
        while True:
            await response.write(b" ")
            await asyncio.sleep(0.02)

    fault = await fault_of(answer, timeout_s=0.3)
    assert fault.kind is FaultKind.TIMEOUT


async def test_cancelling_closes_the_request_at_once() -> None:
    async def answer(server: Server, request: web.Request, asked: dict[str, Any]) -> web.StreamResponse:
        try:
            await asyncio.Event().wait()
        finally:
            server.hung_up.set()
        raise AssertionError

    async with connected(answer) as (server, client):
        call = asyncio.create_task(client.complete(asking(timeout_s=300)))
        await asyncio.wait_for(server.reached.wait(), 10)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        await asyncio.wait_for(server.hung_up.wait(), 10)


REFUSALS = [
    "temperature: Extra inputs are not permitted",
    "`temperature` is deprecated for this model.",
    "Unsupported parameter: 'temperature'",
]


def refusing_temperature(text: str) -> Answer:
    async def answer(server: Server, request: web.Request, asked: dict[str, Any]) -> web.StreamResponse:
        if "temperature" in asked:
            return web.json_response(error("invalid_request_error", text), status=400)
        return web.json_response(message())

    return answer


@pytest.mark.parametrize("text", REFUSALS)
async def test_a_refused_temperature_is_sent_once_and_never_again(text: str) -> None:
    async with connected(refusing_temperature(text)) as (server, client):
        answers = [await client.complete(asking()) for _ in range(3)]
        other = await client.complete(asking(model="other-model"))
    assert ["temperature" in body for body in server.bodies] == [True, False, False, False, True, False]
    for answer in [*answers, other]:
        assert answer.text == "hello"
        assert answer.applied == {}
        assert text in answer.dropped["temperature"]


async def test_calls_in_flight_that_are_refused_together_each_repeat_their_own() -> None:
    together = asyncio.Barrier(3)

    async def answer(server: Server, request: web.Request, asked: dict[str, Any]) -> web.StreamResponse:
        if "temperature" not in asked:
            return web.json_response(message(asked["messages"][0]["content"]))
        await together.wait()
        return web.json_response(error("invalid_request_error", REFUSALS[0]), status=400)

    async with connected(answer) as (server, client):
        answers = await asyncio.gather(*(client.complete(asking(user=str(n))) for n in range(3)))
    assert [answer.text for answer in answers] == ["0", "1", "2"]
    assert len(server.bodies) == 6


async def test_a_400_that_only_quotes_the_word_is_no_refusal_of_the_parameter() -> None:
    text = "prompt is too long: it begins with 'convert the temperature of a room'"
    async with connected(refusing_temperature(text)) as (server, client):
        with pytest.raises(ProviderFault) as caught:
            await client.complete(asking())
    assert caught.value.kind is FaultKind.CONFIGURATION
    assert len(server.bodies) == 1


async def test_effort_is_sent_where_the_model_takes_it_and_dropped_with_the_reason_elsewhere() -> None:
    async with connected(always(message())) as (server, client):
        takes = await client.complete(asking(model="claude-opus-5-5", effort="higher", temperature=None))
        not_known = await client.complete(asking(effort="high", temperature=None))
    assert server.bodies[0]["output_config"] == {"effort": "high"}
    assert takes.applied == {"effort": "high"}
    assert "output_config" not in server.bodies[1]
    assert "not known" in not_known.dropped["effort"]


async def test_a_server_that_knows_neither_parameter_still_gives_an_answer() -> None:
    async def answer(server: Server, request: web.Request, asked: dict[str, Any]) -> web.StreamResponse:
        for name in ("temperature", "output_config"):
            if name in asked:
                text = f"{name}: Extra inputs are not permitted"
                return web.json_response(error("invalid_request_error", text), status=400)
        return web.json_response(message())

    async with connected(answer) as (server, client):
        got = await client.complete(asking(model="claude-opus-5-5", effort="high"))
    assert set(got.dropped) == {"temperature", "effort"}
    assert len(server.bodies) == 3


async def test_the_key_is_in_no_error_log_or_repr(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    endpoint = Endpoint("test", "http://127.0.0.1:1", KEY)
    assert KEY not in repr(endpoint)
    fault = await fault_of(always(error("authentication_error", f"bad key {KEY}"), 401))
    shown = [str(fault), repr(fault), repr(vars(fault)), caplog.text]
    assert not any(KEY in text for text in shown)
    assert fault.__cause__ is None
    assert fault.__context__ is None
    assert "bad key [key]" in fault.message


async def test_a_placeholder_key_does_not_tear_messages_apart() -> None:
    async with serving(always(error("api_error", "exhausted"), 500)) as server:
        client = ModelClient(Endpoint("local", server.url, "x"))
        with pytest.raises(ProviderFault) as caught:
            await client.complete(asking())
        await client.close()
    assert caught.value.message == "exhausted"


def set_hostile_environment(monkeypatch: pytest.MonkeyPatch, elsewhere: str) -> None:
    settings = {
        "ANTHROPIC_API_KEY": "leak-api-key",
        "ANTHROPIC_AUTH_TOKEN": "leak-token",
        "ANTHROPIC_BASE_URL": elsewhere,
        "ANTHROPIC_CUSTOM_HEADERS": "x-leak: leaked\nauthorization: Bearer leak-header\nx-api-key: leak",
        "ANTHROPIC_PROFILE": "leak-profile",
        "HTTP_PROXY": elsewhere,
        "http_proxy": elsewhere,
        "ALL_PROXY": elsewhere,
        "all_proxy": elsewhere,
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)


async def test_nothing_leaks_in_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(always(message("wrong server"))) as elsewhere:
        set_hostile_environment(monkeypatch, elsewhere.url)
        async with connected(always(message("right server"))) as (server, client):
            answer = await client.complete(asking())
        assert elsewhere.bodies == []
    assert answer.text == "right server"
    sent = server.headers[0]
    assert sent["authorization"] == f"Bearer {KEY}"
    assert not any("leak" in f"{name}{value}" for name, value in sent.items())


async def test_a_shared_record_of_capabilities_spares_the_next_client_the_refusal() -> None:
    shared = Capabilities()
    async with serving(refusing_temperature(REFUSALS[0])) as server:
        for _ in range(2):
            client = ModelClient(Endpoint("test", server.url, KEY), shared)
            await client.complete(asking())
            await client.close()
    assert ["temperature" in body for body in server.bodies] == [True, False, False]


async def test_a_closed_client_connects_again() -> None:
    async with connected(always(message())) as (server, client):
        await client.complete(asking())
        await client.close()
        await client.complete(asking())
    assert len(server.bodies) == 2


def test_one_client_serves_one_event_loop_after_another() -> None:
    async def free_port() -> int:
        async with serving(always(message())) as server:
            return int(server.url.rpartition(":")[2])

    port = asyncio.run(free_port())
    client = ModelClient(Endpoint("test", f"http://127.0.0.1:{port}", KEY))

    async def slice_of_work(text: str) -> str:
        async with serving(always(message(text)), port):
            try:
                return (await client.complete(asking())).text
            finally:
                await client.close()

    assert asyncio.run(slice_of_work("first")) == "first"
    assert asyncio.run(slice_of_work("second")) == "second"


def test_importing_the_client_does_not_import_the_sdk() -> None:
    code = (
        "import sys, executions.generation.client, executions.generation.prices\n"
        "heavy = {'anthropic', 'httpx2', 'aiohttp', 'genai_prices', 'django', 'pydantic'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout.strip() == "[]"
