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

from executions.engine.node import live_nodes
from executions.engine.runner_resources import sandbox
from executions.management.command import PlainCommand
from executions.scripted_model.embedded import current_url
from executions.services.settings_of_execution import configure
from executions.version import VERSION
from mge_site.env import Reading, unknown, without_password


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
            ("Database", _database()),
            ("Model", _model()),
            ("System", _system()),
        ):
            self.stdout.write(f"\n{title}")
            for line in lines:
                wrong += line.bad
                self.stdout.write(f"  {'WRONG' if line.bad else 'ok   '} {line.name:<34} {line.said}")
        self.stdout.write("\n" + (f"{wrong} things are wrong" if wrong else "nothing is wrong"))
        return 1 if wrong else 0


def _settings() -> Iterator[Line]:
    for reading in settings.ENVIRONMENT.readings.values():
        yield Line(reading.variable.name, f"{_shown(reading)}  [{reading.source}]", bool(reading.error))
    for sentence in unknown():
        yield Line(sentence.split(" ", 1)[0], sentence, bad=True)


def _shown(reading: Reading) -> str:
    if reading.error:
        return reading.error
    if reading.variable.secret:
        return "set" if reading.value else "not set"
    if reading.value is None or reading.value == "" or reading.value == ():
        return "-"
    if isinstance(reading.value, tuple):
        return ", ".join(str(one) for one in reading.value)
    return without_password(str(reading.value))


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
        else:
            yield Line(
                "schema", "behind: run `manage.py migrate`" if behind else "up to date", bad=bool(behind)
            )
        if not behind:
            nodes = live_nodes()
            yield Line(
                "nodes", ", ".join(f"{node} ({node.isolation})" for node in nodes) or "no worker is running"
            )
    except DatabaseError as error:
        yield Line("connection", str(error).strip().splitlines()[0], bad=True)


def _model() -> Iterator[Line]:
    configuration = configure({})
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
