"""The scripted model at the wire, asked by the real SDK and by plain HTTP."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anthropic
import pytest
from aiohttp import ClientSession

from executions.scripted_model.serving import ServerSettings, running

SHARED_DATA = Path(__file__).resolve().parents[2].parent / "shared" / "data"


class Client:
    """One server with both kinds of client."""

    def __init__(self, url: str, http: ClientSession, sdk: anthropic.AsyncAnthropic) -> None:
        self.url = url
        self.http = http
        self.sdk = sdk

    async def get(self, path: str) -> Any:
        async with self.http.get(f"{self.url}{path}") as response:
            return await response.json()

    async def post(self, path: str, content: object) -> tuple[int, Any, dict[str, str]]:
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        async with self.http.post(f"{self.url}{path}", data=body) as response:
            return response.status, await response.json(), dict(response.headers)

    async def ask(self, text: str, **more: Any) -> anthropic.types.Message:
        arguments: dict[str, Any] = {"model": "scripted-sonnet", "max_tokens": 4096, **more}
        message: anthropic.types.Message = await self.sdk.messages.create(
            messages=[{"role": "user", "content": text}], **arguments
        )
        return message


@asynccontextmanager
async def serving(*answers: Path, **settings: Any) -> AsyncIterator[Client]:
    settings.setdefault(
        "near_misses",
        tuple(
            sibling
            for path in answers
            if (sibling := path.with_name(f"{path.stem}-near-miss.json")).is_file()
        ),
    )
    async with (
        running(ServerSettings(answers=answers, **settings)) as url,
        ClientSession() as http,
        anthropic.AsyncAnthropic(api_key="any", base_url=url, max_retries=0) as sdk,
    ):
        yield Client(url, http, sdk)


def atom_in(path: Path, number: int) -> dict[str, str]:
    atom: dict[str, str] = json.loads(path.read_text())["atoms"][number]
    return atom


def prompt_for(path: Path, number: int = 0, *further: str) -> str:
    atom = atom_in(path, number)
    return "\n".join([f"Write {atom['target_path']}.", "```python", atom["tests"], "```", *further])


def code_in(message: anthropic.types.Message) -> str:
    text = "".join(block.text for block in message.content if block.type == "text")
    lines = text.split("\n")
    first = next(number for number, line in enumerate(lines) if line.lower().startswith("```py"))
    return "\n".join(lines[first + 1 : lines.index("```", first + 1)])


def valid_request(**more: Any) -> dict[str, Any]:
    return {"model": "m", "max_tokens": 10, "messages": [{"role": "user", "content": "Hello"}], **more}


async def test_a_known_atom_gets_its_reference(make_plan: Callable[..., Path]) -> None:
    path = make_plan()
    async with serving(path) as client:
        message = await client.ask(prompt_for(path, 1))
    assert code_in(message) == atom_in(path, 1)["reference_solution"].rstrip()
    assert message.stop_reason == "end_turn"
    assert message.usage.output_tokens > 0
    assert message.usage.input_tokens > 0
    assert message._request_id is not None
    assert message._request_id.startswith("req_")


async def test_a_chosen_atom_gets_it_wrong_as_often_as_the_script_says(
    make_plan: Callable[..., Path],
) -> None:
    path = make_plan(atoms=2, near_misses={0: 3})
    async with serving(path, near_miss_share=1.0) as client:
        text, codes = prompt_for(path), []
        for attempt in range(2, 6):
            codes.append(code_in(await client.ask(text)))
            text = prompt_for(path, 0, f"Attempt {attempt}. Your code:", codes[-1], "test_adds_0 failed")
        script = await client.get("/script")
    assert codes[-1] == atom_in(path, 0)["reference_solution"].rstrip()
    assert len(set(codes)) == 4
    assert script == {
        "attempts": {"atom-000": 4, "atom-001": 1},
        "plans": {"Plan": {"atom-000": 4, "atom-001": 1}},
    }


async def test_an_unknown_atom_gets_code_that_is_not_implemented(make_plan: Callable[..., Path]) -> None:
    async with serving(make_plan()) as client:
        message = await client.ask("Write something.\n```python\ndef test_it(): ...\n```")
        (entry,) = await client.get("/log")
    with pytest.raises(NotImplementedError):
        exec(code_in(message), {})  # noqa: S102 - our own one line
    assert (entry["atom"], entry["index"], entry["outcome"]) == (None, None, "unknown")


async def test_tests_are_found_in_system_text_and_in_blocks_with_other_line_ends(
    make_plan: Callable[..., Path],
) -> None:
    path = make_plan()
    tests = atom_in(path, 2)["tests"].replace("\n", "\r\n")
    blocks: list[Any] = [{"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}}]
    async with serving(path) as client:
        in_system = await client.ask("Go.", system=[*blocks, {"type": "text", "text": tests}])
        in_block = await client.sdk.messages.create(
            model="m",
            max_tokens=999,
            messages=[{"role": "user", "content": [*blocks, {"type": "text", "text": tests}]}],
        )
    assert code_in(in_system) == code_in(in_block) == atom_in(path, 2)["reference_solution"].rstrip()


async def test_tests_that_only_the_assistant_said_name_nothing(make_plan: Callable[..., Path]) -> None:
    path = make_plan()
    async with serving(path) as client:
        await client.sdk.messages.create(
            model="m",
            max_tokens=999,
            messages=[
                {"role": "assistant", "content": prompt_for(path)},
                {"role": "user", "content": "Go on."},
            ],
        )
        (entry,) = await client.get("/log")
    assert entry["outcome"] == "unknown"


async def test_a_stream_brings_the_same_message_in_the_real_order(make_plan: Callable[..., Path]) -> None:
    path = make_plan()
    async with serving(path) as client:
        plain = await client.ask(prompt_for(path))
        async with client.sdk.messages.stream(
            model="scripted-opus", max_tokens=4096, messages=[{"role": "user", "content": prompt_for(path)}]
        ) as stream:
            streamed = await stream.get_final_message()
        async with client.http.post(
            f"{client.url}/v1/messages",
            json=valid_request(stream=True, max_tokens=1000),
        ) as response:
            assert response.content_type == "text/event-stream"
            lines = (await response.text()).split("\n")
    assert [block.text for block in streamed.content if block.type == "text"] == [
        block.text for block in plain.content if block.type == "text"
    ]
    assert streamed.stop_reason == "end_turn"
    assert streamed.usage.output_tokens == plain.usage.output_tokens
    assert streamed.model == "scripted-opus"
    events = [line.removeprefix("event: ") for line in lines if line.startswith("event: ")]
    assert list(dict.fromkeys(events)) == [
        "message_start",
        "content_block_start",
        "ping",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]


async def test_temperature_is_taken_from_the_body_and_logged(make_plan: Callable[..., Path]) -> None:
    path = make_plan()
    async with serving(path) as client:
        await client.ask(prompt_for(path), extra_body={"temperature": 0.7})
        await client.ask(prompt_for(path), max_tokens=77)
        log = await client.get("/log")
    assert [entry["temperature"] for entry in log] == [0.7, None]
    assert [entry["max_tokens"] for entry in log] == [4096, 77]
    assert [entry["model"] for entry in log] == ["scripted-sonnet"] * 2
    assert "authorization" in log[0]["header_names"]


async def test_a_server_that_refuses_temperature_says_so_and_answers_the_same_attempt_without(
    make_plan: Callable[..., Path],
) -> None:
    path = make_plan(near_misses={0: 1})
    async with serving(path, refuse_temperature=True, near_miss_share=1.0) as client:
        with pytest.raises(anthropic.BadRequestError, match="temperature: Extra inputs are not permitted"):
            await client.ask(prompt_for(path), extra_body={"temperature": 1.0})
        await client.ask(prompt_for(path))
        log = await client.get("/log")
    assert [(entry["outcome"], entry["index"]) for entry in log] == [("invalid", None), ("answered", 0)]


async def test_an_answer_longer_than_the_limit_is_cut_and_comes_whole_with_a_larger_one(
    make_plan: Callable[..., Path],
) -> None:
    path = make_plan(near_misses={0: 1})
    async with serving(path, near_miss_share=1.0) as client:
        cut = await client.ask(prompt_for(path), max_tokens=3)
        whole = await client.ask(prompt_for(path), max_tokens=3000)
        nothing = await client.ask(prompt_for(path), max_tokens=0)
        log = await client.get("/log")
    assert cut.stop_reason == "max_tokens"
    assert cut.usage.output_tokens == 3
    assert whole.stop_reason == "end_turn"
    assert nothing.content == []
    assert [(entry["outcome"], entry["index"]) for entry in log] == [
        ("max_tokens", 0),
        ("answered", 0),
        ("max_tokens", 0),
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{", "not valid JSON"),
        ([], "must be an object"),
        ({"max_tokens": 1, "messages": []}, "model: Field required"),
        ({"model": "m", "messages": []}, "max_tokens: Field required"),
        ({"model": "m", "max_tokens": 1}, "messages: Field required"),
        (valid_request(model=""), "model:"),
        (valid_request(max_tokens="9"), "max_tokens:"),
        (valid_request(max_tokens=-1), "max_tokens:"),
        (valid_request(messages=[]), "at least one message"),
        (valid_request(messages=[{"role": "robot", "content": "x"}]), "messages.0.role"),
        (valid_request(messages=[{"role": "user"}]), "messages.0.content"),
        (
            valid_request(messages=[{"role": "user", "content": [{"type": "text"}]}]),
            "messages.0.content.0.text",
        ),
        (valid_request(messages=[{"role": "assistant", "content": "x"}]), "prefill"),
        (valid_request(temperature=1.5), "temperature: range"),
        (valid_request(temperature="warm"), "temperature:"),
        (valid_request(stream="yes"), "stream:"),
    ],
)
async def test_what_the_real_api_refuses_is_refused(content: object, message: str) -> None:
    async with serving() as client:
        status, body, headers = await client.post("/v1/messages", content)
        stats = await client.get("/stats")
    assert status == 400
    assert body["type"] == "error"
    assert body["error"]["type"] == "invalid_request_error"
    assert message in body["error"]["message"]
    assert body["request_id"] == headers["request-id"]
    assert stats["outcomes"] == {"invalid": 1}


async def test_a_request_that_is_too_large_is_refused_with_413() -> None:
    async with serving() as client:
        large = io.BytesIO(b" " * (32 * 1024 * 1024 + 1))
        async with client.http.post(f"{client.url}/v1/messages", data=large) as response:
            assert response.status == 413
            assert (await response.json())["error"]["type"] == "request_too_large"


async def test_unknown_addresses_and_methods_get_errors_of_the_api() -> None:
    async with serving() as client:
        status, body, _ = await client.post("/v1/complete", {})
        assert (status, body["error"]["type"]) == (404, "not_found_error")
        assert (await client.get("/v1/messages"))["error"]["type"] == "invalid_request_error"


async def test_answers_carry_request_id_and_rate_limits(make_plan: Callable[..., Path]) -> None:
    async with serving(make_plan()) as client:
        raw = await client.sdk.messages.with_raw_response.create(
            model="m", max_tokens=99, messages=[{"role": "user", "content": "x"}]
        )
    assert raw.headers["request-id"]
    for kind in ("requests", "tokens", "input-tokens", "output-tokens"):
        assert int(raw.headers[f"anthropic-ratelimit-{kind}-remaining"]) > 0
        assert raw.headers[f"anthropic-ratelimit-{kind}-reset"].endswith("Z")


async def test_models_are_listed_and_any_name_can_be_asked_for() -> None:
    async with serving() as client:
        models = await client.sdk.models.list()
        other = await client.sdk.models.retrieve("claude-sonnet-5-5")
    assert [model.id for model in models.data] == ["scripted-sonnet", "scripted-opus", "scripted-haiku"]
    assert other.id == "claude-sonnet-5-5"


async def test_tokens_are_counted_alike_in_both_places(make_plan: Callable[..., Path]) -> None:
    path = make_plan()
    async with serving(path) as client:
        message = await client.ask(prompt_for(path), system="Be brief.")
        counted = await client.sdk.messages.count_tokens(
            model="m", system="Be brief.", messages=[{"role": "user", "content": prompt_for(path)}]
        )
        stats = await client.get("/stats")
    assert counted.input_tokens == message.usage.input_tokens
    assert stats["calls"] == 1


async def test_stats_count_calls_in_flight_at_the_same_time(make_plan: Callable[..., Path]) -> None:
    path = make_plan(atoms=10)
    async with serving(path, latency="0.5") as client:
        asked = [asyncio.create_task(client.ask(prompt_for(path, number))) for number in range(10)]
        await asyncio.gather(*asked)
        stats = await client.get("/stats")
    assert stats["calls"] == stats["complete_answers"] == stats["max_in_flight"] == 10
    assert stats["in_flight"] == 0
    assert stats["outcomes"] == {"answered": 10}
    assert stats["calls_per_atom"] == {f"atom-{number:03d}": 1 for number in range(10)}


async def test_reset_forgets_calls_and_starts_the_script_over(make_plan: Callable[..., Path]) -> None:
    path = make_plan(atoms=1, near_misses={0: 1})
    retry = prompt_for(path, 0, "Attempt 2 after test_adds_0 failed")
    async with serving(path, near_miss_share=1.0) as client:
        first = code_in(await client.ask(prompt_for(path)))
        assert code_in(await client.ask(retry)) != first
        await client.post("/reset", {})
        assert (await client.get("/stats"))["calls"] == 0
        assert await client.get("/log") == []
        assert code_in(await client.ask(prompt_for(path))) == first


async def test_the_log_file_has_a_line_for_every_call(make_plan: Callable[..., Path], tmp_path: Path) -> None:
    path, log = make_plan(), tmp_path / "calls.jsonl"
    async with serving(path, log_file=log) as client:
        await client.ask(prompt_for(path, 2))
        await client.post("/v1/messages", {})
    entries = [json.loads(line) for line in log.read_text().splitlines()]
    assert [(entry["atom"], entry["status"]) for entry in entries] == [("atom-002", 200), (None, 400)]


async def test_a_plan_listed_while_the_server_runs_is_answered(
    make_plan: Callable[..., Path], tmp_path: Path
) -> None:
    data_dir = tmp_path / "data"
    data_dir.mkdir()
    async with serving(data_dir=data_dir) as client:
        path = make_plan(atoms=1)
        (data_dir / "scripted-answers.txt").write_text(f"{path}\n")
        assert code_in(await client.ask(prompt_for(path))) == atom_in(path, 0)["reference_solution"].rstrip()
        assert (await client.get("/script"))["attempts"] == {"atom-000": 1}


@pytest.mark.needs_data
async def test_the_shared_masterplans_are_known_and_their_share_is_exact() -> None:
    path = SHARED_DATA / "humaneval.json"
    async with serving(path, near_miss_share=0.4) as client:
        script = (await client.get("/script"))["attempts"]
        for number in (0, 38, 163):
            message = await client.ask(prompt_for(path, number))
            assert message.stop_reason == "end_turn"
        stats = await client.get("/stats")
    assert len(script) == 164
    assert sum(attempts > 1 for attempts in script.values()) == 64, "of the 160 that have near misses"
    assert stats["outcomes"] == {"answered": 3}
