"""The scripted model as a server: `/v1/messages` and what belongs to it, and the pages for people and tests.

`POST /v1/messages` (plain and streamed), `POST /v1/messages/count_tokens`, `GET /v1/models`, `GET
/v1/models/{id}`: as the Claude API speaks them. Any key and any model name will do.

- `GET /`: who this is (`scripted_model`, `pid`).
- `GET /script`: `{"attempts": {atom key: n}, "plans": {plan name: {atom key: n}}}`, the attempts that each
  atom is expected to need.
- `GET /stats`: calls, in_flight, max_in_flight, complete_answers, outcomes, calls_per_atom.
- `GET /log`: the calls in the order in which they ended: model, temperature (null where none was sent),
  max_tokens, stream, plan and atom (null where unknown), index (which of the atom's answers was due), outcome
  (`answered`, `unknown`, `max_tokens`, `invalid`, `abandoned` by the client, or the name of a fault), status,
  digest of the text, header names, at (Unix seconds of its arrival), seconds (from then to its end).
- `POST /reset`: forgets all calls and starts the seeded sequences anew; what is known stays.
- `POST /watch` `{"pid": n}`: the server lives as long as any process that it watches (see `serving`).
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from aiohttp import web

from executions.scripted_model.faults import Fault, FaultPlan, Latency
from executions.scripted_model.ledger import RequestLedger
from executions.scripted_model.library import Library
from executions.scripted_model.placement import AtomScript
from executions.scripted_model.wire import (
    CHARACTERS_PER_TOKEN,
    MODELS,
    Answer,
    InvalidRequestError,
    MessagesRequest,
    error_body,
    model_body,
    read_request,
    refuse_sampling,
    tokens_in,
)
from executions.scripted_model.wording import REFUSAL, UNKNOWN_CODE, answer_in_much_prose, answer_text

LARGEST_REQUEST = 32 * 1024 * 1024
REQUESTS_PER_MINUTE = 1_000
TOKENS_PER_MINUTE = 2_000_000

HTTP_ERRORS = {
    Fault.RATE_LIMIT_AFTER: (429, "rate_limit_error", "This request would exceed your rate limit.", None),
    Fault.RATE_LIMIT: (429, "rate_limit_error", "This request would exceed your rate limit.", None),
    Fault.SPEND_LIMIT: (
        429,
        "rate_limit_error",
        "You have reached your spend limit.",
        "enforced_spend_limit_reached",
    ),
    Fault.OVERLOADED: (529, "overloaded_error", "Overloaded", None),
    Fault.SERVER_ERROR: (500, "api_error", "Internal server error", None),
}


@dataclass(slots=True)
class _Call:
    """One request on its way; what is known of it goes to the log."""

    request_id: str
    header_names: list[str]
    asked: MessagesRequest | None = None
    script: AtomScript | None = None
    index: int | None = None
    outcome: str = "abandoned"
    status: int | None = None
    started: float = field(default_factory=time.monotonic)
    arrived: float = field(default_factory=time.time)

    def as_entry(self) -> dict[str, Any]:
        asked, script = self.asked, self.script
        return {
            "request_id": self.request_id,
            "model": asked.model if asked else None,
            "temperature": asked.temperature if asked else None,
            "max_tokens": asked.max_tokens if asked else None,
            "stream": asked.stream if asked else None,
            "plan": script.atom.plan if script else None,
            "atom": script.atom.key if script else None,
            "index": self.index,
            "outcome": self.outcome,
            "status": self.status,
            "digest": asked.digest if asked else None,
            "header_names": self.header_names,
            "at": round(self.arrived, 4),
            "seconds": round(time.monotonic() - self.started, 4),
        }


class ScriptedModel:
    """The server's state and its handlers."""

    def __init__(
        self,
        library: Library,
        *,
        faults: FaultPlan,
        latency: Latency,
        ledger: RequestLedger,
        retry_after: float = 1.0,
        slow_seconds: float = 2.0,
        refuse_sampling: bool = False,
        watch: Callable[[int], bool] = lambda pid: False,
    ) -> None:
        """`watch` is given the process ids of `POST /watch` and says whether it will."""
        self._library = library
        self._faults = faults
        self._latency = latency
        self._ledger = ledger
        self._retry_after = retry_after
        self._slow_seconds = slow_seconds
        self._refuse_sampling = refuse_sampling
        self._watch = watch
        self._number = 0
        self._limit_headers: tuple[int, dict[str, str]] = (0, {})

    def application(self) -> web.Application:
        app = web.Application(client_max_size=LARGEST_REQUEST, middlewares=[self._errors_as_json])
        app.add_routes(
            [
                web.post("/v1/messages", self._messages),
                web.post("/v1/messages/count_tokens", self._count_tokens),
                web.get("/v1/models", self._models),
                web.get("/v1/models/{name}", self._model),
                web.get("/", self._about),
                web.get("/script", self._script),
                web.get("/stats", self._stats),
                web.get("/log", self._log),
                web.post("/reset", self._reset),
                web.post("/watch", self._watch_process),
            ]
        )
        return app

    # The model

    async def _messages(self, request: web.Request) -> web.StreamResponse:
        call = _Call(self._next_id("req"), sorted({name.lower() for name in request.headers}))
        complete = False
        self._ledger.begin()
        try:
            response, complete = await self._answer(request, call)
            if call.outcome != Fault.DISCONNECT or response.prepared:
                call.status = response.status
        except ConnectionError:
            call.outcome = "abandoned"
            raise
        finally:
            self._ledger.end(call.as_entry(), complete=complete)
        return response

    async def _answer(self, request: web.Request, call: _Call) -> tuple[web.StreamResponse, bool]:
        """The response, and whether it is a whole answer."""
        try:
            body = await request.read()
            asked = call.asked = read_request(body)
            if self._refuse_sampling:
                refuse_sampling(asked)
        except (InvalidRequestError, web.HTTPRequestEntityTooLarge) as error:
            call.outcome = "invalid"
            return self._refusal_of(error, call.request_id), False
        due: Hashable
        script = call.script = self._library.find(asked.asked)
        if script is None:
            due = asked.digest
        else:
            call.index = script.place(asked.text, asked.digest)
            due = (id(script), call.index)
        fault = self._faults.draw(due)
        await self._think(call, fault)
        if fault in HTTP_ERRORS:
            call.outcome = fault
            return self._http_error(fault, call.request_id), False
        answer = self._compose(call, asked, fault)
        call.outcome = fault or self._plain_outcome(answer, script)
        if fault is Fault.DISCONNECT or fault is Fault.CUT_BODY:
            return await self._broken(request, call, answer, fault), False
        whole = answer.stop_reason == "end_turn"
        if asked.stream:
            pause = self._slow_seconds if fault is Fault.SLOW else 0.0
            return await self._stream(request, call, answer, pause), whole
        return self._json(answer.as_json(), call.request_id), whole

    async def _think(self, call: _Call, fault: Fault | None) -> None:
        if fault is Fault.HANG:
            call.outcome = fault
            await asyncio.Event().wait()  # ended by the client's leaving or the server's end
        seconds = self._latency.draw()
        if fault is Fault.SLOW:
            seconds += self._slow_seconds
        if seconds:
            await asyncio.sleep(seconds)

    def _compose(self, call: _Call, asked: MessagesRequest, fault: Fault | None) -> Answer:
        script, index = call.script, call.index
        if script is None or index is None:
            code, key, language = UNKNOWN_CODE, "unknown", "python"
        else:
            language = script.atom.language
            code, key = script.answers[index], f"{script.atom.plan}\0{script.atom.key}\0{index}"
        if fault is Fault.PROSE:
            text = answer_in_much_prose(code, language=language)
        else:
            text = answer_text(code, key=key, language=language)
        stop_reason, output_tokens = "end_turn", tokens_in(text)
        if fault is Fault.REFUSAL:
            text, stop_reason, output_tokens = REFUSAL, "refusal", tokens_in(REFUSAL)
        elif fault is Fault.TRUNCATE or output_tokens > asked.max_tokens:
            # A model that runs into the limit has used all of it, however much of that was text.
            longest = len(text) // 2 if fault is Fault.TRUNCATE else len(text)
            text = text[: min(longest, asked.max_tokens * CHARACTERS_PER_TOKEN)]
            stop_reason, output_tokens = "max_tokens", asked.max_tokens
        return Answer(self._next_id("msg"), asked.model, text, stop_reason, asked.input_tokens, output_tokens)

    @staticmethod
    def _plain_outcome(answer: Answer, script: AtomScript | None) -> str:
        if answer.stop_reason == "max_tokens":
            return "max_tokens"
        return "answered" if script else "unknown"

    async def _stream(
        self, request: web.Request, call: _Call, answer: Answer, pause: float
    ) -> web.StreamResponse:
        """Sends the answer as events; spread over `pause` seconds where that is not 0."""
        response = web.StreamResponse(headers=self._stream_headers(call.request_id))
        await response.prepare(request)
        events = list(answer.as_events())
        if pause:
            for event in events:
                await response.write(event)
                await asyncio.sleep(pause / len(events))
        else:
            await response.write(b"".join(events))
        await response.write_eof()
        return response

    async def _broken(
        self, request: web.Request, call: _Call, answer: Answer, fault: Fault
    ) -> web.StreamResponse:
        """A connection that ends before the answer does.

        A disconnect without streaming sends nothing at all. A cut-off body is a whole HTTP response whose
        content ends too early, as a proxy between the two may leave it.
        """
        streamed = call.asked is not None and call.asked.stream
        events = list(answer.as_events())
        if fault is Fault.CUT_BODY:
            body = b"".join(events[: len(events) // 2]) if streamed else json.dumps(answer.as_json()).encode()
            headers = self._stream_headers(call.request_id) if streamed else self._headers(call.request_id)
            if not streamed:
                headers["content-type"] = "application/json"
                body = body[: len(body) // 2]
            return web.Response(body=body, headers=headers)
        response = web.StreamResponse(headers=self._stream_headers(call.request_id))
        if streamed:
            await response.prepare(request)
            await response.write(b"".join(events[: len(events) // 2]))
        if request.transport is not None:
            request.transport.close()  # not abort: what was written of a stream is to arrive
        return response

    async def _count_tokens(self, request: web.Request) -> web.Response:
        request_id = self._next_id("req")
        try:
            asked = read_request(await request.read(), counting=True)
        except (InvalidRequestError, web.HTTPRequestEntityTooLarge) as error:
            return self._refusal_of(error, request_id)
        return self._json({"input_tokens": asked.input_tokens}, request_id)

    async def _models(self, request: web.Request) -> web.Response:
        names = list(MODELS)
        content = {
            "data": [model_body(name) for name in names],
            "has_more": False,
            "first_id": names[0],
            "last_id": names[-1],
        }
        return self._json(content, self._next_id("req"))

    async def _model(self, request: web.Request) -> web.Response:
        return self._json(model_body(request.match_info["name"]), self._next_id("req"))

    # For people and tests

    async def _about(self, request: web.Request) -> web.Response:
        return web.json_response({"scripted_model": True, "pid": os.getpid(), "atoms": len(self._library)})

    async def _script(self, request: web.Request) -> web.Response:
        plans: dict[str, dict[str, int]] = {}
        for script in self._library.scripts():
            plans.setdefault(script.atom.plan, {})[script.atom.key] = len(script.answers)
        attempts = {key: number for plan in plans.values() for key, number in plan.items()}
        return web.json_response({"attempts": attempts, "plans": plans})

    async def _stats(self, request: web.Request) -> web.Response:
        return web.json_response(self._ledger.stats())

    async def _log(self, request: web.Request) -> web.Response:
        return web.json_response(self._ledger.entries())

    async def _reset(self, request: web.Request) -> web.Response:
        self._ledger.restart()
        self._faults.restart()
        self._latency.restart()
        for script in self._library.scripts():
            script.forget()
        return web.json_response({"reset": True})

    async def _watch_process(self, request: web.Request) -> web.Response:
        try:
            pid = (await request.json())["pid"]
        except (ValueError, KeyError, TypeError):
            pid = None
        if isinstance(pid, bool) or not isinstance(pid, int):
            return web.json_response({"watching": False}, status=400)
        watching = self._watch(pid)
        return web.json_response({"watching": watching}, status=200 if watching else 409)

    # Responses

    @web.middleware
    async def _errors_as_json(
        self, request: web.Request, handler: Callable[[web.Request], Any]
    ) -> web.StreamResponse:
        try:
            response: web.StreamResponse = await handler(request)
        except web.HTTPNotFound:
            return self._error(404, "not_found_error", "Not found", self._next_id("req"))
        except web.HTTPMethodNotAllowed:
            return self._error(405, "invalid_request_error", "Method not allowed", self._next_id("req"))
        return response

    def _next_id(self, kind: str) -> str:
        self._number += 1
        return f"{kind}_scripted_{os.getpid():x}_{self._number:08d}"

    def _json(self, content: dict[str, Any], request_id: str) -> web.Response:
        return web.json_response(content, headers=self._headers(request_id))

    def _error(
        self, status: int, kind: str, message: str, request_id: str, *, code: str | None = None
    ) -> web.Response:
        body = error_body(kind, message, request_id, code=code)
        return web.json_response(body, status=status, headers=self._headers(request_id))

    def _refusal_of(
        self, error: InvalidRequestError | web.HTTPRequestEntityTooLarge, request_id: str
    ) -> web.Response:
        if isinstance(error, InvalidRequestError):
            return self._error(400, "invalid_request_error", str(error), request_id)
        return self._error(
            413, "request_too_large", "Request exceeds the maximum allowed number of bytes.", request_id
        )

    def _http_error(self, fault: Fault, request_id: str) -> web.Response:
        status, kind, message, code = HTTP_ERRORS[fault]
        response = self._error(status, kind, message, request_id, code=code)
        if fault is Fault.RATE_LIMIT_AFTER:
            response.headers["retry-after"] = f"{self._retry_after:g}"
        return response

    def _headers(self, request_id: str) -> dict[str, str]:
        second = int(time.time())
        if second != self._limit_headers[0]:
            self._limit_headers = (second, _limit_headers(second))
        remaining = max(0, REQUESTS_PER_MINUTE - self._ledger.in_flight)
        return {
            "request-id": request_id,
            "anthropic-ratelimit-requests-remaining": str(remaining),
            **self._limit_headers[1],
        }

    def _stream_headers(self, request_id: str) -> dict[str, str]:
        return {
            **self._headers(request_id),
            "content-type": "text/event-stream; charset=utf-8",
            "cache-control": "no-cache",
        }


def _limit_headers(second: int) -> dict[str, str]:
    """The rate limit headers that change at most once a second."""
    reset = (datetime.fromtimestamp(second, UTC) + timedelta(seconds=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    headers = {
        "anthropic-ratelimit-requests-limit": str(REQUESTS_PER_MINUTE),
        "anthropic-ratelimit-requests-reset": reset,
    }
    for kind in ("tokens", "input-tokens", "output-tokens"):
        headers[f"anthropic-ratelimit-{kind}-limit"] = str(TOKENS_PER_MINUTE)
        headers[f"anthropic-ratelimit-{kind}-remaining"] = str(TOKENS_PER_MINUTE)
        headers[f"anthropic-ratelimit-{kind}-reset"] = reset
    return headers
