"""What a runner reads before it works on an atom: the specification, the accepted code it builds on, what was tried.

Read in batches: with the claim, or after it by the runner's reader thread.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from django.conf import settings

from executions.engine import dialect
from executions.engine.accepted_code import accepted_code
from executions.engine.answer_cache import KnownAnswer, with_cache
from executions.engine.cached_rows import CachePlace, scopes_of
from executions.engine.claims import ClaimedAtom
from executions.engine.configuration import Configuration
from executions.engine.cursors import ledger_cursor
from executions.engine.plan_graph import PlanGraph, plan_graph
from executions.findings import Finding, Severity
from executions.generation.prompts import PastAttempt
from executions.models import Atom, Attempt, Call, Execution, Issue
from executions.planning.export import files_for_validation
from executions.planning.specs import AtomSpec
from executions.states import ATTEMPT_COUNTED, AttemptKind, AttemptStatus, CallOutcome

if TYPE_CHECKING:
    from django.db.backends.utils import CursorWrapper

AT_ONCE = 500
"""Rows asked for in one statement."""
MOST_DESCRIBED = 20_000
"""Atoms whose name and signature are kept in the process."""


@dataclass(frozen=True, slots=True)
class ExecutionContext:
    """What all atoms of an execution share."""

    id: uuid.UUID
    masterplan_id: uuid.UUID
    plan_name: str
    plan_description: str
    plan_instructions: str
    requires: tuple[str, ...]
    configuration: Configuration
    cache_scopes: tuple[str, ...]
    """Whose accepted answers it shares."""

    @property
    def uses_cache(self) -> bool:
        return self.configuration.cache == "on" and settings.MGE_CACHE


@dataclass(frozen=True, slots=True)
class OpenAttempt:
    """An attempt that was begun and has no verdict yet; `answer` when its call had been answered already."""

    id: uuid.UUID
    number: int
    prompt_system: str
    prompt_user: str
    calls: int
    truncations: int
    answer: str | None
    kind: AttemptKind = AttemptKind.MODEL
    code: str = ""
    """Of a person: what is judged, as it was given."""

    @property
    def can_be_judged(self) -> bool:
        """Whether nobody need be asked any more."""
        return self.answer is not None or self.kind is not AttemptKind.MODEL


@dataclass(frozen=True, slots=True)
class AtomContext:
    """What the work on one claimed atom needs."""

    claim: ClaimedAtom
    execution: ExecutionContext
    spec: AtomSpec
    dependencies: tuple[tuple[str, str, str, str, str | None], ...]
    """(key, name, signature, target path, accepted code or None) of the direct ones, in the plan's order."""
    files: Mapping[str, str]
    """Other files of the project, as far as this atom builds on them: path to text."""
    same_file: tuple[tuple[str, str], ...]
    """(key, code) of what it builds on in its own target file, dependencies first."""
    shares_file: bool = False
    """Other atoms of the plan have the same target file, whether it builds on them or not."""
    history: list[PastAttempt] = field(default_factory=list)
    open_attempt: OpenAttempt | None = None
    untried: bool = False
    """Nothing was tried for it yet, and it was never begun anew: the only time that the cache is asked."""
    cache: CachePlace | None = None
    """Where its accepted answer belongs; None: the cache is off."""
    known: KnownAnswer | None = None

    @property
    def may_ask(self) -> bool:
        """Whether the work on it may come to ask the model."""
        if self.open_attempt is not None:
            return self.open_attempt.kind is AttemptKind.MODEL
        return self.known is None or not self.known.trusted


def load_execution(execution_id: uuid.UUID) -> ExecutionContext:
    execution = Execution.objects.select_related("masterplan").get(pk=execution_id)
    plan = execution.masterplan
    return ExecutionContext(
        id=execution.id,
        masterplan_id=plan.id,
        plan_name=plan.name,
        plan_description=plan.description,
        plan_instructions=plan.instructions,
        requires=tuple(plan.requires),
        cache_scopes=scopes_of(execution.owner_id, execution.team_id),
        configuration=Configuration.from_json(execution.config),
    )


def texts_to_read(execution: ExecutionContext, claims: Sequence[ClaimedAtom], most: int) -> int | None:
    """How many accepted texts `load_atoms` reads for these, at most; None when they may be more than `most`."""
    graph = plan_graph(execution.masterplan_id)
    texts = 0
    for claim in claims:
        texts += len(graph.nodes[claim.key].depends_on)
        if execution.configuration.runs_tests or graph.nodes[claim.key].target_path in graph.sharing:
            texts += graph.count_ancestors(claim.key, most - texts)
        if texts > most:
            return None
    return texts


def _builds_on(execution: ExecutionContext, graph: PlanGraph, key: str) -> list[str]:
    """What an atom's answer is judged with: tests run against everything that it builds on; without them only its own file
    is put together.
    """
    if execution.configuration.runs_tests:
        return graph.ancestors(key)
    return graph.ancestors_in_its_file(key)


def load_atoms(
    execution: ExecutionContext, claims: Sequence[ClaimedAtom], cursor: CursorWrapper | None = None
) -> list[AtomContext]:
    """Contexts of claims of one execution, in a few queries whatever their number. `cursor`: that of the transaction in which
    they are read.
    """
    if not claims:
        return []
    cursor = cursor or ledger_cursor()
    graph = plan_graph(execution.masterplan_id)
    specs = _specs(cursor, graph, [claim.key for claim in claims])
    runs_tests = execution.configuration.runs_tests
    ancestors = {claim.key: _builds_on(execution, graph, claim.key) for claim in claims}
    direct = {one for claim in claims for one in specs[claim.key].depends_on}
    wanted = direct.union(*ancestors.values())
    code = accepted_code(cursor, execution.id, wanted)
    described = _descriptions(cursor, graph, direct)
    tried = _tried([claim for claim in claims if claim.attempts or claim.fence > 1])
    contexts = []
    for claim in claims:
        spec = specs[claim.key]
        if runs_tests:
            files, same_file = _files(graph, ancestors[claim.key], code, claim.key)
        else:
            files, same_file = {}, tuple((one, code[one]) for one in ancestors[claim.key] if one in code)
        history, open_attempt = tried.get(claim.run_id, ([], None))
        contexts.append(
            AtomContext(
                claim=claim,
                execution=execution,
                spec=spec,
                dependencies=tuple(
                    (one, *described[one], graph.nodes[one].target_path, code.get(one))
                    for one in spec.depends_on
                ),
                files=files,
                same_file=same_file,
                shares_file=spec.target_path in graph.sharing,
                history=history,
                open_attempt=open_attempt,
                untried=claim.generation == 1 and claim.run_id not in tried,
            )
        )
    return with_cache(contexts)


def _specs(cursor: CursorWrapper, graph: PlanGraph, keys: Sequence[str]) -> dict[str, AtomSpec]:
    rows = _by_id(
        cursor,
        "SELECT key, name, description, language, entry_points, signature, contract, prompt, tests, hidden_tests,"
        " target_path, depends_on, instructions, approval, position FROM executions_atom WHERE id",
        [graph.nodes[key].atom_id for key in keys],
    )
    return {
        row[0]: AtomSpec(
            key=row[0],
            name=row[1],
            description=row[2],
            language=row[3],
            entry_points=tuple(dialect.load(row[4])),
            signature=row[5],
            contract=row[6],
            prompt=row[7],
            tests=row[8],
            hidden_tests=row[9],
            target_path=row[10],
            depends_on=tuple(dialect.load(row[11])),
            instructions=row[12],
            approval=bool(row[13]),
            position=row[14],
        )
        for row in rows
    }


_described: dict[int, tuple[str, str]] = {}
"""Name and signature of atoms that others depend on, by the atom's id: atoms never change once stored."""


def _descriptions(cursor: CursorWrapper, graph: PlanGraph, keys: Iterable[str]) -> dict[str, tuple[str, str]]:
    """Name and signature of each."""
    ids = {key: graph.nodes[key].atom_id for key in keys}
    # Asked once each: another thread may empty it meanwhile.
    known = {key: _described.get(one) for key, one in ids.items()}
    found = {key: one for key, one in known.items() if one is not None}
    unknown = sorted(one for key, one in ids.items() if key not in found)
    if len(_described) > MOST_DESCRIBED:
        _described.clear()
    rows = _by_id(cursor, "SELECT id, key, name, signature FROM executions_atom WHERE id", unknown)
    for atom_id, key, name, signature in rows:
        found[key] = _described[atom_id] = (name, signature)
    return found


def _by_id(cursor: CursorWrapper, query: str, ids: Sequence[int]) -> list[Any]:
    """Rows by a query that ends where the ids come, in SQL of our own: each claim asks, and the ORM costs more than the
    database.
    """
    rows: list[Any] = []
    for start in range(0, len(ids), AT_ONCE):
        some = ids[start : start + AT_ONCE]
        these, values = dialect.among(some)
        cursor.execute(f"{query} {these}", values)
        rows += cursor.fetchall()
    return rows


def atom_spec(atom: Atom) -> AtomSpec:
    """The stored atom as planning's value."""
    return AtomSpec(
        key=atom.key,
        name=atom.name,
        description=atom.description,
        language=atom.language,
        entry_points=tuple(atom.entry_points),
        signature=atom.signature,
        contract=atom.contract,
        prompt=atom.prompt,
        tests=atom.tests,
        hidden_tests=atom.hidden_tests,
        target_path=atom.target_path,
        depends_on=tuple(atom.depends_on),
        instructions=atom.instructions,
        approval=atom.approval,
        position=atom.position,
    )


def _files(
    graph: PlanGraph, ancestors: Sequence[str], code: Mapping[str, str], key: str
) -> tuple[dict[str, str], tuple[tuple[str, str], ...]]:
    atoms = {one: _place(graph, one) for one in [*ancestors, key]}
    order = {one: graph.nodes[one].rank for one in atoms}
    accepted = {one: code[one] for one in ancestors if one in code}
    return files_for_validation(atoms, accepted, key, order)


def _place(graph: PlanGraph, key: str) -> AtomSpec:
    node = graph.nodes[key]
    return AtomSpec(
        key=key,
        name="",
        description="",
        language="python",
        entry_points=(),
        signature="",
        contract="",
        prompt="",
        tests="",
        hidden_tests="",
        target_path=node.target_path,
        depends_on=node.depends_on,
        instructions="",
        approval=False,
        position=node.rank,
    )


def _tried(claims: Sequence[ClaimedAtom]) -> dict[uuid.UUID, tuple[list[PastAttempt], OpenAttempt | None]]:
    if not claims:
        return {}
    generation = {claim.run_id: claim.generation for claim in claims}
    attempts = [
        attempt
        for attempt in Attempt.objects.filter(atom_run_id__in=list(generation)).order_by("number")
        if attempt.generation == generation[attempt.atom_run_id]
    ]
    findings: dict[uuid.UUID, list[Finding]] = {}
    for issue in Issue.objects.filter(attempt_id__in=[attempt.id for attempt in attempts]).order_by(
        "ordinal"
    ):
        found = Finding(Severity(issue.severity), issue.rule, issue.message, issue.line, issue.hint)
        findings.setdefault(issue.attempt_id, []).append(found)
    tried: dict[uuid.UUID, tuple[list[PastAttempt], OpenAttempt | None]] = {}
    for attempt in attempts:
        history, open_attempt = tried.get(attempt.atom_run_id, ([], None))
        if attempt.status in ATTEMPT_COUNTED and attempt.kind == AttemptKind.MODEL:
            history.append(
                PastAttempt(
                    number=attempt.number,
                    code=attempt.code,
                    findings=tuple(findings.get(attempt.id, ())),
                    tests_passed=tuple(attempt.tests_passed),
                    tests_total=attempt.tests_total,
                )
            )
        elif attempt.status == AttemptStatus.RUNNING:
            open_attempt = _open_attempt(attempt)
        tried[attempt.atom_run_id] = (history, open_attempt)
    return tried


def _open_attempt(attempt: Attempt) -> OpenAttempt:
    calls = list(Call.objects.filter(attempt=attempt).order_by("ordinal").values_list("outcome", "answer"))
    answered = [answer for outcome, answer in calls if outcome == CallOutcome.ANSWERED]
    return OpenAttempt(
        id=attempt.id,
        number=attempt.number,
        prompt_system=attempt.prompt_system,
        prompt_user=attempt.prompt_user,
        calls=len(calls),
        truncations=sum(1 for outcome, _ in calls if outcome == CallOutcome.TRUNCATED),
        answer=answered[-1] if answered else None,
        kind=AttemptKind(attempt.kind),
        code=attempt.code,
    )
