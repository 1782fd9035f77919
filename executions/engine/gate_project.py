"""What a gate judges, read from the database and put together by the same functions as the export."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from django.db import connection

from executions.engine import dialect
from executions.engine.configuration import Configuration
from executions.engine.gate_claims import ClaimedGate
from executions.engine.plan_graph import PlanGraph, plan_graph
from executions.engine.stored_plan import accepted_of, plan_spec
from executions.findings import Finding, Severity
from executions.models import Execution
from executions.planning.assembly import AssemblyConflict
from executions.planning.delivery import as_delivered, digest_of
from executions.planning.export import assembled_files, plan_files
from executions.planning.file_names import acceptance_test_file, wave_test_file
from executions.states import GateLevel
from executions.validation.levels.gate import Imports, Project, Suite
from executions.validation.levels.imports import modules_of
from executions.validation.levels.verdict import GateVerdict

IMPORTS_AT_ONCE = 100
"""Modules imported in one process."""
WHOLE_UP_TO = 2_000
"""Files up to which each import sees the whole project; beyond, what it builds on."""
MOST_NAMED = 5
"""Missing atoms that are named; the rest are counted."""


@dataclass(frozen=True, slots=True)
class GateWork:
    """A project to be judged, or the verdict where it could not be put together."""

    project: Project | None
    verdict: GateVerdict | None
    digest: str
    """Of the project's files; of the masterplan's, of everything that is exported."""
    stops: bool


@dataclass(frozen=True, slots=True)
class _Row:
    key: str
    wave: int
    code: str | None
    """None: nothing was accepted."""


def load_gate(claim: ClaimedGate) -> GateWork:
    """The work of a claimed gate; blocks for as long as reading the project takes."""
    execution = Execution.objects.select_related("masterplan").get(pk=claim.execution_id)
    configuration = Configuration.from_json(execution.config)
    of_wave = claim.level is GateLevel.WAVE
    stops = (configuration.gate_wave if of_wave else configuration.gate_masterplan) == "stop"
    try:
        project, digest = _of_wave(execution, claim.wave or 0) if of_wave else _of_masterplan(execution)
    except AssemblyConflict as conflict:
        finding = Finding(Severity.ERROR, "does-not-fit-the-file", str(conflict))
        return GateWork(None, GateVerdict.of(finding), "", stops)
    return GateWork(project, None, digest, stops)


def _of_wave(execution: Execution, wave: int) -> tuple[Project, str]:
    graph = plan_graph(execution.masterplan_id)
    rows = _rows(execution, graph, wave)
    files = as_delivered(
        assembled_files(
            (row.key, graph.nodes[row.key].target_path, row.code) for row in rows if row.code is not None
        )
    )
    plan = execution.masterplan
    tests = [one["tests"] for one in plan.wave_tests if one["wave"] == wave]
    project = Project(
        files=files,
        imports=tuple(_imports(graph, [row for row in rows if row.wave == wave], files)),
        suites=tuple(
            Suite(wave_test_file(plan.slug, wave, number), text) for number, text in enumerate(tests, start=1)
        ),
        missing=_missing(rows),
    )
    return project, digest_of(files)


def _of_masterplan(execution: Execution) -> tuple[Project, str]:
    graph = plan_graph(execution.masterplan_id)
    plan, accepted = plan_spec(execution.masterplan), accepted_of(execution.id)
    everything = as_delivered(plan_files(plan, accepted))
    rows = _rows(execution, graph, execution.waves_total)
    paths = {graph.nodes[key].target_path for key in accepted}
    files = {path: text for path, text in everything.items() if path in paths}
    project = Project(
        files=files,
        imports=tuple(_imports(graph, rows, files)),
        suites=tuple(
            Suite(acceptance_test_file(plan.slug, number), text)
            for number, text in enumerate(plan.acceptance_tests, start=1)
        ),
        missing=_missing(rows),
    )
    return project, digest_of(everything)


def _rows(execution: Execution, graph: PlanGraph, wave: int) -> list[_Row]:
    """Atoms of the waves up to this one, dependencies first."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT r.key, r.wave, a.code FROM executions_atomrun r LEFT JOIN executions_attempt a ON a.id = r.accepted_id"
            " WHERE r.execution_id = %s AND r.wave <= %s",
            [dialect.uid(execution.id), wave],
        )
        rows = [_Row(*row) for row in cursor.fetchall()]
    return sorted(rows, key=lambda row: graph.nodes[row.key].rank)


def _imports(graph: PlanGraph, rows: Sequence[_Row], files: Mapping[str, str]) -> Iterator[Imports]:
    """The modules of the accepted ones among these atoms, some at a time."""
    accepted = [row.key for row in rows if row.code is not None]
    for start in range(0, len(accepted), IMPORTS_AT_ONCE):
        keys = accepted[start : start + IMPORTS_AT_ONCE]
        modules = modules_of([graph.nodes[key].target_path for key in keys])
        if modules:
            yield Imports(modules, files if len(files) <= WHOLE_UP_TO else _built_on(graph, keys, files))


def _built_on(graph: PlanGraph, keys: Sequence[str], files: Mapping[str, str]) -> dict[str, str]:
    around = {one for key in keys for one in (key, *graph.ancestors(key))}
    paths = {graph.nodes[one].target_path for one in around}
    return {path: text for path, text in files.items() if path in paths}


def _missing(rows: Sequence[_Row]) -> str:
    keys = [row.key for row in rows if row.code is None]
    if not keys:
        return ""
    more = f" and {len(keys) - MOST_NAMED} more" if len(keys) > MOST_NAMED else ""
    return f"nothing was accepted for {', '.join(keys[:MOST_NAMED])}{more}"
