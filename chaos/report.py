"""What a campaign found: a table for people, JSON for machines."""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from chaos.faults import Fault, Kind
from chaos.rounds import Round


def table(rounds: Sequence[Round], seconds: float) -> str:
    """Faults by kind with their recovery times, the calls, and the verdict."""
    faults = [fault for one in rounds for fault in one.faults]
    lines = [f"{'fault':<40} {'count':>5} {'recovered':>9} {'median':>8} {'max':>8}"]
    for kind in Kind:
        mine = [fault for fault in faults if fault.kind is kind]
        if mine:
            lines.append(_line(kind.value, mine))
    lines.append(_line("all", faults))
    lines.append("")
    engines = dict.fromkeys(one.engine for one in rounds)
    lines += [_engine_line(engine, [one for one in rounds if one.engine == engine]) for engine in engines]
    missed = sum(len(one.missed) for one in rounds)
    lines.append(
        f"{len(rounds)} rounds, {len(faults)} faults ({missed} found no victim), {seconds / 60:.1f} minutes"
    )
    return "\n".join(lines)


def _line(name: str, faults: Sequence[Fault]) -> str:
    times = [fault.recovered_s for fault in faults if fault.recovered_s is not None]
    shown = f"{statistics.median(times):>7.1f}s {max(times):>7.1f}s" if times else f"{'-':>8} {'-':>8}"
    return f"{name:<40} {len(faults):>5} {len(times):>9} {shown}"


def _engine_line(engine: str, rounds: Sequence[Round]) -> str:
    found = [one.found for one in rounds]
    bad = sum(not one.held for one in rounds)
    return (
        f"{engine}: {sum(len(one.faults) for one in rounds)} faults; {sum(f.executions for f in found)} executions,"
        f" {sum(f.succeeded for f in found)} of {sum(f.atoms for f in found)} atoms succeeded,"
        f" {sum(f.dead_lettered for f in found)} dead-lettered; calls: {sum(f.calls_made for f in found)} made,"
        f" {sum(f.calls_beyond for f in found)} beyond the fault-free count,"
        f" {sum(f.calls_allowed for f in found)} were in flight at the faults;"
        f" {sum(f.lease_losses for f in found)} leases lost, {sum(f.late_writes for f in found)} late writes refused;"
        f" {'all held' if not bad else f'{bad} of {len(rounds)} rounds did NOT hold'}"
    )


def write_json(path: Path, rounds: Sequence[Round], *, seed: int, seconds: float, command: str) -> None:
    """All of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "seed": seed,
        "command": command,
        "seconds": round(seconds, 1),
        "held": all(one.held for one in rounds),
        "rounds": [_round(one) for one in rounds],
    }
    path.write_text(json.dumps(content, indent=1, default=str) + "\n", encoding="utf-8")


def _round(one: Round) -> dict[str, Any]:
    return {
        "engine": one.engine,
        "number": one.number,
        "seconds": round(one.seconds, 1),
        "held": one.held,
        "found": {**asdict(one.found), "calls_beyond": one.found.calls_beyond},
        "missed": one.missed,
        "faults": [
            {
                "kind": fault.kind.name.lower(),
                "moment": fault.moment,
                "at": fault.at,
                "node": fault.node,
                "in_flight": fault.in_flight,
                "held": len(fault.held),
                "recovered_s": None if fault.recovered_s is None else round(fault.recovered_s, 2),
                "note": fault.note,
            }
            for fault in one.faults
        ],
    }
