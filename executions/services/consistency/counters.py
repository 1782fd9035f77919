"""Counters equal rows: the numbers on an execution and its waves, counted anew."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from executions.services.consistency.inconsistency import Inconsistency
from executions.services.consistency.stored import StoredExecution
from executions.states import AtomStatus

CHECK = "counters"


def counters_equal_rows(stored: StoredExecution) -> Iterator[Inconsistency]:
    """Totals of the execution: atoms, attempts with a verdict, cache hits, calls, tokens, money."""
    for name, expected in _counted(stored).items():
        found = getattr(stored.row, name)
        if found != expected:
            yield stored.wrong(CHECK, name, expected, found)


def _counted(stored: StoredExecution) -> dict[str, int]:
    atoms = Counter(atom.status for atom in stored.atoms.values())
    verdicts, passed, retries, retries_passed = stored.of_execution(
        "SELECT COUNT(*), COALESCE(SUM(CASE WHEN status = 'passed' THEN 1 ELSE 0 END), 0),"
        " COALESCE(SUM(CASE WHEN number > 1 THEN 1 ELSE 0 END), 0),"
        " COALESCE(SUM(CASE WHEN number > 1 AND status = 'passed' THEN 1 ELSE 0 END), 0)"
        " FROM executions_attempt WHERE execution_id = %s AND kind = 'model' AND status IN ('passed', 'rejected')"
    )[0]
    hits = stored.of_execution(
        "SELECT COUNT(*) FROM executions_attempt WHERE execution_id = %s AND kind = 'cache' AND status = 'passed'"
    )[0][0]
    calls, tokens_in, tokens_out, cost, reserved, lost = stored.of_execution(
        "SELECT COUNT(*), COALESCE(SUM(input_tokens), 0), COALESCE(SUM(output_tokens), 0), COALESCE(SUM(cost_nano_usd), 0),"
        " COALESCE(SUM(CASE WHEN outcome = '' THEN reserved_nano_usd ELSE 0 END), 0),"
        " COALESCE(SUM(CASE WHEN outcome <> '' AND cost_nano_usd IS NULL THEN reserved_nano_usd ELSE 0 END), 0)"
        " FROM executions_call WHERE execution_id = %s"
    )[0]
    return {
        "atoms_stored": len(stored.atoms),
        **{
            f"atoms_{status.value}": atoms[status]
            for status in (
                *(AtomStatus.SUCCEEDED, AtomStatus.FAILED, AtomStatus.BLOCKED, AtomStatus.CANCELLED),
                AtomStatus.DEAD_LETTERED,
            )
        },
        "atoms_static": sum(1 for atom in stored.atoms.values() if atom.assurance == "static"),
        "attempts_total": int(verdicts),
        "attempts_passed": int(passed),
        "retries_total": int(retries),
        "retries_passed": int(retries_passed),
        "cache_hits": int(hits),
        "calls_total": int(calls),
        "input_tokens": int(tokens_in),
        "output_tokens": int(tokens_out),
        "cost_nano_usd": int(cost),
        "reserved_nano_usd": int(reserved),
        "lost_nano_usd": int(lost),
    }


def wave_counters_equal_rows(stored: StoredExecution) -> Iterator[Inconsistency]:
    """Totals of each wave, and that there is a row for each wave of the plan."""
    numbers = [wave.number for wave in stored.waves]
    if numbers != list(range(1, stored.row.waves_total + 1)):
        yield stored.wrong(CHECK, "waves", f"1 to {stored.row.waves_total}", numbers or "none")
    ended: Counter[tuple[int, bool]] = Counter()
    sizes: Counter[int] = Counter()
    for atom in stored.atoms.values():
        sizes[atom.wave] += 1
        if atom.has_ended:
            ended[atom.wave, atom.status == AtomStatus.SUCCEEDED] += 1
    for wave in stored.waves:
        place = f"wave {wave.number}"
        counted = {
            "atoms_succeeded": ended[wave.number, True],
            "atoms_unsuccessful": ended[wave.number, False],
        }
        if stored.row.is_built:
            counted["atoms_total"] = sizes[wave.number]
        for name, expected in counted.items():
            if getattr(wave, name) != expected:
                yield stored.wrong(CHECK, f"{place} {name}", expected, getattr(wave, name))


def attempts_equal_rows(stored: StoredExecution) -> Iterator[Inconsistency]:
    """Each atom's number of attempts is that of its verdicts in this generation."""
    counted = {
        row[0]: (int(row[1]), row[2])
        for row in stored.of_execution(
            "SELECT r.key, COUNT(a.id), r.attempts FROM executions_atomrun r LEFT JOIN executions_attempt a"
            " ON a.atom_run_id = r.id AND a.generation = r.generation AND a.kind = 'model'"
            " AND a.status IN ('passed', 'rejected') WHERE r.execution_id = %s"
            " GROUP BY r.id, r.key, r.attempts HAVING COUNT(a.id) <> r.attempts"
        )
    }
    for key, (expected, found) in counted.items():
        yield stored.wrong(CHECK, f"attempts of atom {key}", expected, found)
