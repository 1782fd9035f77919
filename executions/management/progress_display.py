"""Progress of executions on stderr: moving bars on a terminal, a plain line per fact otherwise."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from datetime import timedelta
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self

from executions.models import AtomRun, Execution, Gate
from executions.services.explain import why_waiting
from executions.services.reports import NANO, seconds_of
from executions.states import EXECUTION_ENDED, GateStatus

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


MOST_NAMED = 10
"""Atoms without success that the summary names."""
Why = Callable[[Execution], str]


class Display(Protocol):
    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
    def show(self, executions: Sequence[Execution]) -> None: ...
    def say(self, text: str) -> None: ...


def display_for_stderr(why: Why = why_waiting) -> Display:
    """The display that fits stderr; `why` says in words why an execution does not move."""
    return Bars(why) if sys.stderr.isatty() else Lines(why)


class Lines:
    """One line when something changed that a person reading a log would want to know."""

    def __init__(self, why: Why) -> None:
        self._why = why
        self._last: dict[object, tuple[str, int, int]] = {}
        self._reasons: dict[object, str] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def say(self, text: str) -> None:
        sys.stderr.write(text + "\n")
        sys.stderr.flush()

    def show(self, executions: Sequence[Execution]) -> None:
        for execution in executions:
            step = 10 * execution.atoms_ended // max(1, execution.atoms_total)
            seen = (execution.status, execution.current_wave, step)
            if self._last.get(execution.id) != seen:
                self._last[execution.id] = seen
                self.say(f"{execution.masterplan.name}: {summary_line(execution)}")
            reason = self._why(execution) if execution.status not in EXECUTION_ENDED else ""
            if reason != self._reasons.get(execution.id, ""):
                self._reasons[execution.id] = reason
                if reason:
                    self.say(f"{execution.masterplan.name}: {reason}")


def summary_line(execution: Execution) -> str:
    parts = [
        execution.status,
        f"wave {execution.current_wave}/{execution.waves_total}",
        f"{execution.atoms_ended}/{execution.atoms_total} atoms",
        f"{execution.attempts_total} attempts",
    ]
    if execution.atoms_unsuccessful:
        parts.append(f"{execution.atoms_unsuccessful} without success")
    return ", ".join(parts)


class Bars:
    """A bar for each execution."""

    def __init__(self, why: Why) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn

        self._progress: Progress = Progress(
            SpinnerColumn(),
            TextColumn("[bold]{task.description}"),
            BarColumn(bar_width=30),
            TextColumn("{task.completed:>4.0f}/{task.total:.0f} atoms"),
            TextColumn("[dim]{task.fields[detail]}"),
            TextColumn("[yellow]{task.fields[elapsed]}"),
            console=Console(stderr=True),
        )
        self._why = why
        self._bars: dict[object, TaskID] = {}

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def say(self, text: str) -> None:
        from rich.markup import escape

        self._progress.console.print(escape(text), highlight=False)

    def show(self, executions: Sequence[Execution]) -> None:
        from rich.markup import escape

        for execution in executions:
            if execution.id not in self._bars:
                self._bars[execution.id] = self._progress.add_task(
                    escape(execution.masterplan.name[:40]), total=execution.atoms_total, detail="", elapsed=""
                )
            detail = (
                f"wave {execution.current_wave}/{execution.waves_total} · {execution.attempts_total} attempts"
            )
            detail += f" · ${execution.cost_nano_usd / NANO:.4f}"
            reason = self._why(execution) if execution.status not in EXECUTION_ENDED else execution.status
            if execution.atoms_unsuccessful:
                detail += f" · {execution.atoms_unsuccessful} without success"
            if reason:
                detail += f" · {reason}"
            self._progress.update(
                self._bars[execution.id],
                completed=execution.atoms_ended,
                total=execution.atoms_total,
                detail=escape(detail),
                # Not since the bar is there: pauses, and the wait for workers, are none of it.
                elapsed=str(timedelta(seconds=int(execution.ran_seconds))),
            )


def _without_success(execution: Execution) -> list[str]:
    """The atoms that ended without success, each with why, as far as a terminal takes them."""
    runs = AtomRun.objects.filter(execution=execution, status__in=["failed", "blocked", "dead_lettered"])
    lines = [f"  {run.status:<10} {run.key}: {_in_one_line(run.error)}" for run in runs[:MOST_NAMED]]
    more = runs.count() - len(lines)
    return lines + ([f"             and {more} more"] if more > 0 else [])


def _gates(execution: Execution) -> list[str]:
    """How the project was judged: nothing where nothing was executed. A failed gate does not change the exit status."""
    if not execution.gates_total:
        return []
    failed = Gate.objects.filter(execution=execution, status=GateStatus.FAILED).order_by("position")
    lines = [
        f"  gates      {execution.gates_passed} of {execution.gates_total} passed"
        + (f", {execution.gates_failed} FAILED" if execution.gates_failed else "")
    ]
    for gate in failed[:MOST_NAMED]:
        first = next(
            (one["message"] for one in gate.findings if one["severity"] in ("CRITICAL", "ERROR")), ""
        )
        lines.append(f"  failed     {gate}: {_in_one_line(first)}")
    return lines


def _in_one_line(text: str) -> str:
    return " ".join("".join(char if char.isprintable() else " " for char in text).split())[:200]


def summary(executions: Sequence[Execution], *, project: str | None) -> str:
    """What it came to, in a few lines."""
    lines = [""]
    for execution in executions:
        scripted = execution.model.startswith("scripted-")
        retried = execution.retries_total
        lines += [
            f"{execution.masterplan.name}: {execution.status}"
            + (f" ({execution.status_reason})" if execution.status_reason else ""),
            f"  atoms      {execution.atoms_succeeded} of {execution.atoms_total} succeeded,"
            f" precision {execution.precision_percent:.1f} %"
            + (f", {execution.atoms_static} without running tests" if execution.atoms_static else "")
            + (f", {execution.cache_hits} from cache" if execution.cache_hits else ""),
            *_gates(execution),
            f"  attempts   {execution.attempts_total}, {retried} of them after a rejected answer",
            f"  calls      {execution.calls_total} to {execution.model}",
            f"  tokens     {execution.input_tokens:,} in, {execution.output_tokens:,} out",
            f"  cost       ${execution.cost_nano_usd / NANO:.4f}"
            + (" (scripted model: a made-up price, nothing was paid)" if scripted else "")
            + (f", possibly ${execution.lost_nano_usd / NANO:.4f} more" if execution.lost_nano_usd else ""),
            f"  time       {seconds_of(execution):.1f} s",
            f"  execution  {execution.id}",
            *_without_success(execution),
        ]
    if project is not None:
        lines.append(f"  project    {project}")
    return "\n".join(lines)
