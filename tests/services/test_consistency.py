"""fsck: each of its checks is shown to fire by breaking rows by hand, and whatever the engine does leaves nothing to find."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection, models, transaction
from django.db.models import F

from executions.engine.reconciler import take_back
from executions.models import Atom, AtomRun, Attempt, Call, Event, Execution, Issue, Wave
from executions.services.consistency import check_all, check_database, check_execution
from executions.services.control import cancel_execution, pause_execution
from executions.services.errors import NotFound
from executions.services.repair import retry_atoms
from executions.services.review import supply_code
from executions.states import CallOutcome
from tests.engine.by_hand import Hand, claiming, expire_leases, start, statuses, succeed_all, write
from tests.plans import adder, layers, plan

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 11, 24, tzinfo=UTC)
NIL = uuid.UUID(int=0)

OURS: tuple[type[models.Model], ...] = (Execution, Wave, AtomRun, Attempt, Call, Event)


@contextmanager
def _lawless() -> Iterator[None]:
    """The database takes rows that its own constraints would refuse; everything is undone at the end."""
    with transaction.atomic():
        with connection.cursor() as cursor:
            _drop_constraints(cursor)
        try:
            yield
        finally:
            transaction.set_rollback(True)
    if connection.vendor == "sqlite":
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA ignore_check_constraints = OFF")


def _drop_constraints(cursor: Any) -> None:
    sqlite = connection.vendor == "sqlite"
    cursor.execute("PRAGMA ignore_check_constraints = ON" if sqlite else "SET CONSTRAINTS ALL IMMEDIATE")
    for model in OURS:
        for constraint in model._meta.constraints:
            if isinstance(constraint, models.UniqueConstraint) and constraint.condition is not None:
                cursor.execute(f"DROP INDEX {constraint.name}")
            elif isinstance(constraint, models.CheckConstraint) and not sqlite:
                cursor.execute(f"ALTER TABLE {model._meta.db_table} DROP CONSTRAINT {constraint.name}")
    if not sqlite:
        cursor.execute("SET CONSTRAINTS ALL DEFERRED")


def _live() -> Execution:
    """A running execution in which something of everything is under way.

    done: succeeded at the second attempt; bad: failed, and blocks `behind`; busy: under a lease with an open call; idle:
    waits between two calls of its first attempt; next: in the second wave, waits for the first.
    """
    atoms = [adder(key) for key in ("done", "bad", "busy", "idle")]
    more = [adder("behind", depends_on=["bad"]), adder("next", depends_on=["done", "busy"])]
    execution = start(plan(*atoms, *more), max_attempts=2)
    hands = {claim.key: Hand(claim, 2) for claim in write(claiming())}
    for key, outcomes in (("done", (False, True)), ("bad", (False, False))):
        for passed in outcomes:
            hands[key].attempt(passed=passed)
    hands["idle"].fault(hands["idle"].intend(), possibly_billed=True, wait_s=3600)
    hands["busy"].intend()
    return execution


def _ended() -> Execution:
    """A completed execution with one success without tests and one dead letter."""
    execution = start(plan(adder("won"), adder("dead")))
    hands = {claim.key: Hand(claim) for claim in write(claiming())}
    hands["won"].answer(hands["won"].intend())
    hands["won"].judge(passed=True, assurance="static")
    hands["dead"].intend()
    while AtomRun.objects.get(key="dead").status != "dead_lettered":
        expire_leases(execution)
        take_back(execution.id)
        write(claiming())
    return execution


def _cancelled() -> Execution:
    execution = start(plan(adder("a"), adder("b", depends_on=["a"])))
    cancel_execution(execution_id=execution.id, actor=None)
    return execution


def _paused() -> Execution:
    execution = start(plan(adder("a"), adder("b", depends_on=["a"])))
    pause_execution(execution_id=execution.id, actor=None)
    return execution


def _run(key: str, /, **changes: Any) -> Callable[[], object]:
    return lambda: AtomRun.objects.filter(key=key).update(**changes)


def _attempt(key: str, number: int, /, **changes: Any) -> Callable[[], object]:
    return lambda: Attempt.objects.filter(atom_run__key=key, number=number).update(**changes)


def _call(key: str, /, **changes: Any) -> Callable[[], object]:
    def change() -> None:
        newest = Call.objects.filter(attempt__atom_run__key=key).order_by("-started_at").first()
        Call.objects.filter(pk=newest.pk).update(**changes)

    return change


def _all(model: Any, /, **changes: Any) -> Callable[[], object]:
    return lambda: model.objects.update(**changes)


def _wave(number: int, /, **changes: Any) -> Callable[[], object]:
    return lambda: Wave.objects.filter(number=number).update(**changes)


def _event(kind: str, atom: str = "", /, **changes: Any) -> Callable[[], object]:
    def change() -> None:
        found = Event.objects.filter(type=kind, **({"atom": atom} if atom else {})).order_by("seq").first()
        Event.objects.filter(pk=found.pk).update(**changes)

    return change


def _tell(kind: str, **columns: Any) -> Callable[[], object]:
    """A fact too many, at the end."""

    def change() -> None:
        execution = Execution.objects.get()
        Event.objects.create(execution=execution, seq=execution.seq + 1, type=kind, at=NOW, **columns)
        Execution.objects.update(seq=F("seq") + 1)

    return change


def _delete(found: Callable[[], Any]) -> Callable[[], object]:
    """Raw: nothing else goes with the rows."""
    return lambda: found()._raw_delete("default")


def _another_attempt(key: str, **columns: Any) -> Callable[[], object]:
    def change() -> None:
        run = AtomRun.objects.get(key=key)
        values = {
            "execution": run.execution,
            "atom_run": run,
            "generation": run.generation,
            "started_at": NOW,
        }
        Attempt.objects.create(**values | columns)

    return change


def _attempt_of_another_execution() -> None:
    other = start(plan(adder("elsewhere")))
    Attempt.objects.filter(atom_run__key="bad", number=1).update(
        atom_run=AtomRun.objects.get(execution=other)
    )


def _call_of_another_execution() -> None:
    Call.objects.filter(attempt__atom_run__key="done").update(execution=start(plan(adder("elsewhere"))))


def _atom_of_another_plan() -> None:
    other = start(plan(adder("elsewhere"))).masterplan
    AtomRun.objects.filter(key="idle").update(atom=Atom.objects.get(masterplan=other))


def _origin_elsewhere() -> None:
    other = start(plan(adder("elsewhere")))
    Execution.objects.exclude(pk=other.pk).update(forked_from=other, forked_at_wave=1)
    _another_attempt(
        "idle", kind="fork", number=1, status="passed", ended_at=NOW, origin=NIL, superseded=True
    )()


FREE = {"lease_owner": "", "lease_until": None}

SABOTAGE: dict[str, list[tuple[Callable[[], Execution], str, Callable[[], object]]]] = {
    "counters": [
        *(
            (_live, name, _all(Execution, **{name: F(name) + 1}))
            for name in (
                *("atoms_succeeded", "atoms_failed", "atoms_blocked", "atoms_cancelled"),
                *("atoms_dead_lettered", "atoms_static", "attempts_total", "attempts_passed"),
                *("retries_total", "retries_passed", "cache_hits", "calls_total", "input_tokens"),
                *("output_tokens", "cost_nano_usd", "reserved_nano_usd", "lost_nano_usd"),
            )
        ),
        (_live, "atoms_stored", _all(Execution, atoms_stored=5)),
        (_live, "atoms_stored", _delete(lambda: AtomRun.objects.filter(key="behind"))),
        (_live, "wave 1 atoms_succeeded", _wave(1, atoms_succeeded=2)),
        (_live, "wave 1 atoms_unsuccessful", _wave(1, atoms_unsuccessful=0)),
        (_live, "wave 2 atoms_total", _wave(2, atoms_total=3)),
        (_live, "waves", _wave(2, number=3)),
        (_live, "attempts of atom bad", _run("bad", attempts=1)),
        (_live, "attempts of atom done", _attempt("done", 1, kind="person")),
        (_live, "calls_total", _delete(lambda: Call.objects.filter(attempt__atom_run__key="done"))),
    ],
    "states": [
        (_live, "ended_at of running", _all(Execution, ended_at=NOW)),
        (_live, "started_at of running", _all(Execution, started_at=None)),
        (_live, "deadline_at of paused", _all(Execution, status="paused", deadline_at=NOW)),
        (_live, "running_since of paused", _all(Execution, status="paused", running_since=NOW)),
        (_live, "atoms under a lease while paused", _all(Execution, status="paused")),
        (_live, "atoms under a lease while completed", _all(Execution, status="completed", ended_at=NOW)),
        (_live, "rows of atoms of running", _all(Execution, atoms_stored=5)),
        (_live, "forked_at_wave of a fork", _all(Execution, forked_from=F("id"))),
        (_paused, "atoms ready before the start", _run("a", status="ready")),
        (_live, "cancelled atoms while running", _run("behind", status="cancelled")),
        (_live, "wave 1, completed", _wave(1, status="completed", ended_at=NOW)),
        (_live, "wave 1, completed: ended_at", _wave(1, status="completed")),
        (_live, "wave 1, running: ended_at", _wave(1, ended_at=NOW)),
        (_live, "wave 1, running: started_at", _wave(1, started_at=None)),
        (_live, "wave 1, pending: atoms at work", _wave(1, status="pending")),
        (_live, "wave 2 of an execution that is running", _wave(2, status="cancelled", ended_at=NOW)),
        (_live, "wave 1, all of whose atoms", _wave(1, atoms_succeeded=1, atoms_unsuccessful=3)),
        (_live, "wave 1, behind current wave 2", _all(Execution, current_wave=2)),
        (_live, "wave 1, not approved: atoms at work", _wave(1, approval="asked")),
        (_live, "atom idle, not approved", _run("idle", approval="needed")),
    ],
    "terminal": [
        (_ended, "wave 1 of an ended execution", _wave(1, status="running")),
        (_ended, "atom won of an ended execution", _run("won", status="pending")),
        (_ended, "running attempts of", _attempt("dead", 1, status="running", ended_at=None)),
        (_ended, "open calls of", _call("dead", outcome="", ended_at=None)),
        (_ended, "reserved_nano_usd of", _all(Execution, reserved_nano_usd=1)),
        (_ended, "ended atoms of a completed", _all(Execution, atoms_succeeded=0)),
    ],
    "plan": [
        (_live, "atom idle", _atom_of_another_plan),
        (_live, "atom idle: key, wave", _run("idle", chain=7)),
        (_live, "atom elder: key, wave", _run("idle", key="elder")),
        (_live, "atoms of the plan without a row", _delete(lambda: AtomRun.objects.filter(key="behind"))),
    ],
    "leases": [
        (_live, "lease of atom busy", _run("busy", **FREE)),
        (_live, "lease of atom busy", _run("busy", lease_until=None)),
        (_live, "lease of atom idle", _run("idle", lease_owner="runner", lease_until=NOW)),
        (_live, "lease of atom done", _run("done", lease_owner="runner")),
        (_live, "atom busy, generating", _run("busy", fence=0)),
        (_live, "atom busy, generating", _run("busy", started_at=None)),
        (_live, "ended_at of atom done", _run("done", ended_at=None)),
        (_live, "ended_at of atom idle", _run("idle", ended_at=NOW)),
    ],
    "accepted": [
        (_live, "atom done, succeeded", _run("done", accepted=None)),
        (_live, "atom done, succeeded", _run("done", assurance="")),
        (_live, "atom bad, failed", _run("bad", assurance="tested")),
        (
            _live,
            "accepted attempt of done",
            lambda: _run("done", accepted=Attempt.objects.get(atom_run__key="bad", number=1))(),
        ),
        (_live, "accepted attempt of done", _attempt("done", 2, superseded=True)),
        (_live, "passed attempts of done", _attempt("done", 1, status="passed")),
        (_live, "passed attempts of bad", _attempt("bad", 1, status="passed")),
    ],
    "waiting": [
        (_live, "blocked atom behind", _run("bad", status="generating")),
        (_live, "atom behind, pending", _run("behind", status="pending")),
        (_live, "unmet dependencies of next", _run("next", unmet=2)),
        (_live, "unmet dependencies of next", _run("next", unmet=0)),
        (_live, "unmet dependencies of idle", _run("idle", unmet=1)),
        (_live, "atom next with unmet", _run("next", status="ready")),
    ],
    "deaths": [(_ended, "deaths of dead-lettered atom dead", _run("dead", deaths=4))],
    "attempts": [
        (_live, "numbers of the attempts of bad", _attempt("bad", 2, number=3)),
        (
            _live,
            "numbers of the attempts of bad",
            _delete(lambda: Attempt.objects.filter(atom_run__key="bad", number=1)),
        ),
        (_live, "running attempt 1 of busy", _run("busy", status="failed", ended_at=NOW)),
        (_live, "attempt of done, generation 2", _attempt("done", 1, generation=2)),
        (_live, "attempt of done, generation 1", _run("done", generation=2)),
        (_live, "ended_at of attempt 1 of done", _attempt("done", 1, ended_at=None)),
        (_live, "ended_at of attempt 1 of busy", _attempt("busy", 1, ended_at=NOW)),
    ],
    "calls": [
        (_live, "open call 1 of busy", _attempt("busy", 1, status="rejected", ended_at=NOW)),
        (_live, "open call 1 of busy", _run("busy", fence=2)),
        (_live, "open call 1 of busy", _run("busy", status="ready", **FREE)),
        (_live, "open call 1 of idle", _call("idle", outcome="", ended_at=None)),
        (_live, "calls of attempt 1 of busy", _call("busy", ordinal=2)),
        (_live, "call ", _call("idle", ended_at=None)),
        (_live, "call ", _call("busy", cost_nano_usd=1)),
        (_live, "call ", _attempt("idle", 1, kind="person")),
    ],
    "references": [
        (_live, " of atom ", _attempt_of_another_execution),
        (_live, " of attempt ", _call_of_another_execution),
        (_live, "origin of attempt 1 (model) of done", _attempt("done", 1, origin=NIL)),
        (_live, "origin of attempt 1 (cache) of done", _attempt("done", 1, kind="cache")),
        (_live, "what idle took over", _origin_elsewhere),
    ],
    "numbers": [
        (_live, "seq of the execution", _all(Execution, seq=F("seq") + 1)),
        (_live, "event after ", _event("attempt.started", "bad", seq=10_000)),
        (_live, "event after ", _delete(lambda: Event.objects.filter(type="atom.ended", atom="bad"))),
    ],
    "order": [
        (_ended, ", atom.resumed won", _tell("atom.resumed", wave=1, atom="won")),
        (_live, "execution.reopened", _tell("execution.reopened")),
        (_live, "start of wave 1", _tell("wave.started", wave=1)),
        (_live, "start of wave 2", _tell("wave.started", wave=2)),
        (_live, "atom.ended done", _tell("atom.ended", wave=1, atom="done", data={"status": "succeeded"})),
        (_live, "atom.resumed done", _tell("atom.resumed", wave=1, atom="done")),
        (_live, "atom.started next", _tell("atom.started", wave=2, atom="next")),
        (_live, "atom.started next", _tell("atom.started", wave=1, atom="next")),
    ],
    "history": [
        (_live, "status of the execution", _all(Execution, status="pausing")),
        (_live, "status of atom done", _event("atom.ended", "done", data={"status": "failed"})),
        (_live, "status of atom done", _event("atom.ended", "done", type="atom.released")),
        (_live, "status of atom idle", _tell("atom.ended", wave=1, atom="idle", data={"status": "failed"})),
        (
            _live,
            "atom ghost of the events",
            _tell("atom.ended", wave=1, atom="ghost", data={"status": "failed"}),
        ),
        (_live, "status of wave 2", _wave(2, status="running", started_at=NOW)),
        (_live, "attempts that passed", _attempt("bad", 1, status="passed")),
        (_live, "attempts that rejected", _event("attempt.ended", "bad", data={"status": "passed"})),
        (_live, "calls that have ended", _event("call.answered", "bad", type="atom.released")),
    ],
}
"""By check: an execution, the start of what is told (or a part of it), and the change that must be told so."""


@pytest.mark.parametrize(
    ("check", "number"),
    [(check, number) for check, found in SABOTAGE.items() for number in range(len(found))],
)
def test_a_row_that_is_changed_by_hand_is_found(check: str, number: int) -> None:
    make, what, change = SABOTAGE[check][number]
    execution = make()
    assert check_execution(execution.id) == []

    with _lawless():
        change()
        found = check_execution(execution.id)

    assert [one for one in found if one.check == check and what in one.what], found
    assert all(one.execution_id == execution.id and one.expected != one.found for one in found)
    assert check_all() == []


def test_every_check_is_tried_here() -> None:
    from executions.services.consistency import atoms, attempts, counters, history, states

    words = {
        value
        for module in (atoms, attempts, counters, history, states)
        for name, value in vars(module).items()
        if name.isupper() and isinstance(value, str)
    }
    assert words == set(SABOTAGE)


@pytest.mark.parametrize(
    ("model", "parent"),
    [
        (Issue, Attempt),
        (Call, Attempt),
        (Attempt, AtomRun),
        (Event, Execution),
        (Wave, Execution),
        (AtomRun, Atom),
    ],
)
def test_a_row_without_its_parent_is_found(model: Any, parent: Any) -> None:
    _live()
    assert model.objects.exists()
    assert check_database() == []

    with _lawless():
        parent.objects.all()._raw_delete("default")
        found = check_database()

    table = model._meta.db_table
    assert [one for one in found if one.what.startswith(table) or table in one.what], found
    assert all(one.execution_id is None for one in found)


@pytest.mark.parametrize("schedule", ["waves", "flow"])
@pytest.mark.parametrize("policy", ["block", "continue", "stop"])
def test_nothing_is_found_at_any_step_of_a_run(schedule: str, policy: str) -> None:
    atoms = [*layers(5, 1), adder("behind", depends_on=["a1.0"]), adder("alone")]
    execution = start(plan(*atoms), max_attempts=2, schedule=schedule, on_dependency_failure=policy)
    assert check_all() == []
    hands = {claim.key: Hand(claim, 2) for claim in write(claiming())}
    assert check_all() == []
    hands["alone"].attempt(passed=True)
    hands["a1.1"].attempt(passed=False)
    hands["a1.1"].attempt(passed=True)
    hands["a1.2"].fault(hands["a1.2"].intend(), outcome=CallOutcome.TRUNCATED, cost_nano_usd=300)
    assert check_all() == []
    open_call = hands["a1.4"].intend()
    assert check_all() == []
    expire_leases(execution)
    take_back(execution.id)
    assert check_all() == []
    hands["a1.4"].answer(open_call)
    assert check_all() == []
    again = {claim.key: Hand(claim, 2) for claim in write(claiming())}
    again["a1.0"].attempt(passed=False)
    again["a1.0"].attempt(passed=False)
    assert check_all() == []
    if policy != "stop":
        again["a1.3"].fault(again["a1.3"].intend(), most=1, possibly_billed=True)
        assert check_all() == []
    cancel_execution(execution_id=execution.id, actor=None)
    assert check_all() == []
    for hand in again.values():
        if AtomRun.objects.get(pk=hand.claim.run_id).status in ("generating", "validating"):
            hand.abort()
    assert check_all() == []
    execution.refresh_from_db()
    assert execution.status == "cancelled"


def test_a_cancel_keeps_accepted_code_that_a_person_was_about_to_replace() -> None:
    """Also where the atom waits again, because what it builds on began anew."""
    execution = start(plan(adder("a"), adder("b", depends_on=["a"]), adder("c")))
    succeed_all(execution)
    retry_atoms(execution_id=execution.id, actor=None, atoms=["a"])
    for key in ("b", "c"):
        supply_code(execution_id=execution.id, actor=None, atom=key, code="x = 1\n")
    assert statuses(execution) == {"a": "ready", "b": "pending", "c": "ready"}
    assert check_all() == []

    cancel_execution(execution_id=execution.id, actor=None)

    assert statuses(execution) == {"a": "cancelled", "b": "succeeded", "c": "succeeded"}
    assert check_all() == []


def test_an_execution_of_no_atoms_and_one_that_succeeded_are_clean() -> None:
    start(plan())
    succeed_all(start(plan(*layers(3, 2, 1)), schedule="flow"))

    assert check_all() == []


def test_an_unknown_execution_cannot_be_checked() -> None:
    with pytest.raises(NotFound, match="there is no execution"):
        check_execution(NIL)


# --- the command ---------------------------------------------------------------------------------------------------------


def _fsck(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = 0
    try:
        call_command("fsck", *arguments)
    except SystemExit as left:
        code = int(left.code or 0)
    said = capsys.readouterr()
    return code, said.out, said.err


def test_the_command_says_that_all_is_well(capsys: pytest.CaptureFixture[str]) -> None:
    execution = _live()
    _ended()

    assert _fsck(capsys) == (0, "2 executions checked: clean\n", "")
    assert _fsck(capsys, str(execution.id)) == (0, "1 executions checked: clean\n", "")


def test_the_command_names_execution_thing_expected_and_found(capsys: pytest.CaptureFixture[str]) -> None:
    execution, other = _live(), _ended()
    Execution.objects.filter(pk=execution.pk).update(calls_total=7)

    code, out, _ = _fsck(capsys)

    assert code == 1
    assert out.splitlines() == [
        f"{execution.id}  counters  calls_total: expected 6, found 7",
        "2 executions checked: 1 inconsistencies",
    ]
    assert _fsck(capsys, str(other.id))[0] == 0


def test_the_command_speaks_json(capsys: pytest.CaptureFixture[str]) -> None:
    execution = _live()
    Execution.objects.update(calls_total=7)

    code, out, _ = _fsck(capsys, "--json")

    assert code == 1
    assert json.loads(out) == {
        "executions": 1,
        "inconsistencies": [
            {
                "execution_id": str(execution.id),
                "check": "counters",
                "what": "calls_total",
                "expected": "6",
                "found": "7",
            }
        ],
    }


@pytest.mark.parametrize("name", ["nonsense", str(NIL)])
def test_the_command_refuses_what_is_no_execution(capsys: pytest.CaptureFixture[str], name: str) -> None:
    code, out, err = _fsck(capsys, name)

    assert (code, out) == (2, "")
    assert name in err
