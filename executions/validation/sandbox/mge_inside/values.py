"""Writes a plain value down, so that it can be compared outside; read back by `validation.outside_values`.

Plain are the exact built-in types and what is made of them, and their subclasses that leave `__eq__` alone, as named
tuples and defaultdicts do: those compare like what they are derived from. Whatever else comes is only named.
Every type is told apart (`1`, `1.0` and `True` are equal, not the same), by tagged JSON:

    null true false 12 "text"   ["i","-0x1f"]  ["f","0x1.8p+1"]  ["c",real,imag]  ["b","hex"]  ["u","hex"]
    ["l",[…]] ["t",[…]] ["s",[…]] ["z",[…]] ["d",[key,value,…]]  ["n","Point",value]   ["?","why not"]
"""

from __future__ import annotations

from _json import encode_basestring_ascii as _quoted

TYPE_CHECKING = False  # known to type checkers; importing typing costs each run milliseconds
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

MAX_SIZE = 24_000
MAX_DEPTH = 40
_SMALL_INT = 1 << 53
# Taken now: an answer may replace what the builtins module holds later.
_type, _len, _sorted = type, len, sorted
_str, _bytes, _int, _float, _complex, _dict = str, bytes, int, float, complex, dict
_str_part, _bytes_part, _int_of = str.__getitem__, bytes.__getitem__, int.__index__
_hex, _float_hex, _bytes_hex, _encode = hex, float.hex, bytes.hex, str.encode
_items, _join, _UnicodeError = dict.items, str.join, UnicodeError
_BaseException = BaseException
_mro = type.__dict__["__mro__"].__get__
# (type, tag, iterator): told apart by identity, since a type may define what makes it equal to another.
_MANY = tuple(
    (kind, tag, kind.__iter__) for kind, tag in ((list, "l"), (tuple, "t"), (set, "s"), (frozenset, "z"))
)
_BASES = tuple(
    (kind, kind.__eq__, kind.__hash__)
    for kind in (int, float, complex, str, bytes, dict, *(k for k, _, _ in _MANY))
)
_WHOLE = slice(None)


class _NotPlain(Exception):
    """Says why."""


def encoded(value: Any) -> str:
    """`value` as one line of ASCII; `["?", …]` when it cannot be compared outside. Never raises for any value."""
    try:
        return _Writer().written(value, 0, hashed=False)
    except _NotPlain as reason:
        return f'["?",{_quoted(reason.args[0][:200])}]'


def named(value: Any) -> str:
    """A type's name, for messages. Never raises for any value."""
    try:
        name = _type(value).__name__
    except _BaseException:
        return "object"
    return name if _type(name) is _str else "object"


class _Writer:
    def __init__(self) -> None:
        self._left = MAX_SIZE

    def written(self, value: Any, depth: int, *, hashed: bool) -> str:
        kind = _type(value)
        if value is None or value is True or value is False:
            return self._charged("null" if value is None else "true" if value is True else "false")
        if kind is _str:
            return self._text(value)
        if kind is _int:
            return self._integer(value)
        if kind is _float:
            return self._charged(f'["f","{_float_hex(value)}"]')
        if kind is _complex:
            return self._charged(f'["c","{_float_hex(value.real)}","{_float_hex(value.imag)}"]')
        if kind is _bytes:
            self._need(2 * _len(value))
            return self._charged(f'["b","{_bytes_hex(value)}"]')
        if depth >= MAX_DEPTH:
            raise _NotPlain("nested too deeply")
        if kind is _dict:
            return self._mapping(value, depth)
        for exact, tag, iterator in _MANY:
            if kind is exact:
                return self._many(tag, iterator(value), depth, hashed=hashed)
        return self._derived(kind, value, depth, hashed=hashed)

    def _need(self, size: int) -> None:
        if size > self._left:
            raise _NotPlain("too large")

    def _charged(self, text: str) -> str:
        self._need(_len(text))
        self._left -= _len(text)
        return text

    def _text(self, value: str) -> str:
        self._need(_len(value))
        try:
            _encode(value)
        except _UnicodeError:  # JSON could not tell two lone surrogates from a pair
            return self._charged(f'["u","{_bytes_hex(_encode(value, "utf-8", "surrogatepass"))}"]')
        return self._charged(_quoted(value))

    def _integer(self, value: int) -> str:
        if -_SMALL_INT < value < _SMALL_INT:
            return self._charged(f"{value:d}")
        self._need(value.bit_length() // 4)
        return self._charged(f'["i","{_hex(value)}"]')

    def _many(self, tag: str, items: Iterable[Any], depth: int, *, hashed: bool) -> str:
        unordered = tag in "sz"
        parts = []
        for item in items:
            self._left -= 1
            parts.append(self.written(item, depth + 1, hashed=hashed or unordered))
        if unordered:
            parts = _sorted(parts)  # one text for equal sets, whatever their order
        return self._charged(f'["{tag}",[') + f"{_join(',', parts)}]]"

    def _mapping(self, value: dict[Any, Any], depth: int) -> str:
        parts = []
        for key, item in _items(value):
            self._left -= 2
            parts.append(self.written(key, depth + 1, hashed=True))
            parts.append(self.written(item, depth + 1, hashed=False))
        return self._charged('["d",[') + f"{_join(',', parts)}]]"

    def _derived(self, kind: Any, value: Any, depth: int, *, hashed: bool) -> str:
        """A subclass that compares, and where it matters hashes, as its built-in base does."""
        try:
            base = _plain_base(kind, hashed=hashed)
        except _BaseException:  # whatever a metaclass makes of being looked at
            base = None
        if base is None:
            raise _NotPlain(named(value))
        head = self._charged(f'["n",{_quoted(named(value)[:80])},')
        return f"{head}{self._as_base(base, value, depth, hashed=hashed)}]"

    def _as_base(self, base: Any, value: Any, depth: int, *, hashed: bool) -> str:
        """By the base's own methods, past everything that the subclass overrides."""
        if base is _dict:
            return self._mapping(value, depth + 1)
        for exact, tag, iterator in _MANY:
            if base is exact:
                return self._many(tag, iterator(value), depth + 1, hashed=hashed)
        if base is _str:
            return self._text(_str_part(value, _WHOLE))
        if base is _int:
            return self._integer(_int_of(value))
        again = _bytes_part(value, _WHOLE) if base is _bytes else base.__pos__(value)
        return self.written(again, depth, hashed=hashed)


def _plain_base(kind: Any, *, hashed: bool) -> Any:
    for above in _mro(kind):
        for base, equal, hashing in _BASES:
            if above is base:
                same = kind.__eq__ is equal and (not hashed or kind.__hash__ is hashing)
                return base if same else None
    return None
