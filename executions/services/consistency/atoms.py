"""Atoms: those of the plan, under a lease only while worked on, accepted only when they succeeded, waiting for the right ones."""

from __future__ import annotations

from collections.abc import Iterator

from django.conf import settings

from executions.models import Atom
from executions.services.consistency.inconsistency import Inconsistency
from executions.services.consistency.stored import StoredAtom, StoredExecution
from executions.states import ATOM_ENDED, ATOM_UNSUCCESSFUL, AtomStatus, ExecutionStatus

PLAN = "plan"
LEASES = "leases"
ACCEPTED = "accepted"
WAITING = "waiting"
DEATHS = "deaths"

A = AtomStatus


def atoms_are_those_of_the_plan(stored: StoredExecution) -> Iterator[Inconsistency]:
    """Each row stands for an atom of the execution's masterplan, with its place in the graph; none is missing."""
    planned = {
        row[0]: row
        for row in Atom.objects.filter(masterplan=stored.row.masterplan_id)
        .order_by("position")
        .values_list("id", "key", "wave", "chain", "position")
        .iterator(chunk_size=2000)
    }
    for atom in stored.atoms.values():
        found = (atom.atom_id, atom.key, atom.wave, atom.chain, atom.position)
        expected = planned.pop(atom.atom_id, None)
        if expected is None:
            yield stored.wrong(PLAN, f"atom {atom.key}", "one of its masterplan", "of another plan, or twice")
        elif found != expected:
            yield stored.wrong(PLAN, f"atom {atom.key}: key, wave, chain, position", expected[1:], found[1:])
    if planned and stored.row.is_built:
        missing = ", ".join(row[1] for row in list(planned.values())[:5])
        yield stored.wrong(PLAN, "atoms of the plan without a row", 0, f"{len(planned)} ({missing} …)")


def leases_fit(stored: StoredExecution) -> Iterator[Inconsistency]:
    """An owner and a time exactly while an atom is worked on; who ended says when, who was begun too."""
    for atom in stored.atoms.values():
        leased = atom.lease_owner != "" and atom.has_lease
        half = (atom.lease_owner != "") != atom.has_lease
        if half or leased != atom.is_leased:
            expected = "owner and time" if atom.is_leased else "no lease"
            yield stored.wrong(LEASES, f"lease of atom {atom.key}, {atom.status}", expected, _lease(atom))
        if atom.is_leased and (atom.fence == 0 or not atom.started):
            found = f"fence {atom.fence}, started_at {'set' if atom.started else 'not set'}"
            yield stored.wrong(LEASES, f"atom {atom.key}, {atom.status}", "a claim", found)
        if atom.has_ended != atom.ended:
            yield stored.wrong(
                LEASES,
                f"ended_at of atom {atom.key}, {atom.status}",
                "set" if atom.has_ended else "not set",
                "set" if atom.ended else "not set",
            )


def _lease(atom: StoredAtom) -> str:
    return f"owner {atom.lease_owner!r}, {'a' if atom.has_lease else 'no'} time"


def accepted_fits(stored: StoredExecution) -> Iterator[Inconsistency]:
    """Succeeded exactly with one accepted attempt: its own, passed, not superseded; and no other such attempt."""
    passed: dict[object, int] = {}
    for atom_id, count in stored.of_execution(
        "SELECT atom_run_id, COUNT(*) FROM executions_attempt WHERE execution_id = %s AND status = 'passed'"
        " AND NOT superseded GROUP BY atom_run_id"
    ):
        passed[atom_id] = int(count)
    linked = {
        row[0]
        for row in stored.of_execution(
            "SELECT r.key FROM executions_atomrun r JOIN executions_attempt a ON a.id = r.accepted_id"
            " WHERE r.execution_id = %s AND a.atom_run_id = r.id AND a.status = 'passed' AND NOT a.superseded"
        )
    }
    counts = {
        row[1]: passed.get(row[0], 0)
        for row in stored.of_execution("SELECT id, key FROM executions_atomrun WHERE execution_id = %s")
    }
    for atom in stored.atoms.values():
        succeeded = atom.status == A.SUCCEEDED
        if succeeded != (atom.accepted_id is not None) or succeeded != (atom.assurance != ""):
            accepted = "no accepted attempt" if atom.accepted_id is None else "an accepted attempt"
            yield stored.wrong(
                ACCEPTED,
                f"atom {atom.key}, {atom.status}",
                "an accepted attempt and an assurance" if succeeded else "neither attempt nor assurance",
                f"{accepted}, assurance {atom.assurance!r}",
            )
        elif succeeded and atom.key not in linked:
            yield stored.wrong(
                ACCEPTED, f"accepted attempt of {atom.key}", "its own, passed, not superseded", "another one"
            )
        if counts[atom.key] == 1 and atom.key in stored.under_review:
            continue  # what it had holds again if the person's code is rejected
        if counts[atom.key] != (1 if succeeded else 0):
            yield stored.wrong(
                ACCEPTED, f"passed attempts of {atom.key}, {atom.status}", int(succeeded), counts[atom.key]
            )


def waiting_fits_the_graph(stored: StoredExecution) -> Iterator[Inconsistency]:
    """Who waits, waits for as many dependencies as have not succeeded; who is blocked has one that ended badly."""
    row = stored.row
    if row.status in (ExecutionStatus.CANCELLING, ExecutionStatus.CANCELLED) or not row.is_built:
        return
    follows_all = row.on_dependency_failure == "continue"
    met = ATOM_ENDED if follows_all else frozenset({A.SUCCEEDED})
    for atom in stored.atoms.values():
        node = stored.graph.nodes.get(atom.key)
        if node is None:
            continue  # told by `atoms_are_those_of_the_plan`
        states = {one: stored.atoms[one].status for one in node.depends_on if one in stored.atoms}
        bad = [f"{one} {status}" for one, status in states.items() if status in ATOM_UNSUCCESSFUL]
        if atom.status == A.BLOCKED:
            # Those behind an atom that a person mends stay blocked until that code has passed.
            if follows_all or not (bad or stored.under_review & states.keys()):
                yield stored.wrong(
                    WAITING, f"blocked atom {atom.key}", "a dependency that ended badly", "none"
                )
            continue
        if atom.status not in (A.PENDING, A.READY):
            continue
        # A dependency may begin anew while an atom behind it is worked on: that one goes on when it is ready again.
        under_way = atom.status == A.READY and atom.started
        if bad and not follows_all and not under_way:
            yield stored.wrong(WAITING, f"atom {atom.key}, {atom.status}", "blocked", f"behind {bad[0]}")
        missing = {one for one, status in states.items() if status not in met}
        most, least = len(missing), len(missing - stored.under_review)
        if under_way:
            most = least = 0
        if not least <= atom.unmet <= most:
            yield stored.wrong(WAITING, f"unmet dependencies of {atom.key}", most, atom.unmet)
        elif atom.status == A.READY and atom.unmet:
            yield stored.wrong(WAITING, f"atom {atom.key} with unmet dependencies", "pending", "ready")


def dead_letters_died(stored: StoredExecution) -> Iterator[Inconsistency]:
    """Nobody is given up before the limit of dead owners."""
    most: int = settings.MGE_MAX_DEATHS
    for atom in stored.atoms.values():
        if atom.status == A.DEAD_LETTERED and atom.deaths < most:
            yield stored.wrong(DEATHS, f"deaths of dead-lettered atom {atom.key}", f"≥ {most}", atom.deaths)
