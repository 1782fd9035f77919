"""Readings as Prometheus metric families: names, labels, units. `docs/metrics.md` has a row for each.

The original's thirteen names begin with `v2_`, ours with `mge_`. How many series there are follows from the number of
waves and of masterplans shown, never from that of atoms: what has not happened yet is there with 0.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from executions.engine.tallies import BOUNDS, MICRO, MORE_WAVES, MOST_WAVES, SUM, Tallied, bucket
from executions.generation.ladder import MAX_RUNGS
from executions.metrics.readings import AtomReading, Counts, Readings
from executions.states import (
    ATOM_ENDED,
    ATTEMPT_COUNTED,
    EXECUTION_ENDED,
    AtomStatus,
    AttemptStatus,
    CallOutcome,
    ExecutionStatus,
)

NANO = 1_000_000_000
FAILED_OUTCOMES = sorted(set(CallOutcome) - {CallOutcome.ANSWERED, CallOutcome.CANCELLED})


def families(readings: Readings, atoms: Sequence[AtomReading] | None = None) -> Iterator[Metric]:
    """Everything that is told of the database; with `atoms`, the two families that may name atoms do so instead of summing."""
    counts = readings.counts
    yield from _retries(readings)
    yield from _waves(readings)
    yield from _plans(readings)
    if atoms is None:
        yield _attempts(counts)
        yield _atom_seconds(counts)
    else:
        yield _attempts_by_atom(atoms)
        yield _seconds_by_atom(atoms)
    yield from _ours(readings)


def collector_up(up: bool) -> Metric:
    """1 when the database answered, 0 when not: then this gauge is all there is of `v2_` and `mge_`."""
    return _gauge(
        "mge_collector_up",
        "Whether the database answered this scrape: 1, or 0 and nothing else of v2_ and mge_.",
        up,
    )


# --- The original's ---------------------------------------------------------------------------------------------------

ATTEMPTS = ("v2_retry_attempts", "Attempts that got a verdict, by their number; 1 is an atom's first.")
ATOM_SECONDS = (
    "v2_atom_execution_time_seconds",
    "Time from an atom's first claim to its end, waits included.",
)


def _attempts(counts: Counts) -> Metric:
    family = CounterMetricFamily(*ATTEMPTS, labels=["attempt_number"])
    for number in range(1, MAX_RUNGS + 1):
        verdicts = sum(counts[Tallied.ATTEMPTS, str(number), status] for status in ATTEMPT_COUNTED)
        family.add_metric([str(number)], verdicts)
    return family


def _attempts_by_atom(atoms: Iterable[AtomReading]) -> Metric:
    family = CounterMetricFamily(*ATTEMPTS, labels=["atom_id", "attempt_number"])
    for atom in atoms:
        for number, amount in sorted(atom.attempts.items()):
            family.add_metric([str(atom.run_id), str(number)], amount)
    return family


def _atom_seconds(counts: Counts) -> Metric:
    family = HistogramMetricFamily(*ATOM_SECONDS)
    _add_histogram(family, [], counts, Tallied.ATOM_SECONDS)
    return family


def _seconds_by_atom(atoms: Iterable[AtomReading]) -> Metric:
    family = HistogramMetricFamily(*ATOM_SECONDS, labels=["atom_id"])
    name = Tallied.ATOM_SECONDS
    key = name.value
    for atom in atoms:
        if atom.seconds is not None:
            one = {(key, "", bucket(name, atom.seconds)): 1, (key, "", SUM): round(atom.seconds * MICRO)}
            _add_histogram(family, [str(atom.run_id)], one, name)
    return family


def _retries(readings: Readings) -> Iterator[Metric]:
    counts = readings.counts
    first, retries = _verdicts(counts, retry=False), _verdicts(counts, retry=True)
    passed = AttemptStatus.PASSED
    yield _gauge(
        "v2_retry_success_rate",
        "Retries that passed / retries with a verdict, since the site began; NaN while there are none.",
        _ratio(retries[passed], sum(retries.values())),
    )
    yield _gauge(
        "v2_atom_validation_pass_rate",
        "Attempts that passed / attempts with a verdict, since the site began; NaN while there are none.",
        _ratio(first[passed] + retries[passed], sum(first.values()) + sum(retries.values())),
    )
    changes = CounterMetricFamily(
        "v2_retry_temperature_changes",
        "Retries whose rung asks for another temperature than the attempt before.",
        labels=["from_temp", "to_temp"],
    )
    for before, after in sorted({change for plan in readings.plans for change in plan.temperatures}):
        changes.add_metric([before, after], counts[Tallied.TEMPERATURES, before, after])
    yield changes


def _waves(readings: Readings) -> Iterator[Metric]:
    counts = readings.counts
    of_waves = (Tallied.WAVE_SECONDS, Tallied.WAVE_THROUGHPUT)
    labels = {label for name, label, _ in counts if name in of_waves}
    labels |= {label for plan in readings.plans for label in plan.waves}
    for name, title, help_text in (
        (
            Tallied.WAVE_SECONDS,
            "v2_wave_time_seconds",
            "Time from a wave's start to the end of its last atom.",
        ),
        (
            Tallied.WAVE_THROUGHPUT,
            "v2_wave_atom_throughput",
            "Succeeded atoms per second of completed waves.",
        ),
    ):
        family = HistogramMetricFamily(title, help_text, labels=["wave_id"])
        for label in sorted(labels, key=_wave_order):
            _add_histogram(family, [label], counts, name, label)
        yield family


def _plans(readings: Readings) -> Iterator[Metric]:
    completion = GaugeMetricFamily(
        "v2_wave_completion_percent",
        "Ended atoms / atoms of the wave, in percent, in the masterplan's newest execution.",
        labels=["wave_id", "masterplan_id"],
    )
    precision = GaugeMetricFamily(
        "v2_execution_precision_percent",
        "Succeeded atoms / atoms, in percent, of the masterplan's newest execution.",
        labels=["masterplan_id"],
    )
    cost = CounterMetricFamily(
        "v2_execution_cost_usd", "Settled cost of the masterplan's executions.", labels=["masterplan_id"]
    )
    seconds = HistogramMetricFamily(
        "v2_execution_time_seconds",
        "Time from an execution's first claim to its end, pauses included.",
        labels=["masterplan_id"],
    )
    succeeded = CounterMetricFamily(
        "v2_atoms_succeeded", "Atoms that ended succeeded.", labels=["wave_id", "masterplan_id"]
    )
    failed = CounterMetricFamily(
        "v2_atoms_failed", "Atoms that ended without success.", labels=["wave_id", "masterplan_id"]
    )
    for plan in readings.plans:
        masterplan = str(plan.masterplan_id)
        precision.add_metric([masterplan], plan.precision_percent)
        cost.add_metric([masterplan], plan.counts[Tallied.COST, "", ""] / NANO)
        _add_histogram(seconds, [masterplan], plan.counts, Tallied.EXECUTION_SECONDS)
        for label in sorted(plan.waves, key=_wave_order):
            completion.add_metric([label, masterplan], plan.waves[label])
            ended = {status: plan.counts[Tallied.ATOMS, label, status] for status in ATOM_ENDED}
            success = ended.pop(AtomStatus.SUCCEEDED)
            succeeded.add_metric([label, masterplan], success)
            failed.add_metric([label, masterplan], sum(ended.values()))
    yield from (completion, precision, cost, seconds, succeeded, failed)


# --- Ours -------------------------------------------------------------------------------------------------------------


def _ours(readings: Readings) -> Iterator[Metric]:
    counts = readings.counts
    yield _gauge("mge_nodes_alive", "Groups of workers that beat lately and take work.", readings.nodes_alive)
    yield _gauge(
        "mge_atoms_waiting",
        "Atoms that could be claimed now: the depth of the queue.",
        readings.atoms_waiting,
    )
    yield _gauge(
        "mge_oldest_waiting_atom_seconds",
        "Longest wait among the atoms that could be claimed now and the executions not begun; 0 when nothing waits.",
        readings.oldest_waiting_s,
    )
    yield _gauge(
        "mge_leases_live", "Atoms that are being worked on under a lease that holds.", readings.leases_live
    )
    yield _gauge(
        "mge_dead_letters", "Atoms given up because their owners died too often.", readings.dead_letters
    )
    yield _gauge(
        "mge_calls_in_flight", "Calls to the model that have no outcome yet.", readings.calls_in_flight
    )
    yield _gauge(
        "mge_messages_queued",
        "Messages that wait for a worker in django-q2's queue.",
        readings.messages_queued,
    )
    yield _gauge(
        "mge_possibly_spent_usd",
        "Reserved for calls that are lost and may have been billed.",
        counts[Tallied.POSSIBLY_SPENT, "", ""] / NANO,
    )
    executions = GaugeMetricFamily("mge_executions", "Executions stored, by status.", labels=["status"])
    for status in ExecutionStatus:
        executions.add_metric([status.value], readings.executions.get(status, 0))
    yield executions
    yield _counter(
        "mge_executions_ended",
        "Executions that ended, by status; one that is reopened ends again.",
        "status",
        {status.value: counts[Tallied.EXECUTIONS, status, ""] for status in sorted(EXECUTION_ENDED)},
    )
    yield _counter(
        "mge_atoms_ended",
        "Atoms that ended, by status; one that is run again ends again.",
        "status",
        {status.value: _sum(counts, Tallied.ATOMS, status) for status in sorted(ATOM_ENDED)},
    )
    verdicts = CounterMetricFamily("mge_verdicts", "Verdicts on attempts.", labels=["attempt", "verdict"])
    for word, retry in (("first", False), ("retry", True)):
        for verdict, amount in _verdicts(counts, retry=retry).items():
            verdicts.add_metric([word, verdict], amount)
    yield verdicts
    yield _counter(
        "mge_calls", "Calls to the model that were begun.", "", {"": counts[Tallied.CALLS, "", ""]}
    )
    yield _counter(
        "mge_calls_failed",
        "Calls without a usable answer, by outcome; lost: their owner was gone.",
        "outcome",
        {outcome.value: counts[Tallied.FAILED_CALLS, outcome, ""] for outcome in FAILED_OUTCOMES},
    )
    yield _counter(
        "mge_late_writes",
        "Results of former owners, refused.",
        "",
        {"": counts[Tallied.LATE_WRITES, "", ""]},
    )
    yield _counter(
        "mge_leases_lost",
        "Atoms taken back because their owner was gone.",
        "",
        {"": counts[Tallied.LOST_LEASES, "", ""]},
    )
    yield _counter(
        "mge_tokens",
        "Tokens, as the model's answers say.",
        "direction",
        {
            "input": counts[Tallied.INPUT_TOKENS, "", ""],
            "output": counts[Tallied.OUTPUT_TOKENS, "", ""],
        },
    )
    yield _counter(
        "mge_cost_usd", "Settled cost of all calls.", "", {"": counts[Tallied.COST, "", ""] / NANO}
    )


# --- Forms ------------------------------------------------------------------------------------------------------------


def _gauge(name: str, help_text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, help_text, value=value)


def _counter(name: str, help_text: str, label: str, values: Mapping[str, float]) -> Metric:
    """A counter with one label, or with none: then `label` and the only key are empty."""
    family = CounterMetricFamily(name, help_text, labels=[label] if label else [])
    for key, value in values.items():
        family.add_metric([key] if label else [], value)
    return family


def _add_histogram(
    family: HistogramMetricFamily,
    labels: Sequence[str],
    counts: Mapping[tuple[str, str, str], int],
    name: Tallied,
    label: str = "",
) -> None:
    """Stored buckets are counted apart; Prometheus wants each to hold those below it."""
    bounds = [*BOUNDS[name], math.inf]
    apart = dict.fromkeys(bounds, 0)
    for (found, place, part), amount in counts.items():
        if found == name and place == label and part != SUM:
            # A bound of an earlier version may be none of today's.
            apart[next(bound for bound in bounds if float(part) <= bound)] += amount
    cumulated = accumulate(apart[bound] for bound in bounds)
    buckets = [(_le(bound), float(amount)) for bound, amount in zip(bounds, cumulated, strict=True)]
    family.add_metric(labels, buckets, counts.get((name, label, SUM), 0) / MICRO)


def _le(bound: float) -> str:
    return "+Inf" if bound == math.inf else str(float(bound))


def _verdicts(counts: Counts, *, retry: bool) -> dict[str, int]:
    numbers = range(2, MAX_RUNGS + 1) if retry else (1,)
    return {
        status.value: sum(counts[Tallied.ATTEMPTS, str(number), status] for number in numbers)
        for status in sorted(ATTEMPT_COUNTED)
    }


def _sum(counts: Counts, name: Tallied, part: str) -> int:
    return sum(amount for (found, _, place), amount in counts.items() if found == name and place == part)


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else math.nan


def _wave_order(label: str) -> int:
    return MOST_WAVES + 1 if label == MORE_WAVES else int(label)
