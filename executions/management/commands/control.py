"""Steer an execution from the terminal: pause, resume, cancel, retry, roll back, fork, approve, judge, mend by hand."""

from __future__ import annotations

import json
import sys
import uuid
from argparse import ArgumentParser
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from executions.management.command import STOPPED, PlainCommand, Refused
from executions.management.database import ensure_schema
from executions.management.set_option import settings_of
from executions.models import Execution
from executions.services.approvals import approve
from executions.services.control import cancel_execution, pause_execution, resume_execution
from executions.services.errors import InvalidRequest
from executions.services.fork import fork_costs_money, fork_execution
from executions.services.gates import judge_again
from executions.services.repair import RepairPlan, preview_retry, retry_atoms, roll_back
from executions.services.review import MOST_CODE, supply_code
from executions.states import ExecutionStatus, WrongState

Said = tuple[str, dict[str, Any]]
"""What was done: as a sentence, and as members of the JSON object."""
STATES: Mapping[str, Callable[..., ExecutionStatus]] = {
    "pause": pause_execution,
    "resume": resume_execution,
    "cancel": cancel_execution,
}
LONGEST_WHY = 1000


class Command(PlainCommand):
    help = (
        "Steer an execution; `manage.py executions` lists them with their ids. Exit 0: done, or done already; 2: bad input,"
        " every problem on stderr and nothing changed; 3: it does not fit the execution's state, which is named."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("execution", metavar="EXECUTION", help="its id")
        actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)

        def action(name: str, text: str) -> ArgumentParser:
            one: ArgumentParser = actions.add_parser(name, help=text, description=text)
            one.add_argument("--why", default="", metavar="TEXT", help="kept in the history")
            one.add_argument("--json", action="store_true", help="print what was done as one JSON object")
            return one

        action("pause", "no new call starts; calls in flight finish and are validated")
        action("resume", "go on where it was paused")
        action("cancel", "end it for good; calls in flight are aborted")
        retry = action("retry", "generate atoms again, with their whole ladder")
        which = retry.add_mutually_exclusive_group(required=True)
        which.add_argument(
            "--atom", action="append", default=[], metavar="KEY", help="this one; may be repeated"
        )
        which.add_argument("--failed", action="store_true", help="all that ended failed or dead-lettered")
        retry.add_argument(
            "--with-dependents", action="store_true", help="and everything that builds on them"
        )
        retry.add_argument("--preview", action="store_true", help="say what it would do, and change nothing")
        rollback = action("rollback", "back to the end of a wave: everything behind it is generated again")
        rollback.add_argument("--wave", type=int, required=True, metavar="K", help="0: back to the start")
        fork = action("fork", "a new execution that takes over the accepted results up to a wave")
        fork.add_argument("--wave", type=int, required=True, metavar="K", help="0: takes over nothing")
        fork.add_argument(
            "--set", metavar="KEY=VALUE", nargs="+", action="extend", default=[], help="where it differs"
        )
        fork.add_argument("--yes", action="store_true", help="agree to pay for a model that has a price")
        approval = action("approve", "let a wave or an atom begin that waits for a person")
        one_of = approval.add_mutually_exclusive_group(required=True)
        one_of.add_argument("--wave", type=int, metavar="N")
        one_of.add_argument("--atom", metavar="KEY")
        judge = action("judge", "have the project judged again as it is; no atom is generated")
        judge.add_argument(
            "--wave", type=int, metavar="N", help="from this wave's gate on; else from the first that failed"
        )
        review = action("review", "supply an atom's code by hand; a worker judges it like the model's")
        review.add_argument("--atom", required=True, metavar="KEY")
        review.add_argument("--code", required=True, metavar="FILE|-", help="a file, or - for stdin")

    def perform(self, options: dict[str, Any]) -> None:
        if len(options["why"]) > LONGEST_WHY or "\0" in options["why"]:
            raise Refused(f"--why: must be text of at most {LONGEST_WHY} characters")
        ensure_schema()
        execution = _find(options["execution"])
        try:
            sentence, members = self._act(execution, options)
        except InvalidRequest as error:
            raise Refused("\n".join(error.problems)) from error
        except WrongState as error:
            raise Refused(str(error), STOPPED) from error
        execution.refresh_from_db()
        if options["json"]:
            said = {"execution": str(execution.id), "action": options["action"], **members}
            self.stdout.write(json.dumps({**said, "status": execution.status}, ensure_ascii=False))
        else:
            self.stdout.write(sentence)

    def _act(self, execution: Execution, options: dict[str, Any]) -> Said:
        whom = {"execution_id": execution.id, "actor": None, "why": options["why"]}
        match options["action"]:
            case "retry":
                return _retry(whom, options)
            case "rollback":
                return _repaired(roll_back(**whom, wave=options["wave"]), "begins again", "begin again")
            case "fork":
                return self._fork(execution, whom, options)
            case "approve":
                changed = approve(**whom, wave=options["wave"], atom=options["atom"])
                what = options["atom"] or f"wave {options['wave']}"
                return f"{what}: {'approved' if changed else 'was approved already'}", {"changed": changed}
            case "judge":
                gates = judge_again(**whom, wave=options["wave"])
                return f"{gates} gates are run again" if gates else "nothing to do", {"gates": gates}
            case "review":
                attempt = supply_code(**whom, atom=options["atom"], code=_code(options["code"]))
                return f"attempt {attempt} waits for its verdict", {"attempt": str(attempt)}
            case verb:
                return STATES[verb](**whom).value, {}

    def _fork(self, execution: Execution, whom: dict[str, Any], options: dict[str, Any]) -> Said:
        settings = settings_of(options["set"])
        model = fork_costs_money(execution, settings)
        if model is not None and not options["yes"]:
            self._agree_to_pay(model)
        fork = fork_execution(**whom, wave=options["wave"], settings=settings)
        return str(fork.id), {"fork": str(fork.id)}

    def _agree_to_pay(self, model: str) -> None:
        if not sys.stdin.isatty():
            raise Refused(
                f"{model} costs money; add --yes to agree, or name another model with --set model=…"
            )
        self.stderr.write(f"{model} costs money. Go on? [y/N] ", ending="")
        self.stderr.flush()
        if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
            raise Refused("nothing was started")


def _find(text: str) -> Execution:
    try:
        found = Execution.objects.filter(pk=uuid.UUID(text)).select_related("masterplan").first()
    except ValueError:
        found = None
    if found is None:
        raise Refused(f"there is no execution {text!r}; `manage.py executions --all` lists them")
    execution: Execution = found
    return execution


def _retry(whom: dict[str, Any], options: dict[str, Any]) -> Said:
    what = {
        "atoms": options["atom"],
        "failed": options["failed"],
        "with_dependents": options["with_dependents"],
    }
    if options["preview"]:
        sentence, members = _repaired(
            preview_retry(execution_id=whom["execution_id"], **what), "would be generated again"
        )
        return sentence, {**members, "preview": True}
    return _repaired(retry_atoms(**whom, **what), "is generated again", "are generated again")


def _repaired(plan: RepairPlan, one: str, many: str = "") -> Said:
    """What begins anew; `one` and `many` say so of an atom and of several."""
    members = {
        "generated": list(plan.generated),
        "revived": list(plan.revived),
        "kept": list(plan.kept),
        "changes_nothing": plan.changes_nothing,
    }
    if plan.changes_nothing:
        return "nothing to do", members
    lines = [
        _counted(plan.generated, one, many or one),
        _counted(plan.revived, "is no longer blocked", "are no longer blocked"),
        _counted(plan.kept, "builds on them and keeps its code", "build on them and keep their code"),
    ]
    return "\n".join(line for line in lines if line), members


def _counted(keys: Sequence[str], one: str, many: str) -> str:
    if not keys:
        return ""
    count = f"1 atom {one}" if len(keys) == 1 else f"{len(keys)} atoms {many}"
    return f"{count}: {', '.join(keys)}"


def _code(source: str) -> str:
    """The text of a file, or of stdin. Raises Refused for what cannot be read or is no UTF-8."""
    try:
        data = sys.stdin.buffer.read(MOST_CODE + 1) if source == "-" else Path(source).read_bytes()
        return data.decode()
    except OSError as error:
        raise Refused(f"--code: cannot read {source}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise Refused(f"--code: {source} is not text in UTF-8 (byte {error.start})") from error
