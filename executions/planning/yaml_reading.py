"""YAML to plain values, straight from the parser's events: nothing is built that was not looked at.

PyYAML's own composer recurses, expands aliases without a bound and lets a repeated key win silently.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Never

import yaml
from yaml.events import (
    AliasEvent,
    CollectionEndEvent,
    DocumentStartEvent,
    Event,
    MappingStartEvent,
    NodeEvent,
    ScalarEvent,
    SequenceStartEvent,
)

from executions.planning.places import Place, quoted
from executions.planning.specs import MAX_DEPTH

MAX_ALIAS_GROWTH = 1_000_000
"""Values plus characters that all aliases of a file may repeat: enough to share a text, not for a bomb."""

Loader: type[yaml.SafeLoader] | type[yaml.CSafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
CORE = "tag:yaml.org,2002:"
AS_TEXT = (CORE + "str", CORE + "timestamp", CORE + "value", CORE + "merge")
"""Plain scalars of these kinds are taken as the text they are written as (merge keys are refused before)."""

Pairs = Sequence[tuple[str, object]]
ObjectOf = Callable[[Pairs], dict[str, object]]


class UnreadableYaml(ValueError):
    """A text that is not YAML, or more YAML than a masterplan needs."""

    def __init__(self, message: str, line: int | None) -> None:
        self.line = line
        super().__init__(message)


def read_yaml(text: str, object_of: ObjectOf) -> object:
    """The value of the one document in `text`; `object_of` makes its objects. Raises UnreadableYaml."""
    return _Reading(text, object_of).read()


def yaml_lines(text: str, object_of: ObjectOf, wanted: Collection[Place]) -> Mapping[Place, int]:
    """Lines of members (where their key stands) and list items, of a text that `read_yaml` has accepted."""
    reading = _Reading(text, object_of, wanted)
    reading.read()
    return reading.lines


@dataclass(slots=True)
class _Open:
    """A list or object whose end has not been seen yet."""

    is_object: bool
    anchor: str | None
    weight: int = 1
    items: list[object] = field(default_factory=list)
    pairs: list[tuple[str, object]] = field(default_factory=list)
    key: str | None = None

    @property
    def step(self) -> str | int:
        return (self.key or "") if self.is_object else len(self.items)


class _Reading:
    def __init__(self, text: str, object_of: ObjectOf, wanted: Collection[Place] = ()) -> None:
        self.text = text
        self.object_of = object_of
        self.wanted = wanted
        self.lines: dict[Place, int] = {}
        self.open: list[_Open] = []
        self.anchors: dict[str, tuple[object, int]] = {}
        self.growth = 0
        self.root: list[object] = []

    def read(self) -> object:
        try:
            self.loader = Loader(self.text)
            try:
                self._read_events()
            finally:
                self.loader.dispose()
        except yaml.MarkedYAMLError as error:
            line = error.problem_mark.line + 1 if error.problem_mark else None
            raise UnreadableYaml(f"is not well-formed YAML: {error.problem or error.context}", line) from None
        except yaml.reader.ReaderError as error:
            line = self.text.count("\n", 0, error.position) + 1
            raise UnreadableYaml("holds a control character, which YAML does not allow", line) from None
        if not self.root:
            raise UnreadableYaml("is empty", None)
        return self.root[0]

    def _read_events(self) -> None:
        while self.loader.check_event():
            event = self.loader.get_event()
            if isinstance(event, NodeEvent):
                self._begin(event)
            elif isinstance(event, CollectionEndEvent):
                self._close(event)
            elif isinstance(event, DocumentStartEvent) and self.root:
                self._refuse(event, "holds more than one YAML document")

    def _begin(self, event: NodeEvent) -> None:
        self._note_line(event)
        if isinstance(event, AliasEvent):
            if event.anchor not in self.anchors:
                self._refuse(event, f"the alias *{event.anchor} refers to nothing that is complete here")
            value, weight = self.anchors[event.anchor]
            self.growth += weight
            if self.growth > MAX_ALIAS_GROWTH:
                self._refuse(event, "its aliases expand to too much")
            self._put(event, value, weight)
        elif isinstance(event, ScalarEvent):
            value = self._scalar(event)
            weight = 1 + len(event.value)
            if event.anchor:
                self.anchors[event.anchor] = (value, weight)
            self._put(event, value, weight)
        elif isinstance(event, MappingStartEvent | SequenceStartEvent):
            is_object = isinstance(event, MappingStartEvent)
            if event.tag not in (None, "!", CORE + ("map" if is_object else "seq")):
                self._refuse(event, f"the tag {quoted(event.tag)} is not accepted")
            if len(self.open) >= MAX_DEPTH:
                self._refuse(event, f"is nested deeper than {MAX_DEPTH} levels")
            if self.open and self.open[-1].is_object and self.open[-1].key is None:
                self._refuse(event, "a key must be text, not a list or an object")
            self.open.append(_Open(is_object, event.anchor))

    def _close(self, event: Event) -> None:
        done = self.open.pop()
        value: object = self.object_of(done.pairs) if done.is_object else done.items
        if done.anchor:
            self.anchors[done.anchor] = (value, done.weight)
        self._put(event, value, done.weight)

    def _put(self, event: Event, value: object, weight: int) -> None:
        if not self.open:
            self.root.append(value)
            return
        parent = self.open[-1]
        parent.weight += weight
        if not parent.is_object:
            parent.items.append(value)
        elif parent.key is None:
            if not isinstance(value, str):
                self._refuse(event, f"a key must be text, not {value!r}: put it in quotes")
            parent.key = value
            self._note_line(event, key=True)
        else:
            parent.pairs.append((parent.key, value))
            parent.key = None

    def _scalar(self, event: ScalarEvent) -> object:
        tag = event.tag
        if tag is None or tag == "!":
            tag = self.loader.resolve(yaml.ScalarNode, event.value, event.implicit)  # type: ignore[no-untyped-call]
            if tag == CORE + "merge" and self.open and self.open[-1].is_object and self.open[-1].key is None:
                self._refuse(event, "merge keys (<<) are not accepted")
        if tag in AS_TEXT:
            return event.value
        if tag == CORE + "null":
            return None
        construct = {
            CORE + "bool": self.loader.construct_yaml_bool,
            CORE + "int": self.loader.construct_yaml_int,
            CORE + "float": self.loader.construct_yaml_float,
        }.get(str(tag))
        if construct is None:
            self._refuse(event, f"the tag {quoted(str(tag))} is not accepted")
        try:
            return construct(yaml.ScalarNode(tag, event.value))
        except (ValueError, KeyError, IndexError):
            self._refuse(event, f"{quoted(event.value)} is not a value of the kind its tag says")

    def _note_line(self, event: Event, *, key: bool = False) -> None:
        """Members are noted where their key stands, list items where they begin."""
        if not self.wanted or not self.open or self.open[-1].is_object != key:
            return
        place = tuple(level.step for level in self.open)
        if place in self.wanted:
            self.lines[place] = _line(event) or 1

    def _refuse(self, event: Event, message: str) -> Never:
        raise UnreadableYaml(message, _line(event))


def _line(event: Event) -> int | None:
    return event.start_mark.line + 1 if event.start_mark else None
