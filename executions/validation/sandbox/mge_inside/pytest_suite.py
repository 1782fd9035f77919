"""Runs the tests by pytest, with our own loading of the test module and our own report.

Plain asserts are rewritten by `rewriting`, not by pytest, so that both runners tell a failure in the same
words and notice the same tricks; the module's code never comes from a file that the answer could change.
"""

from __future__ import annotations

import os
from collections.abc import Generator
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from .suite import Session

_WITHOUT = ("cacheprovider", "doctest", "faulthandler", "junitxml", "pastebin", "stepwise", "terminal")


def run(session: Session) -> None:
    """Collects and runs the tests, then the planted ones, in one pytest session."""
    config = session.config
    project = config["project"]
    # Without a border pytest looks for conftest files up to the root, which `restricted` does not let it see.
    arguments = ["-c", os.devnull, f"--rootdir={project}", f"--confcutdir={project}"]
    arguments += ["--assert=plain", "--import-mode=importlib"]
    for plugin in _WITHOUT:
        arguments += ["-p", f"no:{plugin}"]
    arguments += [config["tests_path"], config["planted_path"]]
    pytest.main(arguments, plugins=[_Reporter(session)])


class _GivenModule(pytest.Module):
    """A test module whose code was handed over, not read."""

    given: ModuleType

    def _getobj(self) -> ModuleType:
        return self.given


class _Reporter:
    def __init__(self, session: Session) -> None:
        self._session = session
        self._loaded: set[bool] = set()
        self._told: dict[str, Any] = {}
        self._outcome = ""

    def pytest_pycollect_makemodule(
        self, module_path: Path, parent: pytest.Collector
    ) -> pytest.Module | None:
        session = self._session
        planted = str(module_path) == session.config["planted_path"]
        if not planted and str(module_path) != session.config["tests_path"]:
            return None
        if planted not in self._loaded:  # pytest asks again for each argument
            if not (session.load_planted() if planted else session.load()):
                session.channel.finish()
                os._exit(0)
            self._loaded.add(planted)
        module: _GivenModule = _GivenModule.from_parent(parent, path=module_path)
        module.given = session.planted if planted else session.tests
        return module

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            text = str(report.longrepr).strip().splitlines()
            message = text[-1] if text else "cannot be collected"
            self._session.channel.say(
                "problem", test=_short(report.nodeid), outcome="failed", message=message
            )

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self._outcome, self._told = "passed", {}
        self._session.begin(_short(nodeid))

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, Any, None]:
        outcome = yield
        report = outcome.get_result()
        if self._outcome != "passed":
            return
        if report.failed:
            error = call.excinfo.value if call.excinfo else None
            self._outcome = self._session.outcome_of(error) if error else "failed"
            if error is None:
                self._told = {"message": str(report.longrepr)[:300], "line": 0}
            else:
                self._told = self._session.described(error)
        elif report.skipped and not hasattr(report, "wasxfail"):
            self._outcome = "skipped"

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        self._session.result(_short(nodeid), self._outcome, **self._told)


def _short(nodeid: str) -> str:
    """`test_atom.py::TestX::test_y[1]` without its file."""
    return nodeid.partition("::")[2] or nodeid
