"""Request bodies, read only as far as they may be long."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import IO, Any

from rest_framework.exceptions import ParseError
from rest_framework.parsers import BaseParser

from executions.api.errors import Refusal
from executions.planning.specs import MAX_FILE_BYTES

MOST_BYTES = 1_000_000
"""Of a body that is no masterplan."""


class LimitedJSONParser(BaseParser):
    """A JSON body that can be stored and told again: no number that is none, no half character."""

    media_type = "application/json"

    def parse(
        self,
        stream: IO[bytes],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        body = read_body(stream, parser_context or {}, MOST_BYTES)
        try:
            value = json.loads(body.decode("utf-8"), parse_constant=_refuse_constant)
            json.dumps(value, ensure_ascii=False).encode("utf-8")
        except RecursionError:
            raise ParseError("the body is nested too deeply") from None
        except ValueError as error:
            raise ParseError(f"the body is not usable JSON: {error}") from None
        return value


class JSONMasterplanParser(BaseParser):
    """The bytes of a masterplan file: planning reads them, and knows what lines they have."""

    media_type = "application/json"
    most_bytes = MAX_FILE_BYTES

    def parse(  # type: ignore[override]  # a view that takes this parser takes bytes
        self,
        stream: IO[bytes],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> bytes:
        return read_body(stream, parser_context or {}, self.most_bytes)


class YAMLMasterplanParser(JSONMasterplanParser):
    media_type = "application/yaml"


def read_body(stream: IO[bytes], parser_context: Mapping[str, Any], most: int) -> bytes:
    """The whole body. Raises Refusal (413) when it is longer than `most` bytes, before reading it where it says so itself."""
    request = parser_context.get("request")
    announced = request.META.get("CONTENT_LENGTH", "") if request is not None else ""
    body = b"" if announced.isdigit() and int(announced) > most else stream.read(most + 1)
    if len(body) > most or (announced.isdigit() and int(announced) > most):
        raise Refusal(413, "too_large", f"the body is too large: at most {most:,} bytes are accepted")
    return body


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON number")
