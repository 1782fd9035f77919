"""Run masterplans from the terminal, from file to tested project."""

from __future__ import annotations

import json
import sys
import uuid
from argparse import ArgumentParser
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from django.conf import settings as site

from executions.engine.node import live_nodes
from executions.engine.runner_resources import can_execute
from executions.management.command import PlainCommand, Refused
from executions.management.ctrl_c import CtrlC
from executions.management.database import ensure_schema
from executions.management.progress_display import Display, display_for_stderr, summary
from executions.management.set_option import settings_of
from executions.models import Execution, Masterplan
from executions.planning.assembly import AssemblyConflict
from executions.planning.delivery import ExportRefused, check_destination, write_export
from executions.planning.format import load_file
from executions.planning.specs import PlanSpec
from executions.scripted_model.embedded import register_answers
from executions.services.control import pause_execution, resume_execution
from executions.services.explain import why_waiting
from executions.services.export import export_of
from executions.services.languages_of_plans import said_before_start
from executions.services.masterplans import store_masterplans
from executions.services.reports import report
from executions.services.settings_of_execution import configure
from executions.services.start import costs_money, start_execution
from executions.services.waiting import wait_until_resting
from executions.states import EXECUTION_CLAIMABLE, EXECUTION_ENDED, ExecutionStatus, WrongState
from executions.supervisor.cluster import Cluster

SOME_FAILED, BAD_INPUT, STOPPED = 1, 2, 3
WORSE = (0, SOME_FAILED, STOPPED, BAD_INPUT)
"""Exit statuses, each worse than the ones before it."""
NAMED = 3
"""Executions of earlier runs that are named."""


@dataclass(slots=True)
class _Work:
    """What the arguments name."""

    files: list[tuple[Path, tuple[PlanSpec, ...]]] = field(default_factory=list)
    ids: list[uuid.UUID] = field(default_factory=list)


class Command(PlainCommand):
    help = (
        "Run masterplans: every atom is generated, validated by its tests, retried with feedback. Takes files, ids of stored"
        " plans, or the id of a paused execution to go on with. Exit 0: all atoms succeeded, 1: some did not, 2: bad input,"
        " 3: stopped."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("plans", metavar="FILE|ID", nargs="+")
        parser.add_argument(
            "--export", metavar="DIR", type=Path, help="write the generated project here; empty or absent"
        )
        parser.add_argument(
            "--set",
            metavar="KEY=VALUE",
            nargs="+",
            action="extend",
            default=[],
            help="settings of the execution",
        )
        parser.add_argument(
            "--json", action="store_true", help="print the outcome as one JSON object on stdout"
        )
        parser.add_argument("--yes", action="store_true", help="agree to pay for a model that has a price")
        parser.add_argument(
            "--scripted", action="store_true", help="use the scripted model, whatever the environment names"
        )

    def perform(self, options: dict[str, Any]) -> int:
        export: Path | None = options["export"]
        scripted: bool = options["scripted"]
        given = settings_of(options["set"])
        configure(given, scripted=scripted)
        work = _resolve(options["plans"])
        if export is not None:
            _check_export(export)
        ensure_schema()
        executions = self._start(work, given, yes=options["yes"], scripted=scripted)
        ended = _run(executions)
        paused = [one for one in ended if one.status not in EXECUTION_ENDED]
        refused = None
        if export is not None and not paused:
            try:
                _export(ended, export)
            except Refused as error:
                # What came of it is told all the same.
                refused = error
        project = str(export) if export is not None and not paused and refused is None else None
        sys.stderr.write(summary(ended, project=project) + "\n")
        for one in paused:
            sys.stderr.write(f"  go on with: manage.py run_masterplan {one.id}\n")
        if options["json"]:
            self.stdout.write(
                json.dumps({"executions": [report(execution) for execution in ended]}, ensure_ascii=False)
            )
        if refused is not None:
            raise refused
        return max((_status(execution) for execution in ended), key=WORSE.index, default=0)

    def _start(self, work: _Work, given: dict[str, str], *, yes: bool, scripted: bool) -> list[Execution]:
        resumed = [
            one for one in (Execution.objects.filter(pk=i).first() for i in work.ids) if one is not None
        ]
        stored = _stored([one for one in work.ids if one not in {execution.id for execution in resumed}])
        for plan in (plan for _, plans in work.files for plan in plans):
            _check(given, plan.defaults, scripted=scripted)
        for masterplan in stored:
            _check(given, masterplan.defaults, scripted=scripted)
        _refuse_unrunnable(given, scripted=scripted)
        for file, plans in work.files:
            stored += store_masterplans(plans, owner=None)
            register_answers(site.MGE_DATA_DIR, file.resolve())
        for masterplan in stored:
            for sentence in said_before_start(masterplan):
                sys.stderr.write(f"{masterplan.name}: {sentence}\n")
            self._agree_to_pay(masterplan, given, yes=yes, scripted=scripted)
        started = [
            start_execution(masterplan=masterplan, actor=None, settings=given, scripted=scripted)
            for masterplan in stored
        ]
        for execution in resumed:
            if execution.status not in EXECUTION_ENDED:
                resume_execution(execution_id=execution.id, actor=None)
        return resumed + started

    def _agree_to_pay(
        self, masterplan: Masterplan, given: dict[str, str], *, yes: bool, scripted: bool
    ) -> None:
        model = costs_money(given, masterplan, scripted=scripted)
        if model is None or yes:
            return
        if not sys.stdin.isatty():
            raise Refused(
                f"{masterplan.name}: {model} costs money; add --yes to agree, or --scripted to run without a model"
            )
        sys.stderr.write(
            f"{masterplan.name}: {masterplan.atoms_total} atoms with {model}, which costs money. Go on? [y/N] "
        )
        sys.stderr.flush()
        if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
            raise Refused("nothing was started")


def _resolve(names: Sequence[str]) -> _Work:
    work = _Work()
    for name in names:
        path = Path(name)
        if path.exists():
            work.files.append((path, load_file(path)))
            continue
        try:
            work.ids.append(uuid.UUID(name))
        except ValueError:
            raise Refused(f"{name}: no such file, and not the id of a stored masterplan") from None
    return work


def _stored(ids: Sequence[uuid.UUID]) -> list[Masterplan]:
    found = Masterplan.objects.in_bulk(list(ids))
    missing = [str(one) for one in ids if one not in found]
    if missing:
        raise Refused(f"there is no masterplan {', '.join(missing)}")
    return [found[one] for one in ids]


def _check(given: dict[str, str], defaults: Any, *, scripted: bool) -> None:
    configure(given, plan_defaults=defaults, scripted=scripted)


def _check_export(directory: Path) -> None:
    try:
        check_destination(directory)
    except ExportRefused as error:
        raise Refused(str(error)) from error


def _refuse_unrunnable(given: dict[str, str], *, scripted: bool) -> None:
    """Without a live node the workers will be our own, on this machine: say at once what they cannot do."""
    if configure(given, scripted=scripted).runs_tests and not live_nodes() and not can_execute():
        raise Refused(
            "generated code cannot be isolated on this machine, so no test can be run; install bubblewrap"
            " (`make system-packages`), see `manage.py doctor`, or leave tests out with --set validators=syntax"
        )


def _export(executions: Sequence[Execution], directory: Path) -> None:
    try:
        write_export(export_of([execution.id for execution in executions]), directory)
    except (AssemblyConflict, ExportRefused) as error:
        ids = ", ".join(str(execution.id) for execution in executions)
        raise Refused(
            f"nothing was exported, the results of {ids} are stored: {error}", SOME_FAILED
        ) from error


def _run(executions: Sequence[Execution]) -> list[Execution]:
    """Wait for the end; with no live node, workers of our own do the work. Ctrl-C pauses, a second one leaves at once."""
    own: list[Cluster] = []

    def why(execution: Execution) -> str:
        return "workers are starting" if own and not live_nodes() else why_waiting(execution)

    ctrl_c = CtrlC()
    with display_for_stderr(why) as display, ctrl_c.taken():
        return _wait(executions, display, own, ctrl_c)


def _wait(
    executions: Sequence[Execution], display: Display, own: list[Cluster], ctrl_c: CtrlC
) -> list[Execution]:
    said: set[str] = set()

    def start_workers() -> None:
        if own and not own[-1].ended():
            return
        for dead in own:
            dead.stop(0)
        # Refused where somebody else's workers are starting or stopping: those are used, or ours start after them.
        if own and (how := own[-1].how_it_ended()) not in said:
            said.add(how)
            display.say(f"the workers ended ({how}): starting new ones")
        own.append(Cluster())

    def until_resting() -> list[Execution]:
        with ctrl_c.waiting():
            return wait_until_resting(ids, seen=display.show, no_worker=start_workers, sleep=ctrl_c.sleep)

    ids = [execution.id for execution in executions]
    for execution in executions:
        display.say(f"{execution.masterplan.name}: execution {execution.id}")
    for sentence in _going_on_besides(ids):
        display.say(sentence)
    try:
        if not live_nodes() and any(one.status not in EXECUTION_ENDED for one in executions):
            start_workers()
        try:
            return until_resting()
        except KeyboardInterrupt:
            display.say("pausing: calls in flight are finished first (Ctrl-C again to leave at once)")
            for one in ids:
                _pause(one)
            return until_resting()
    finally:
        for cluster in own:
            cluster.stop()


def _going_on_besides(ids: Sequence[uuid.UUID]) -> list[str]:
    """Executions of earlier runs that were never paused: the same workers go on with them, and may pay for them."""
    others = Execution.objects.filter(status__in=sorted(EXECUTION_CLAIMABLE)).exclude(pk__in=ids)
    count = others.count()
    if not count or live_nodes():
        return []
    named = ", ".join(str(one) for one in others.order_by("created_at").values_list("pk", flat=True)[:NAMED])
    more = f" and {count - NAMED} more" if count > NAMED else ""
    return [
        f"goes on besides, left unfinished by an earlier run: {named}{more} (`manage.py control ID cancel` ends one)"
    ]


def _pause(execution_id: uuid.UUID) -> None:
    try:
        pause_execution(execution_id=execution_id, actor=None, why="the command that ran it was stopped")
    except WrongState:
        # It ended in the meantime; there is nothing left to pause.
        return


def _status(execution: Execution) -> int:
    if execution.status == ExecutionStatus.COMPLETED:
        return 0 if execution.atoms_succeeded == execution.atoms_total else SOME_FAILED
    return SOME_FAILED if execution.status == ExecutionStatus.FAILED else STOPPED
