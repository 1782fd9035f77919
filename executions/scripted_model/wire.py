"""The wire of `/v1/messages`: what a request must look like, and what answers and errors look like.

After platform.claude.com as of 2026-11 and the types of the anthropic SDK 2.x. Tokens are counted as four
characters each.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from executions.scripted_model.answers import with_plain_line_ends

CHARACTERS_PER_TOKEN = 4
PIECE = 400
"""Characters in one event of a stream."""
MODELS = {
    "scripted-sonnet": "Scripted Sonnet",
    "scripted-opus": "Scripted Opus",
    "scripted-haiku": "Scripted Haiku",
}
"""The models offered; any other name is accepted as well."""
SAMPLING = ("temperature", "top_p", "top_k")


class InvalidRequestError(ValueError):
    """A request that the real API refuses with 400; the message names the parameter."""


@dataclass(frozen=True, slots=True)
class MessagesRequest:
    """What matters to us of one request."""

    model: str
    max_tokens: int
    temperature: float | None
    sampling: tuple[str, ...]
    """Names of the sampling parameters that were sent."""
    stream: bool
    text: str
    """All text of system and messages, line ends plain."""
    asked: str
    """The same without what the assistant is said to have said."""
    digest: str
    """Of `text`: equal for a call repeated with another model, temperature or limit."""

    @property
    def input_tokens(self) -> int:
        return tokens_in(self.text)


@dataclass(frozen=True, slots=True)
class Answer:
    """One message of the model."""

    message_id: str
    model: str
    text: str
    stop_reason: str
    input_tokens: int
    output_tokens: int

    def as_json(self) -> dict[str, Any]:
        """The body of a plain answer."""
        content = [{"type": "text", "text": self.text}] if self.text else []
        return self._message(content, self.stop_reason, self.output_tokens)

    def as_events(self) -> Iterator[bytes]:
        """The events of a streamed answer, in the order in which the real API sends them."""
        yield _event("message_start", message=self._message([], None, 1))
        if self.text:
            yield _event("content_block_start", index=0, content_block={"type": "text", "text": ""})
            yield _event("ping")
            for start in range(0, len(self.text), PIECE):
                delta = {"type": "text_delta", "text": self.text[start : start + PIECE]}
                yield _event("content_block_delta", index=0, delta=delta)
            yield _event("content_block_stop", index=0)
        yield _event(
            "message_delta",
            delta={"stop_reason": self.stop_reason, "stop_sequence": None, **self._stop_details()},
            usage={"output_tokens": self.output_tokens},
        )
        yield _event("message_stop")

    def _message(
        self, content: list[dict[str, Any]], stop_reason: str | None, output_tokens: int
    ) -> dict[str, Any]:
        return {
            "id": self.message_id,
            "type": "message",
            "role": "assistant",
            "model": self.model,
            "content": content,
            "stop_reason": stop_reason,
            "stop_sequence": None,
            **(self._stop_details() if stop_reason else {}),
            "usage": {
                "input_tokens": self.input_tokens,
                "cache_creation_input_tokens": 0,
                "cache_read_input_tokens": 0,
                "output_tokens": output_tokens,
                "service_tier": "standard",
            },
        }

    def _stop_details(self) -> dict[str, Any]:
        if self.stop_reason != "refusal":
            return {}
        return {"stop_details": {"type": "refusal", "category": "cyber", "explanation": None}}


def tokens_in(text: str) -> int:
    """A plausible number of tokens, at least 1."""
    return max(1, -(-len(text) // CHARACTERS_PER_TOKEN))


def refuse_sampling(asked: MessagesRequest) -> None:
    """Raise `InvalidRequestError` when the request has a sampling parameter, as the current API does."""
    for name in asked.sampling:
        raise InvalidRequestError(f"{name}: Extra inputs are not permitted")


def read_request(body: bytes, *, counting: bool = False) -> MessagesRequest:
    """The request in `body`; `counting`: it asks for `count_tokens` and so has no limit.

    Raises `InvalidRequestError` as the real API would.
    """
    try:
        content = json.loads(body)
    except ValueError as error:
        raise InvalidRequestError(f"The request body is not valid JSON: {error}") from error
    if not isinstance(content, dict):
        raise InvalidRequestError("The request body must be an object")
    required = ("model", "messages") if counting else ("model", "max_tokens", "messages")
    for name in required:
        if name not in content:
            raise InvalidRequestError(f"{name}: Field required")
    model = content["model"]
    if not isinstance(model, str) or not model:
        raise InvalidRequestError("model: Input should be a valid string")
    max_tokens = 0 if counting else content["max_tokens"]
    if isinstance(max_tokens, bool) or not isinstance(max_tokens, int):
        raise InvalidRequestError("max_tokens: Input should be a valid integer")
    if max_tokens < 0:
        raise InvalidRequestError("max_tokens: Input should be greater than or equal to 0")
    stream = content.get("stream", False)
    if not isinstance(stream, bool):
        raise InvalidRequestError("stream: Input should be a valid boolean")
    spoken = _spoken(content)
    text = with_plain_line_ends("\n".join(words for _, words in spoken))
    if all(role != "assistant" for role, _ in spoken):
        asked = text
    else:
        asked = with_plain_line_ends("\n".join(words for role, words in spoken if role != "assistant"))
    return MessagesRequest(
        model=model,
        max_tokens=max_tokens,
        temperature=_temperature(content),
        sampling=tuple(name for name in SAMPLING if name in content),
        stream=stream,
        text=text,
        asked=asked,
        digest=hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest(),
    )


def _temperature(content: Mapping[str, Any]) -> float | None:
    value = content.get("temperature")
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidRequestError("temperature: Input should be a valid number")
    if not 0 <= value <= 1:
        raise InvalidRequestError("temperature: range: 0..1")
    return float(value)


def _spoken(content: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(role, text) in the order of the request, the system prompt first."""
    messages = content["messages"]
    if not isinstance(messages, list):
        raise InvalidRequestError("messages: Input should be a valid list")
    if not messages:
        raise InvalidRequestError("messages: at least one message is required")
    spoken: list[tuple[str, str]] = []
    if content.get("system") is not None:
        spoken += (("system", text) for text in _texts(content["system"], "system"))
    for position, message in enumerate(messages):
        if not isinstance(message, dict):
            raise InvalidRequestError(f"messages.{position}: Input should be a valid dictionary")
        role = message.get("role")
        if role not in ("user", "assistant", "system"):
            raise InvalidRequestError(f"messages.{position}.role: Input should be 'user' or 'assistant'")
        if "content" not in message:
            raise InvalidRequestError(f"messages.{position}.content: Field required")
        spoken += ((role, text) for text in _texts(message["content"], f"messages.{position}.content"))
    if messages[-1]["role"] == "assistant":
        raise InvalidRequestError(
            "This model does not support assistant message prefill. "
            "The conversation must end with a user message."
        )
    return spoken


def _texts(content: object, place: str) -> list[str]:
    if isinstance(content, str):
        return [content]
    if not isinstance(content, list):
        raise InvalidRequestError(f"{place}: Input should be a valid string or a valid list")
    texts: list[str] = []
    for position, block in enumerate(content):
        if not isinstance(block, dict) or not isinstance(block.get("type"), str):
            raise InvalidRequestError(f"{place}.{position}.type: Field required")
        if block["type"] == "text":
            if not isinstance(block.get("text"), str):
                raise InvalidRequestError(f"{place}.{position}.text: Field required")
            texts.append(block["text"])
    return texts


def error_body(kind: str, message: str, request_id: str, *, code: str | None = None) -> dict[str, Any]:
    """The body of an error; `code` is the finer cause that some errors carry in their details."""
    error: dict[str, Any] = {"type": kind, "message": message}
    if code is not None:
        error["details"] = {"error_code": code}
    return {"type": "error", "error": error, "request_id": request_id}


def model_body(name: str) -> dict[str, Any]:
    """What `/v1/models` says of one model."""
    return {
        "type": "model",
        "id": name,
        "display_name": MODELS.get(name, name),
        "created_at": "2026-11-01T00:00:00Z",
        "lifecycle": "active",
        "max_input_tokens": 1_000_000,
        "max_tokens": 128_000,
    }


def _event(name: str, **fields: Any) -> bytes:
    return f"event: {name}\ndata: {json.dumps({'type': name, **fields})}\n\n".encode()
