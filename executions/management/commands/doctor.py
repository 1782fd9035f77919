"""Say what is set, what works here and what does not."""

from __future__ import annotations

import platform
import shutil
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import django
from django.conf import settings
from django.core.checks import run_checks
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor

from executions.engine.canaries import queue_answers
from executions.engine.node import present_nodes
from executions.engine.runner_resources import sandbox
from executions.engine.schema import schema_problem
from executions.management.command import PlainCommand
from executions.scripted_model.embedded import current_url
from executions.services.errors import InvalidSettings
from executions.services.settings_of_execution import configure
from executions.validation.static.checker_process import CheckerBroke, version_of
from executions.version import VERSION
from mge_site.env import without_password
from mge_site.refused import table_line, variables


@dataclass(frozen=True, slots=True)
class Line:
    """One thing that was looked at. `bad`: something to mend; otherwise for the record."""

    name: str
    said: str
    bad: bool = False


class Command(PlainCommand):
    help = "Every setting with its source, the isolation self-test, the database: exit 1 when something is wrong."

    def perform(self, options: dict[str, Any]) -> int:
        wrong = 0
        for title, lines in (
            ("Settings", _settings()),
            ("Isolation of generated code", _isolation()),
            ("Checks of answers that run nothing", _checkers()),
            ("Database", _database()),
            ("Queue", _queue()),
            ("Model", _model()),
            ("System", _system()),
        ):
            self.stdout.write(f"\n{title}")
            for line in lines:
                wrong += line.bad
                self.stdout.write(table_line(line.name, line.said, bad=line.bad))
        self.stdout.write("\n" + (f"{wrong} things are wrong" if wrong else "nothing is wrong"))
        return 1 if wrong else 0


def _settings() -> Iterator[Line]:
    for name, said, bad in variables(settings.ENVIRONMENT):
        yield Line(name, said, bad)


def _isolation() -> Iterator[Line]:
    found = sandbox()
    level = found.isolation.value
    said = {
        "isolated": "isolated: own namespaces, seccomp, limits",
        "restricted": "restricted: Landlock, seccomp, limits (bubblewrap is missing or refused; `make system-packages`)",
        "none": "none: nothing is executed; install bubblewrap (`make system-packages`)",
        "unisolated": "unisolated: generated code runs with your rights, because MGE_EXECUTION says so",
    }[level]
    yield Line("level", said, bad=level in ("none", "unisolated"))
    for check in found.refused:
        yield Line(f"not granted: {check.name}", check.detail)
    for check in found.report:
        yield Line(
            check.name,
            check.detail or ("holds" if check.ok else "does not hold"),
            bad=not check.ok and level == "none",
        )


def _checkers() -> Iterator[Line]:
    for layer, name in (("lint", "ruff"), ("types", "ty")):
        try:
            yield Line(layer, version_of(name))
        except CheckerBroke as error:
            yield Line(layer, f"{error}; install requirements.txt anew", bad=True)


def _database() -> Iterator[Line]:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        if connection.vendor == "sqlite":
            yield Line("engine", f"SQLite {sqlite3.sqlite_version} at {connection.settings_dict['NAME']}")
        else:
            with connection.cursor() as cursor:
                cursor.execute("SHOW server_version")
                yield Line("engine", f"PostgreSQL {cursor.fetchone()[0]}")
        executor = MigrationExecutor(connection)
        behind = executor.migration_plan(executor.loader.graph.leaf_nodes())
        if behind and settings.EMBEDDED_DATABASE:
            yield Line("schema", "not made yet; the first command makes it")
        elif behind:
            yield Line("schema", "behind: run `manage.py migrate`", bad=True)
        else:
            problem = schema_problem()
            yield Line("schema", problem or "up to date", bad=bool(problem))
            yield from _nodes()
    except DatabaseError as error:
        yield Line("connection", str(error).strip().splitlines()[0], bad=True)


def _nodes() -> Iterator[Line]:
    nodes = present_nodes()
    if not nodes:
        yield Line("nodes", "no worker is running")
    for node in nodes:
        state = node.problem or ("is being stopped" if node.draining else "takes work")
        yield Line(f"node {node}", f"{node.isolation}, {node.version}: {state}", bad=bool(node.problem))


def _queue() -> Iterator[Line]:
    if not settings.REDIS_URL:
        yield Line("queue", "in the database")
        return
    shown = without_password(settings.REDIS_URL)
    answers = queue_answers()
    yield Line(
        "queue", f"Redis at {shown}" if answers else f"Redis at {shown} does not answer", bad=not answers
    )


def _model() -> Iterator[Line]:
    try:
        configuration = configure({})
    except InvalidSettings as error:
        for problem in error.problems:
            yield Line("model", problem, bad=True)
        return
    if configuration.endpoint == "embedded":
        url = current_url(settings.MGE_DATA_DIR)
        yield Line("endpoint", f"scripted model {'at ' + url if url else '(started when it is needed)'}")
    else:
        yield Line("endpoint", without_password(settings.ANTHROPIC_BASE_URL) or "Anthropic's")
        yield Line(
            "key",
            "set" if settings.ANTHROPIC_API_KEY else "not set",
            bad=not (settings.ANTHROPIC_API_KEY or settings.ANTHROPIC_BASE_URL),
        )
    yield Line("model", configuration.model)


def _system() -> Iterator[Line]:
    yield Line(
        "versions",
        f"MGE Execution {VERSION}, Python {platform.python_version()}, Django {django.get_version()}",
    )
    yield Line("data folder", f"{settings.MGE_DATA_DIR} ({_free()} free)")
    for problem in run_checks():
        yield Line(problem.id or "check", problem.msg, bad=problem.is_serious())


def _free() -> str:
    place = settings.MGE_DATA_DIR
    while not place.exists():
        place = place.parent
    return f"{shutil.disk_usage(place).free / 2**30:.0f} GiB"
