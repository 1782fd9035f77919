"""Runs one test module and the planted tests behind it, and reports each result.

Function tests, unittest classes and plain `Test*` classes are run here in a few milliseconds; all others by
pytest (`pytest_suite`), twenty times slower. Which one, and which tests, was decided outside from the text.
"""

from __future__ import annotations

import sys
from types import ModuleType

from . import assertions, rewriting
from .channel import Channel
from .seal import Seal

TYPE_CHECKING = False  # known to type checkers; importing typing costs each run milliseconds
if TYPE_CHECKING:
    import unittest
    from collections.abc import Callable
    from typing import Any

    _Config = dict[str, Any]

# Taken before any generated code is loaded.
_BaseException, _SystemExit, _MemoryError = BaseException, SystemExit, MemoryError


def run(config: _Config, channel: Channel) -> None:
    """Everything from the import of the answer to the epilogue; returns only when nothing cut it short."""
    import builtins
    from _sitebuiltins import Quitter

    for name in ("exit", "quit"):  # the site module, left out for speed, would have set these
        setattr(builtins, name, Quitter(name, "Ctrl-D"))
    session = Session(config, channel)
    sys.path.insert(0, config["project"])
    sys.path[1:] = [entry for entry in sys.path[1:] if entry != config["runner"]]
    if config["uses_unittest"]:
        _watch_unittest(session)
    session.seal.runner(Session)
    if config["suite"] == "pytest":
        from . import pytest_suite  # already loaded by the monitor

        pytest_suite.run(session)
    elif session.load():
        _run_plan(session, config["plan"], session.tests)
        if session.load_planted():
            _run_plan(session, config["planted_plan"], session.planted)
    channel.finish()


class Session:
    """What both runners need: the two modules, and a word for every way to fail."""

    # So that no instance can be given other methods than its class has.
    __slots__ = ("_tricks", "channel", "config", "keeper", "planted", "running", "seal", "tests")

    def __init__(self, config: _Config, channel: Channel) -> None:
        self.config = config
        self.channel = channel
        self.running = ""
        self._tricks: set[str] = set()
        self.keeper = assertions.Keeper(config["tests_path"], config["tests"], self._trick, self._value)
        self.seal = Seal(config["tests"])
        self.tests = ModuleType(config["tests_name"])
        self.planted = ModuleType(config["planted_name"])

    def _trick(self, rule: str = "always-equal") -> None:
        if rule not in self._tricks:  # once is enough
            self._tricks.add(rule)
            self.channel.say("trick", test=self.running, outcome=rule)

    def _value(self, name: str, text: str) -> None:
        self.channel.say_value(self.running, name, text)

    def load(self) -> bool:
        """Imports the tests, and by them the answer."""
        if not self._load(self.tests, self.config["tests"], self.config["tests_path"]):
            return False
        self.look_at_seal()
        self.seal.tests(self.tests)
        return True

    def look_at_seal(self) -> None:
        """Reports what is no longer what it was."""
        rule = self.seal.broken()
        if rule:
            self._trick(rule)

    def load_planted(self) -> bool:
        return self._load(self.planted, self.config["planted"], self.config["planted_path"])

    def _load(self, module: ModuleType, text: str, path: str) -> bool:
        self.channel.say("loading", test=module.__name__)
        module.__file__ = path
        module.__dict__.update(assertions.globals_for(self.keeper))
        sys.modules[module.__name__] = module
        try:
            exec(rewriting.compile_tests(text, path), module.__dict__)  # noqa: S102 - what the sandbox is for
        except _BaseException as error:
            outcome = "exit" if isinstance(error, _SystemExit) else "error"
            self.channel.say("not-loaded", outcome=outcome, **self.described(error))
            return False
        return True

    def described(self, error: BaseException) -> dict[str, Any]:
        """message, line and place in the tests of an exception, safe with any `__str__`."""
        line = assertions.last_line_in(error, self.config["target_path"])
        name = type(error).__name__
        try:
            text = str(error)[:2000]
        except _BaseException:
            text = "<its text cannot be shown>"
        if self.keeper.told(error):
            return {"message": text, "line": line}
        if name != "AssertionError" or not text:
            text = f"{name}: {text}" if text else name
        return {
            "message": text,
            "line": line,
            "at": assertions.last_line_in(error, self.config["tests_path"]),
        }

    def begin(self, test: str) -> None:
        self.running = test
        self.keeper.begin()
        self.channel.say("begin", test=test)

    def result(self, test: str, outcome: str, *, message: str = "", line: int = 0, at: int = 0) -> None:
        self.look_at_seal()
        if outcome == "passed":
            self.channel.say_passed(test, self.keeper.all_held())
            return
        self.channel.say("result", test=test, outcome=outcome, message=message, line=line, at=at)

    def outcome_of(self, error: BaseException) -> str:
        if isinstance(error, _SystemExit):
            return "exit"
        if isinstance(error, _MemoryError):
            return "memory"
        return "skipped" if type(error).__name__ in ("SkipTest", "Skipped") else "failed"


def _run_plan(session: Session, plan: list[tuple[str, str, str]], module: ModuleType) -> None:
    names = module.__dict__
    index = 0
    while index < len(plan):
        kind, owner, name = plan[index]
        if kind != "unittest":
            _run_function(session, names, owner, name)
            index += 1
        else:
            end = index
            while end < len(plan) and plan[end][:2] == (kind, owner):
                end += 1
            _run_unittest(session, names[owner], [item[2] for item in plan[index:end]])
            index = end


def _run_function(session: Session, names: dict[str, Any], owner: str, name: str) -> None:
    """A test function, or with `owner` a method of a fresh instance of that class."""
    test = f"{owner}::{name}" if owner else name
    session.begin(test)
    try:
        if owner:
            getattr(names[owner](), name)()
        else:
            names[name]()
    except _BaseException as error:
        outcome = session.outcome_of(error)
        session.result(test, outcome, **session.described(error))
    else:
        session.result(test, "passed")


def _run_unittest(session: Session, case: type[unittest.TestCase], names: list[str]) -> None:
    import unittest

    class Result(unittest.TestResult):
        """Reports as it goes; unittest itself knows setUpClass, subtests and the rest."""

        def __init__(self) -> None:
            super().__init__()
            self.failure: tuple[str, dict[str, Any]] | None = None

        def startTest(self, test: unittest.TestCase) -> None:  # noqa: N802 - unittest's name
            super().startTest(test)
            self.failure = None
            session.begin(_name_of(test))

        def addError(self, test: Any, err: Any) -> None:  # noqa: N802
            outcome, told = session.outcome_of(err[1]), session.described(err[1])
            if isinstance(test, case):
                self.failure = self.failure or (outcome, told)
            else:  # setUpClass and the like: no test of the class will be reported
                session.channel.say("problem", test=case.__name__, outcome=outcome, **told)

        def addFailure(self, test: Any, err: Any) -> None:  # noqa: N802
            self.addError(test, err)

        def addSubTest(self, test: Any, subtest: Any, err: Any) -> None:  # noqa: N802
            if err is not None:
                self.addError(test, err)

        def addSkip(self, test: Any, reason: str) -> None:  # noqa: N802
            self.failure = ("skipped", {"message": reason, "line": 0})

        def addUnexpectedSuccess(self, test: Any) -> None:  # noqa: N802
            self.failure = ("failed", {"message": "was expected to fail and did not", "line": 0})

        def stopTest(self, test: unittest.TestCase) -> None:  # noqa: N802
            super().stopTest(test)
            if self.failure is None:
                session.result(_name_of(test), "passed")
            else:
                session.result(_name_of(test), self.failure[0], **self.failure[1])

    def _name_of(test: unittest.TestCase) -> str:
        return f"{type(test).__name__}::{test._testMethodName}"

    try:
        unittest.TestSuite([case(name) for name in names]).run(Result())
    except _BaseException as error:
        session.channel.say(
            "problem", test=session.running, outcome=session.outcome_of(error), **session.described(error)
        )


def _watch_unittest(session: Session) -> None:
    """assertEqual shall notice objects that equal everything, as plain asserts do."""
    import unittest

    def watched(original: Callable[..., None]) -> Callable[..., None]:
        def check(self: Any, first: Any, second: Any, msg: Any = None) -> None:
            original(self, first, second, msg)
            session.keeper.equals(first, second)

        return check

    for name in ("assertEqual", "assertListEqual", "assertDictEqual", "assertTupleEqual", "assertSetEqual"):
        setattr(unittest.TestCase, name, watched(getattr(unittest.TestCase, name)))
