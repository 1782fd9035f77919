"""Notices that what runs and judges the tests is no longer what it was.

No wall, since code in the same process can undo what it did before we look, but everything that is aimed at runners in
general is named by it.
"""

from __future__ import annotations

import builtins
import sys
from types import FunctionType

from . import assertions, channel, equality, rewriting, values

TYPE_CHECKING = False  # known to type checkers; importing typing costs each run milliseconds
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from types import CodeType, ModuleType
    from typing import Any

PATCHED, REWRITTEN = "patched-runner", "rewritten-tests"
# What programs replace for good reasons is not among them: print, open, input, __import__.
_BUILTINS = (
    "AssertionError", "BaseException", "Exception", "SystemExit", "abs", "all", "any", "bool", "dict", "float",
    "getattr", "hasattr", "hash", "int", "isinstance", "issubclass", "iter", "len", "list", "max", "min", "next", "repr",
    "round", "set", "setattr", "sorted", "str", "sum", "tuple", "type",
)  # fmt: skip
_OF_UNITTEST = {
    "unittest.case": ("TestCase", "_Outcome", "_AssertRaisesContext", "_AssertRaisesBaseContext"),
    "unittest.result": ("TestResult",),
    "unittest.suite": ("TestSuite", "BaseTestSuite"),
}
_OF_PYTEST = {
    "_pytest.python": ("Function", "PyobjMixin"),
    "_pytest.unittest": ("TestCaseFunction",),
    "_pytest.runner": ("", "CallInfo"),
    "_pytest.reports": ("TestReport", "CollectReport"),
    "_pytest.python_api": ("ApproxBase", "ApproxScalar"),
    "_pytest.raises": ("RaisesExc",),
}
_FunctionType, _isinstance, _type = FunctionType, isinstance, type
_KINDS = (FunctionType, classmethod, staticmethod, type)


class Seal:
    """Holds what was there before any generated code was loaded, and after the tests were."""

    __slots__ = ("_codes", "_marks", "_text")

    def __init__(self, tests_text: str) -> None:
        self._marks: list[tuple[Mapping[str, Any], str, Any, str]] = []
        self._codes: list[tuple[FunctionType, CodeType]] = []
        self._text = tests_text

    def runner(self, *own: type) -> None:
        """Everything of ours and of the libraries that decides what passes; `own` are classes."""
        for kind in (*own, assertions.Keeper, channel.Channel):
            self._all_of(kind.__dict__, PATCHED)
        for module in (assertions, equality, rewriting, values, channel):
            self._all_of(module.__dict__, PATCHED)
        for name in _BUILTINS:
            self._marks.append((builtins.__dict__, name, builtins.__dict__[name], PATCHED))
        if "TestCase.assert" not in self._text:  # else the tests may have replaced it themselves
            self._library(_OF_UNITTEST)
        self._library(_OF_PYTEST)

    def tests(self, module: ModuleType) -> None:
        """The functions that were just loaded."""
        names = module.__dict__
        rebinding = "global " in self._text
        for name, value in list(names.items()):
            if _isinstance(value, _KINDS) and not rebinding:
                self._marks.append((names, name, value, REWRITTEN))
            if _type(value) is _FunctionType and value.__module__ == module.__name__:
                self._codes.append((value, value.__code__))
            elif _isinstance(value, _type) and value.__module__ == module.__name__:
                for inner, method in value.__dict__.items():
                    if _type(method) is _FunctionType:
                        self._codes.append((method, method.__code__))
                        if inner.startswith("test"):
                            self._marks.append((value.__dict__, inner, method, REWRITTEN))

    def broken(self) -> str:
        """The rule that says how; "" while everything is as it was."""
        for function, code in self._codes:
            if function.__code__ is not code:
                return REWRITTEN
        for names, name, value, rule in self._marks:
            if name not in names or names[name] is not value:
                return rule
        return ""

    def _library(self, parts: Mapping[str, Iterable[str]]) -> None:
        for module_name, kinds in parts.items():
            module = sys.modules.get(module_name)
            if module is None:
                continue  # then the tests do not use it
            for name in kinds:
                holder = module.__dict__.get(name) if name else module
                if holder is not None:
                    self._all_of(holder.__dict__, PATCHED)
                    if name:
                        self._marks.append((module.__dict__, name, holder, PATCHED))

    def _all_of(self, names: Mapping[str, Any], rule: str) -> None:
        for name, value in names.items():
            if _isinstance(value, _KINDS):
                self._marks.append((names, name, value, rule))
                if _type(value) is _FunctionType:
                    self._codes.append((value, value.__code__))
