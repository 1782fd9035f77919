"""What must be true when everything has come to rest, whatever was done to the product meanwhile.

Checked from outside, in plain SQL and by the scripted model's own count; `manage.py fsck` is asked as well.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from chaos.death_watch import Death
from chaos.faults import Fault
from chaos.installation import CommandFailed, Installation, process_of
from chaos.model_process import Counts
from chaos.plans import MadePlan

ENDED = ("completed", "failed", "cancelled")
MOST_SHOWN = 5
SLACK = timedelta(milliseconds=100)
"""Times of rows are those of their transactions' beginning."""


@dataclass(slots=True)
class Found:
    """What came of the checks."""

    violations: list[str] = field(default_factory=list)
    executions: int = 0
    atoms: int = 0
    succeeded: int = 0
    dead_lettered: int = 0
    calls_expected: int = 0
    """Without any fault, by the plans."""
    calls_made: int = 0
    """By the scripted model's count."""
    calls_lost: int = 0
    """Calls without a recorded answer."""
    calls_allowed: int = 0
    """Calls that were in flight at a fault which could cost them."""
    lease_losses: int = 0
    late_writes: int = 0

    @property
    def calls_beyond(self) -> int:
        return self.calls_made - self.calls_expected

    def add(self, violations: Iterable[str], what: str) -> None:
        listed = list(violations)
        if listed:
            more = f" (and {len(listed) - MOST_SHOWN} more)" if len(listed) > MOST_SHOWN else ""
            self.violations.append(f"{what}: {'; '.join(listed[:MOST_SHOWN])}{more}")


@dataclass(frozen=True, slots=True)
class _Atom:
    execution: str
    plan: str
    key: str
    status: str
    attempts: int
    deaths: int
    fence: int
    lease_owner: str
    accepted: bool


@dataclass(frozen=True, slots=True)
class _Event:
    execution: str
    seq: int
    type: str
    atom: str
    status: str


def check(
    installation: Installation,
    plans: Sequence[MadePlan],
    expected: Mapping[str, Mapping[str, int]],
    counts: Counts,
    faults: Sequence[Fault],
    deaths: Sequence[Death],
) -> Found:
    """All checks. `expected`: attempts by plan and atom, without faults."""
    found = Found()
    atoms = _atoms(installation)
    events = _events(installation)
    for check_one in (_executions_ended, _one_execution_per_plan):
        check_one(installation, plans, found)
    _atoms_as_expected(atoms, expected, found)
    _events_without_gaps(installation, events, found)
    _claims_and_fences(atoms, events, found)
    _accepted_once(installation, events, found)
    _dependencies_first(plans, atoms, events, found)
    _counters(installation, found)
    _calls(installation, counts, faults, deaths, found)
    found.calls_expected = sum(expected[atom.plan].get(atom.key, 1) for atom in atoms)
    found.calls_made = counts.calls
    lost = [atom for atom in atoms if atom.status in ("dead_lettered", "blocked")]
    if found.calls_beyond > found.calls_allowed and not lost:
        found.violations.append(
            f"{found.calls_beyond} calls beyond the fault-free count, but only {found.calls_allowed} were in flight"
        )
    _fsck(installation, found)
    return found


def _atoms(installation: Installation) -> list[_Atom]:
    rows = installation.query(
        "SELECT r.execution_id, m.name, r.key, r.status, r.attempts, r.deaths, r.fence, r.lease_owner, r.accepted_id"
        " FROM executions_atomrun r JOIN executions_execution e ON e.id = r.execution_id"
        " JOIN executions_masterplan m ON m.id = e.masterplan_id ORDER BY r.execution_id, r.position"
    )
    return [
        _Atom(str(execution), plan, key, status, attempts, deaths, fence, owner, accepted is not None)
        for execution, plan, key, status, attempts, deaths, fence, owner, accepted in rows
    ]


def _events(installation: Installation) -> list[_Event]:
    rows = installation.query(
        "SELECT execution_id, seq, type, atom, data FROM executions_event ORDER BY execution_id, seq"
    )
    return [
        _Event(str(execution), seq, kind, atom, _status_in(data)) for execution, seq, kind, atom, data in rows
    ]


def _status_in(data: object) -> str:
    content = json.loads(data) if isinstance(data, str) else data
    return str(content.get("status", "")) if isinstance(content, dict) else ""


def _executions_ended(installation: Installation, plans: Sequence[MadePlan], found: Found) -> None:
    rows = installation.query("SELECT id, status FROM executions_execution")
    found.executions = len(rows)
    found.add((f"{one} is {status}" for one, status in rows if status not in ENDED), "not ended")
    for table, column, open_ones in (
        ("executions_attempt", "status", "'running'"),
        ("executions_call", "outcome", "''"),
        ("executions_wave", "status", "'pending', 'running'"),
        ("executions_gate", "status", "'pending', 'ready', 'running'"),
    ):
        count = installation.query(f"SELECT COUNT(*) FROM {table} WHERE {column} IN ({open_ones})")[0][0]  # noqa: S608
        found.add([f"{count} of them"] if count else [], f"{table} not ended")


def _one_execution_per_plan(installation: Installation, plans: Sequence[MadePlan], found: Found) -> None:
    rows = installation.query(
        "SELECT m.name, COUNT(*) FROM executions_execution e JOIN executions_masterplan m ON m.id = e.masterplan_id"
        " GROUP BY m.name"
    )
    known = {plan.name for plan in plans}
    found.add((f"{name}: {count}" for name, count in rows if name in known and count > 1), "started twice")


def _atoms_as_expected(
    atoms: Sequence[_Atom], expected: Mapping[str, Mapping[str, int]], found: Found
) -> None:
    found.atoms = len(atoms)
    found.succeeded = sum(atom.status == "succeeded" for atom in atoms)
    found.dead_lettered = sum(atom.status == "dead_lettered" for atom in atoms)
    dead = {atom.execution for atom in atoms if atom.status == "dead_lettered"}
    found.add(
        (
            f"{atom.key} is {atom.status}"
            for atom in atoms
            if atom.status not in ("succeeded", "dead_lettered")
            and not (atom.status == "blocked" and atom.execution in dead)
        ),
        "can succeed and did not",
    )
    found.add(
        (f"{a.key}: {a.deaths}" for a in atoms if a.status == "dead_lettered" and a.deaths < 5), "dead early"
    )
    found.add(
        (a.key for a in atoms if (a.status == "succeeded") != a.accepted), "succeeded, but nothing accepted"
    )
    found.add((f"{a.key} by {a.lease_owner}" for a in atoms if a.lease_owner), "still leased")
    found.add(
        (
            f"{atom.key}: {atom.attempts}, not {expected[atom.plan][atom.key]}"
            for atom in atoms
            if atom.status == "succeeded" and atom.attempts != expected[atom.plan].get(atom.key)
        ),
        "other attempts than the plan needs",
    )


def _events_without_gaps(installation: Installation, events: Sequence[_Event], found: Found) -> None:
    numbers: dict[str, list[int]] = defaultdict(list)
    for event in events:
        numbers[event.execution].append(event.seq)
    found.add(
        (one for one, seqs in numbers.items() if seqs != list(range(1, len(seqs) + 1))), "gaps in events"
    )
    rows = installation.query("SELECT id, seq FROM executions_execution")
    found.add(
        (
            f"{one}: {seq}, {len(numbers[str(one)])} events"
            for one, seq in rows
            if seq != len(numbers[str(one)])
        ),
        "counted other events",
    )


def _claims_and_fences(atoms: Sequence[_Atom], events: Sequence[_Event], found: Found) -> None:
    """The fence goes up with each claim, and an atom is claimed again only after its owner is known to be rid of it."""
    claims: Counter[tuple[str, str]] = Counter()
    held: set[tuple[str, str]] = set()
    doubled: list[str] = []
    for event in events:
        place = (event.execution, event.atom)
        if event.type in ("atom.started", "atom.resumed"):
            claims[place] += 1
            if place in held:
                doubled.append(f"{event.atom} at event {event.seq}")
            held.add(place)
        elif event.type in ("atom.released", "lease.lost", "atom.ended", "call.failed"):
            # A call that failed is followed by a wait without a slot.
            held.discard(place)
        found.lease_losses += event.type == "lease.lost"
        found.late_writes += event.type == "lease.late_write"
    found.add(doubled, "claimed while held")
    found.add(
        (
            f"{atom.key}: fence {atom.fence}, {claims[atom.execution, atom.key]} claims"
            for atom in atoms
            if atom.fence != claims[atom.execution, atom.key]
        ),
        "fence and claims differ",
    )


def _accepted_once(installation: Installation, events: Sequence[_Event], found: Found) -> None:
    ends = Counter((event.execution, event.atom) for event in events if event.type == "atom.ended")
    found.add((f"{atom}: {count}" for (_, atom), count in ends.items() if count > 1), "ended twice")
    rows = installation.query(
        "SELECT r.key, COUNT(*) FROM executions_attempt a JOIN executions_atomrun r ON r.id = a.atom_run_id"
        " WHERE a.status = 'passed' GROUP BY r.id, r.key HAVING COUNT(*) > 1"
    )
    found.add((f"{key}: {count}" for key, count in rows), "accepted twice")


def _dependencies_first(
    plans: Sequence[MadePlan], atoms: Sequence[_Atom], events: Sequence[_Event], found: Found
) -> None:
    plan_of = {atom.execution: atom.plan for atom in atoms}
    depends_on = {plan.name: plan.depends_on for plan in plans}
    done: set[tuple[str, str]] = set()
    early: list[str] = []
    for event in events:
        if event.type == "atom.ended" and event.status == "succeeded":
            done.add((event.execution, event.atom))
        elif event.type in ("atom.started", "atom.resumed"):
            needs = depends_on.get(plan_of.get(event.execution, ""), {}).get(event.atom, ())
            early += [f"{event.atom} before {one}" for one in needs if (event.execution, one) not in done]
    found.add(early, "begun before a dependency")


def _counters(installation: Installation, found: Found) -> None:
    """The counters that people see, recomputed from the rows they count."""
    for counter, table, condition in (
        ("atoms_succeeded", "executions_atomrun", "x.status = 'succeeded'"),
        ("atoms_failed", "executions_atomrun", "x.status = 'failed'"),
        ("atoms_dead_lettered", "executions_atomrun", "x.status = 'dead_lettered'"),
        ("attempts_total", "executions_attempt", "x.status IN ('passed', 'rejected') AND x.kind = 'model'"),
        ("attempts_passed", "executions_attempt", "x.status = 'passed' AND x.kind = 'model'"),
        ("calls_total", "executions_call", "1 = 1"),
    ):
        rows = installation.query(
            f"SELECT e.id, e.{counter}, (SELECT COUNT(*) FROM {table} x WHERE x.execution_id = e.id AND {condition})"  # noqa: S608
            " FROM executions_execution e"
        )
        found.add((f"{one}: {said}, not {true}" for one, said, true in rows if said != true), counter)
    rows = installation.query(
        "SELECT e.id, e.cost_nano_usd, (SELECT COALESCE(SUM(c.cost_nano_usd), 0) FROM executions_call c"
        " WHERE c.execution_id = e.id), e.reserved_nano_usd FROM executions_execution e"
    )
    found.add((f"{row[0]}: {row[1]}, not {row[2]}" for row in rows if row[1] != row[2]), "cost_nano_usd")
    found.add((f"{row[0]}: {row[3]}" for row in rows if row[3]), "still reserved")


def _calls(
    installation: Installation,
    counts: Counts,
    faults: Sequence[Fault],
    deaths: Sequence[Death],
    found: Found,
) -> None:
    """Every call has its row, and none without an answer that was not in flight at a fault."""
    rows = installation.query(
        "SELECT c.id, r.key, c.owner, c.outcome, c.started_at, c.ended_at FROM executions_call c"
        " JOIN executions_attempt a ON a.id = c.attempt_id JOIN executions_atomrun r ON r.id = a.atom_run_id"
    )
    recorded = Counter(row[1] for row in rows)
    found.add(
        (
            f"{key}: {made} made, {recorded[key]} rows"
            for key, made in counts.per_atom.items()
            if made > recorded[key]
        ),
        "calls without a row",
    )
    costs = _cost_of(faults, deaths)
    allowed = {row[0] for row in rows if costs(process_of(row[2]), time_of(row[4]), time_of(row[5]))}
    lost = [row for row in rows if row[3] != "answered"]
    found.calls_lost, found.calls_allowed = len(lost), len(allowed)
    found.add(
        (f"{row[1]} by {row[2]} at {row[4]}: {row[3]}" for row in lost if row[0] not in allowed),
        "lost without a fault",
    )


def _cost_of(
    faults: Sequence[Fault], deaths: Sequence[Death]
) -> Callable[[int, datetime | None, datetime | None], bool]:
    """Whether a call of a process, begun and ended then, was in flight at a fault that could cost it."""
    spans = [(f.at, f.until, f.stopped) for f in faults if f.until is not None and f.stopped != frozenset()]
    spans += [(death.lived_at, death.gone_at, frozenset({death.pid})) for death in deaths]

    def costs(pid: int, began: datetime | None, ended: datetime | None) -> bool:
        return began is not None and any(
            (owners is None or pid in owners)
            and began <= last + SLACK
            and (ended is None or ended >= first - SLACK)
            for first, last, owners in spans
            if last is not None
        )

    return costs


def time_of(value: object) -> datetime | None:
    if value is None or isinstance(value, datetime):
        return value
    parsed = datetime.fromisoformat(str(value))
    return parsed if parsed.tzinfo is not None else parsed.replace(tzinfo=UTC)


def _fsck(installation: Installation, found: Found) -> None:
    try:
        installation.manage("fsck")
    except CommandFailed as error:
        found.violations.append(str(error))
