"""Makes a failed assert tell both its sides, and a passed one prove that equal means equal.

Where a name starting with `_mge_` stands for a literal, the assert is not decided here: it reports the value, and the
test goes on. What that name stands for is known outside only (`validation.outside`). Wherever it was decided, each
assert that has held says so, and so does a test function that came to its end: outside it is known which of them a
passed test cannot do without.
"""

from __future__ import annotations

import os

from . import equality, values
from .rewriting import KEEPER

TYPE_CHECKING = False  # known to type checkers; importing typing costs each run milliseconds
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

# Of the report's 512 kB; a value's line has so much around it, and its quotes are doubled.
_MAX_ALL_VALUES, _AROUND_VALUE = 300_000, 250
_MAX_SHOWN = 300
# Taken now: an answer may replace what the builtins module holds later.
_AssertionError, _BaseException = AssertionError, BaseException
_TOO_MUCH = '["?","too much"]'


def shown(value: Any) -> str:
    """`repr`, cut and never raising."""
    try:
        text = repr(value)
    except _BaseException as error:
        text = f"<{type(value).__name__} whose repr raises {type(error).__name__}>"
    return text if len(text) <= _MAX_SHOWN else text[:_MAX_SHOWN] + "…"


class Keeper:
    """What rewritten asserts call. One per run."""

    # So that it cannot be given other methods than its class has.
    __slots__ = (
        "_any_is_the_tests_own", "_held", "_on_trick", "_on_value", "_reported", "_room", "_tests_path", "_told",
    )  # fmt: skip

    def __init__(
        self,
        tests_path: str,
        tests_text: str,
        on_trick: Callable[..., None],
        on_value: Callable[[str, str], None],
    ) -> None:
        self._tests_path = tests_path
        self._any_is_the_tests_own = "ANY" in tests_text
        self._on_trick = on_trick
        self._on_value = on_value
        self._told: list[AssertionError] = []
        self._reported: set[tuple[str, str]] = set()
        self._room = _MAX_ALL_VALUES
        self._held: set[int] = set()

    def begin(self) -> None:
        """Another test: what it reports counts anew."""
        self._reported.clear()
        self._held.clear()

    def held(self, line: int) -> None:
        """The assert in this line has held; a test function that begins there, as a negative number, came to its end."""
        self._held.add(line)

    def all_held(self) -> str:
        """For the result of the test that has passed."""
        return ",".join(map(str, self._held))

    def value(self, name: str, value: Any) -> None:
        """Reports what a comparison got that is decided outside; the same value in a loop once for each test."""
        if name.startswith("_mge_truth_"):
            text = f"[{'true' if value else 'false'},{values.encoded(value)}]"
        elif name.startswith("_mge_none_"):
            text = f"[{'true' if value is None else 'false'},{values.encoded(value)}]"
        else:
            text = values.encoded(value)
        if len(text) > self._room:
            text = (
                _TOO_MUCH
                if name.startswith(("_mge_eq_", "_mge_is_"))
                else f"{text.partition(',')[0]},{_TOO_MUCH}]"
            )
        if (name, text) not in self._reported:
            self._reported.add((name, text))
            self._room -= 2 * len(text) + _AROUND_VALUE
            self._on_value(name, text)

    def compared(self, text: str, sign: str, left: Any, right: Any, message: Any = None) -> AssertionError:
        if sign == "==":
            told = f"got {shown(left)}, expected {shown(right)}"
        else:
            told = f"left is {shown(left)}, right is {shown(right)}"
        return self._failed(text, told, message)

    def untrue(self, text: str, value: Any, message: Any = None) -> AssertionError:
        return self._failed(text, f"got {shown(value)}", message)

    def _failed(self, text: str, told: str, message: Any) -> AssertionError:
        said = (
            ""
            if message is None
            else f" ({shown(message) if not isinstance(message, str) else message[:_MAX_SHOWN]})"
        )
        error = _AssertionError(f"assert {text}: {told}{said}")
        self._told.append(error)
        return error

    def told(self, error: BaseException) -> bool:
        """Whether `error` is one of ours, which says everything already."""
        return any(error is one for one in self._told)

    def equals(self, left: Any, right: Any, truth: bool = True) -> Any:
        """`left == right`, wherever the tests say so: an object that equals everything proves nothing."""
        return equality.equal(left, right, self._on_trick, self._to_be_asked, truth=truth)

    def differs(self, left: Any, right: Any, truth: bool = True) -> Any:
        """`left != right`."""
        return equality.unequal(left, right, self._on_trick, self._to_be_asked, truth=truth)

    def holds(self, item: Any, container: Any) -> Any:
        """`item in container`: what holds everything proves nothing."""
        return equality.held(item, container, self._on_always_true, self._decides)

    def less(self, left: Any, right: Any) -> Any:
        """`left < right`."""
        return equality.ordered(left, right, self._on_always_true, self._decides, less=True)

    def greater(self, left: Any, right: Any) -> Any:
        """`left > right`."""
        return equality.ordered(left, right, self._on_always_true, self._decides, less=False)

    def _on_always_true(self) -> None:
        self._on_trick("always-true")

    def _to_be_asked(self, value: Any) -> bool:
        kind = type(value)
        code = getattr(kind.__eq__, "__code__", None)
        if code is not None and code.co_filename == self._tests_path:
            return False  # the tests' own matcher
        return not (self._any_is_the_tests_own and kind.__module__ == "unittest.mock")

    def _decides(self, value: Any, method: str) -> bool:
        """Whether it has such a method of its own, written in Python and not by the tests."""
        code = getattr(getattr(type(value), method, None), "__code__", None)
        return code is not None and code.co_filename != self._tests_path


def globals_for(keeper: Keeper) -> dict[str, Any]:
    return {KEEPER: keeper}


def last_line_in(error: BaseException, path: str) -> int:
    """The line of the file `path` that `error` passed last on its way; 0 for none."""
    line = 0
    step = error.__traceback__
    while step is not None:
        if os.path.abspath(step.tb_frame.f_code.co_filename) == path:
            line = step.tb_lineno
        step = step.tb_next
    return line
