"""From the bytes of a masterplan file to plain values, those that JSON has.

Everything that could hurt by its size or nature alone (length, depth, aliases, tags) is refused here,
before any value is used. What the values mean is not this module's business.
"""

from __future__ import annotations

import codecs
import json
import math
import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePath
from typing import Never

from executions.planning.places import LineFinder, Place, ProblemList, quoted
from executions.planning.specs import MAX_DEPTH, MAX_FILE_BYTES, InvalidMasterplan, Problem
from executions.planning.yaml_reading import UnreadableYaml, read_yaml, yaml_lines

JSON_TOKEN = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|[\[\]{},:]|[^\s\[\]{},:"]+', re.DOTALL)


@dataclass(frozen=True, slots=True)
class Document:
    """A file that could be read: its values, and where they stand."""

    value: object
    find_lines: LineFinder


class RepeatedKeys(dict[str, object]):
    """An object of a file in which keys occur more than once; the last value of each is kept."""

    repeated: tuple[str, ...] = ()


def object_of(pairs: Sequence[tuple[str, object]]) -> dict[str, object]:
    """The object with these members, as `RepeatedKeys` if a key occurs twice."""
    plain = dict(pairs)
    if len(plain) == len(pairs):
        return plain
    marked = RepeatedKeys(plain)
    times = Counter(key for key, _ in pairs)
    marked.repeated = tuple(key for key in plain if times[key] > 1)
    return marked


def read_file(path: Path) -> bytes:
    """The bytes of a masterplan file. Its size is looked at before it is read.

    Raises InvalidMasterplan when it cannot be read or is larger than `MAX_FILE_BYTES`.
    """
    try:
        if path.is_file() and path.stat().st_size > MAX_FILE_BYTES:
            _refuse(str(path), _too_large(path.stat().st_size))
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except (OSError, ValueError) as error:
        _refuse(str(path), f"cannot be read: {getattr(error, 'strerror', None) or error}")
    return data


def read_document(data: bytes, *, origin: str) -> Document:
    """Read JSON or YAML, whichever the suffix of `origin` or else the first character says.

    Raises InvalidMasterplan for what is empty, too large, not UTF-8 or not well-formed.
    """
    if len(data) > MAX_FILE_BYTES:
        _refuse(origin, _too_large(len(data)))
    try:
        text = data.removeprefix(codecs.BOM_UTF8).decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        _refuse(origin, f"is not UTF-8 text (byte {error.start + 1})", line)
    if not text.strip():
        _refuse(origin, "is empty")
    suffix = PurePath(origin).suffix.lower()
    if suffix in (".yaml", ".yml") or (suffix != ".json" and text.lstrip()[0] not in "{["):
        try:
            return Document(read_yaml(text, object_of), partial(yaml_lines, text, object_of))
        except UnreadableYaml as error:
            _refuse(origin, str(error), error.line)
    return Document(_read_json(text, origin), partial(json_lines, text))


def screen(value: object, problems: ProblemList) -> None:
    """Report whatever no masterplan may hold, wherever it stands: repeated keys, too deep nesting,
    characters that cannot be stored, numbers that are none, types that JSON does not have."""
    waiting: list[tuple[Place, object]] = [((), value)]
    while waiting:
        place, container = waiting.pop()
        members: list[tuple[str | int, object]]
        if isinstance(container, dict):
            for key in container.repeated if isinstance(container, RepeatedKeys) else ():
                problems.add((*place, key), f"the key {quoted(key)} occurs twice in the same object")
            for key in container:
                if not isinstance(key, str):
                    problems.add(place, f"the key {key!r} must be text")
                elif message := _bad_text(key):
                    problems.add(place, f"the key {quoted(key)} {message}")
            members = [(key, member) for key, member in container.items() if isinstance(key, str)]
        elif isinstance(container, list):
            members = list(enumerate(container))
        else:
            members = []
            if not place:
                _screen_scalar(place, container, problems)
        deeper: list[tuple[Place, object]] = []
        for step, member in members:
            if not isinstance(member, dict | list):
                _screen_scalar((*place, step), member, problems)
            elif len(place) + 2 > MAX_DEPTH:
                problems.add((*place, step), f"lies deeper than {MAX_DEPTH} levels")
            else:
                deeper.append(((*place, step), member))
        waiting.extend(reversed(deeper))


def _screen_scalar(place: Place, value: object, problems: ProblemList) -> None:
    if isinstance(value, str):
        if message := _bad_text(value):
            problems.add(place, message)
    elif isinstance(value, float):
        if not math.isfinite(value):
            problems.add(place, f"must be a finite number, not {value}")
    elif value is not None and not isinstance(value, int):
        problems.add(place, f"must be a value that JSON has, not a Python {type(value).__name__}")


def _bad_text(text: str) -> str:
    if "\0" in text:
        return "contains a NUL character"
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            return "contains half a surrogate pair, which is no character"
    return ""


def _read_json(text: str, origin: str) -> object:
    try:
        return json.loads(text, object_pairs_hook=object_of)
    except json.JSONDecodeError as error:
        _refuse(origin, f"is not well-formed JSON: {error.msg}, column {error.colno}", error.lineno)
    except RecursionError:
        _refuse(origin, f"is nested deeper than {MAX_DEPTH} levels")
    except ValueError:
        # The only other one: Python's limit on the digits of an integer.
        _refuse(origin, "holds a number with too many digits")


def json_lines(text: str, wanted: Collection[Place]) -> Mapping[Place, int]:
    """Lines of members (where their key stands) and list items of a well-formed JSON text; of a repeated
    key the last one's."""
    found: dict[Place, int] = {}
    place: list[str | int] = []
    open_brackets: list[str] = []
    key_is_next = False
    line, counted_to = 1, 0
    for match in JSON_TOKEN.finditer(text):
        piece = match[0]
        line += text.count("\n", counted_to, match.start())
        counted_to = match.start()
        if piece == ":":
            continue
        if piece == ",":
            last = place[-1]
            if isinstance(last, int):
                place[-1] = last + 1
            else:
                key_is_next = True
            continue
        if piece in ("}", "]"):
            open_brackets.pop()
            place.pop()
            key_is_next = False
            continue
        if key_is_next:
            place[-1] = json.loads(piece)
            key_is_next = False
            here = tuple(place)
            if here in wanted:
                found[here] = line
            continue
        if open_brackets and open_brackets[-1] == "[" and (here := tuple(place)) in wanted:
            found[here] = line
        if piece in ("{", "["):
            open_brackets.append(piece)
            place.append("" if piece == "{" else 0)
            key_is_next = piece == "{"
    return found


def _too_large(size: int) -> str:
    return f"is too large: {size:,} bytes, at most {MAX_FILE_BYTES:,} are accepted"


def _refuse(origin: str, message: str, line: int | None = None) -> Never:
    raise InvalidMasterplan([Problem(origin, message, line)])
