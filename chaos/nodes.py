"""`python -m chaos.nodes`: several nodes, each with a network of its own to the database, share one execution.

Two and four `manage.py worker` nodes work on 1,000 atoms, 100 in flight in all. One of them is cut off for three leases,
once so that its connections hang and once so that they break: it loses what it held, the others finish, and what it
writes late is refused. Exit 0 only if all of that held.
"""

from __future__ import annotations

import argparse
import json
import random
import secrets
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from chaos.death_watch import Death
from chaos.faults import Fault, Kind
from chaos.installation import CommandFailed, Installation, Node, Place, plain_environment, process_of
from chaos.invariants import Found, check, time_of
from chaos.model_process import ModelProcess
from chaos.moments import Moment
from chaos.plans import MadePlan, layered_plan
from chaos.private_services import Missing, PrivatePostgres
from chaos.tcp_proxy import TcpProxy
from chaos.waiting import InVain, wait_for

ROOT = Path(__file__).resolve().parents[1]
LEASES_AWAY = 3
START_S = 120.0
END_S = 400.0
STOP_S = 60.0
STARTED = """
from executions.models import Masterplan
from executions.services.start import start_execution
start_execution(masterplan=Masterplan.objects.get(), actor=None, settings={settings})
"""


@dataclass(frozen=True, slots=True)
class Trial:
    """One run of the whole."""

    nodes: int
    atoms: int
    concurrency: int
    cut: str
    """`stall`, `reset`, or empty: no node is cut off."""
    latency_s: float
    lease_s: float


WORKERS = 2
"""Of each node."""


@dataclass(slots=True)
class Outcome:
    """What came of it."""

    trial: Trial
    found: Found = field(default_factory=Found)
    seconds: float = 0.0
    most_in_flight: int = 0
    """By the scripted model's count, before a node is cut off and after it is back."""
    claims_by_node: dict[str, int] = field(default_factory=dict)
    """Calls, by the node whose worker made them."""
    held_at_cut: int = 0
    lost_by_cut: int = 0
    ended_meanwhile: int = 0
    """Atoms that the others ended while the node was away."""
    accepted_late: int = 0
    """Answers taken from a runner that had lost the atom. Must be none."""


def run_trial(
    trial: Trial, *, folder: Path, postgres: PrivatePostgres, python: Path = Path(sys.executable)
) -> Outcome:
    """One trial in a folder of its own; what does not hold is in `found.violations`."""
    outcome = Outcome(trial)
    began = time.monotonic()
    with ExitStack() as stack:
        stage = _Stage(trial, outcome, folder, postgres, python, stack)
        stack.callback(stage.installation.kill_all)
        try:
            stage.start()
            stage.cut_one_off()
            stage.finish()
        except (InVain, CommandFailed, RuntimeError) as error:
            outcome.found.violations.append(str(error))
    outcome.seconds = time.monotonic() - began
    return outcome


class _Stage:
    """The nodes, their proxies, and one execution."""

    def __init__(
        self,
        trial: Trial,
        outcome: Outcome,
        folder: Path,
        postgres: PrivatePostgres,
        python: Path,
        stack: ExitStack,
    ) -> None:
        self._trial, self._outcome = trial, outcome
        rng = random.Random(f"{trial.nodes} {trial.cut}")  # noqa: S311  a repeatable plan is what is wanted
        self._plan: MadePlan = layered_plan(
            folder / "plans", "shared", (trial.atoms,), rng, near_miss_share=0
        )
        arguments: list[object] = ["--answers", self._plan.file, "--latency", trial.latency_s]
        self._model = stack.enter_context(ModelProcess(python, ROOT, folder / "model", arguments))
        database = f"nodes_{secrets.token_hex(4)}"
        url = postgres.make_database(database)
        variables = {
            "MGE_SECRET_KEY": secrets.token_urlsafe(48),
            "ANTHROPIC_BASE_URL": self._model.url,
            "MGE_MODEL": "scripted-nodes",
            "MGE_WORKERS": str(WORKERS),
            # The limit is reached only by all of them together: whoever frees a place takes it again, so that a node
            # which is not needed might never get one.
            "MGE_RUNNER_CAPACITY": str(-(-trial.concurrency // (trial.nodes * WORKERS))),
            "MGE_LEASE_SECONDS": f"{trial.lease_s:g}",
            "MGE_RECONCILE_SECONDS": "0.5",
        }
        place = Place(ROOT, python, folder, plain_environment(variables), url)
        self.installation = Installation(place)
        self._proxies: list[TcpProxy] = []
        # Commands of ours go to the database directly; each node goes through its own proxy.
        self._direct = Node(place, "direct", (), DATABASE_URL=url)
        for number in range(1, trial.nodes + 1):
            proxy = stack.enter_context(TcpProxy(postgres.port))
            node = Node(
                place, f"node{number}", ("worker",), DATABASE_URL=postgres.url(database, port=proxy.port)
            )
            self._proxies.append(proxy)
            self.installation.nodes.append(node)
        self._workers: dict[int, str] = {}

    def start(self) -> None:
        """Nodes up, execution started, the limit reached."""
        commands = Installation(self.installation.place, [self._direct])
        commands.manage("migrate", "--verbosity", "0")
        commands.manage("import_masterplan", self._plan.file)
        for node in self.installation.nodes:
            node.start()
        for node in self.installation.nodes:
            wait_for(node.is_up, f"{node.name} is up", seconds=START_S, look_s=0.3)
        settings = {"max_concurrency": self._trial.concurrency, "validators": "syntax", "cache": "off"}
        commands.manage("shell", "-v", "0", "-c", STARTED.format(settings=settings))
        limit = self._trial.concurrency
        wait_for(
            lambda: self._model.counts().max_in_flight >= limit,
            f"{limit} in flight in all",
            seconds=60,
        )
        self._remember_workers()

    def _remember_workers(self) -> None:
        for node in self.installation.nodes:
            self._workers |= {one.pid: node.name for one in node.processes()}

    def _ended(self) -> int:
        found: int = self.installation.query(
            "SELECT COUNT(*) FROM executions_atomrun WHERE status = 'succeeded'"
        )[0][0]
        return found

    def cut_one_off(self) -> None:
        """One node that holds atoms is away for three leases."""
        trial, outcome = self._trial, self._outcome
        self._faults: list[Fault] = []
        if not trial.cut:
            return
        wait_for(lambda: self._ended() >= trial.atoms // 5, "a fifth is done", seconds=END_S)
        holders = wait_for(self._holders, "nodes hold atoms", seconds=30)
        victim = max(holders, key=lambda name: holders[name])
        position = next(n for n, node in enumerate(self.installation.nodes) if node.name == victim)
        proxy = self._proxies[position]
        outcome.most_in_flight = self._model.counts().max_in_flight
        fault = Fault(
            Kind.CUT, Moment.ANY, datetime.now(UTC), victim, in_flight=self._model.counts().in_flight
        )
        (proxy.stall if trial.cut == "stall" else proxy.cut)()
        outcome.held_at_cut, before = self._holders().get(victim, 0), self._ended()
        time.sleep(LEASES_AWAY * trial.lease_s)
        outcome.ended_meanwhile = self._ended() - before
        self._still_held = self._holders().get(victim, 0)
        proxy.restore()
        fault.until = datetime.now(UTC)
        fault.stopped = frozenset(pid for pid, name in self._workers.items() if name == victim)
        self._faults.append(fault)

    def _holders(self) -> Counter[str]:
        self._remember_workers()
        held: Counter[str] = Counter()
        for pid, count in self.installation.lease_owners().items():
            held[self._workers.get(pid, "?")] += count
        return held

    def finish(self) -> None:
        """Everything ends; then the checks."""
        trial, outcome = self._trial, self._outcome
        wait_for(
            lambda: self.installation.query("SELECT status FROM executions_execution") == [("completed",)],
            "the execution ends",
            seconds=END_S,
            look_s=0.3,
        )
        wait_for(lambda: self._model.counts().in_flight == 0, "no call is in flight", seconds=60)
        time.sleep(trial.lease_s)  # for late writes to come
        self._remember_workers()
        counts = self._model.counts()
        checker = Installation(self.installation.place, [self._direct])
        deaths: list[Death] = []
        outcome.found = check(
            checker, [self._plan], self._model.expected_attempts(), counts, self._faults, deaths
        )
        outcome.most_in_flight = counts.max_in_flight
        violations = outcome.found.violations
        if counts.max_in_flight > trial.concurrency:
            violations.append(f"{counts.max_in_flight} in flight, more than {trial.concurrency}")
        calls = self.installation.query("SELECT owner FROM executions_call")
        outcome.claims_by_node = dict(
            Counter(self._workers.get(process_of(owner), "?") for (owner,) in calls)
        )
        idle = [node.name for node in self.installation.nodes if not outcome.claims_by_node.get(node.name)]
        if idle:
            violations.append(f"did not take part: {', '.join(idle)}")
        if trial.cut:
            self._check_the_cut(violations)
        self._stop(violations)

    def _check_the_cut(self, violations: list[str]) -> None:
        outcome = self._outcome
        victims = {pid for pid, name in self._workers.items() if name == self._faults[0].node}
        lost: dict[tuple[str, str], list[tuple[int, datetime]]] = {}
        for execution, atom, data, at in self.installation.query(
            "SELECT execution_id, atom, data, at FROM executions_event WHERE type = 'lease.lost'"
        ):
            facts = json.loads(data) if isinstance(data, str) else data
            moment = time_of(at)
            if process_of(facts["owner"]) in victims and moment is not None:
                lost.setdefault((str(execution), atom), []).append((facts["fence"], moment))
        outcome.lost_by_cut = sum(len(one) for one in lost.values())
        answered = self.installation.query(
            "SELECT r.execution_id, r.key, c.fence, c.ended_at FROM executions_call c"
            " JOIN executions_attempt a ON a.id = c.attempt_id JOIN executions_atomrun r ON r.id = a.atom_run_id"
            " WHERE c.outcome = 'answered'"
        )
        outcome.accepted_late = sum(
            1
            for execution, key, fence, at in answered
            for lost_fence, lost_at in lost.get((str(execution), key), [])
            if fence <= lost_fence and (moment := time_of(at)) is not None and moment > lost_at
        )
        if outcome.accepted_late:
            violations.append(
                f"{outcome.accepted_late} answers accepted from an owner that had lost the atom"
            )
        if self._still_held:
            violations.append(
                f"{self._still_held} atoms still held by the node that was away for three leases"
            )
        if not outcome.lost_by_cut:
            violations.append("the node that was cut off lost nothing")
        if not outcome.ended_meanwhile:
            violations.append("the others ended nothing while one node was away")

    def _stop(self, violations: list[str]) -> None:
        for node in self.installation.nodes:
            status = node.stop(longest_s=STOP_S)
            if status != 0:
                violations.append(f"{node.name} did not end well when told to: {status}")
            violations += [f"left behind: {one.pid} {one.command[:80]}" for one in node.leftovers()]


def describe(outcome: Outcome) -> str:
    """One trial in a few lines."""
    trial, found = outcome.trial, outcome.found
    lines = [
        f"{trial.nodes} nodes, {found.succeeded} of {found.atoms} atoms, {outcome.seconds:.0f} s;"
        f" at most {outcome.most_in_flight} in flight (limit {trial.concurrency});"
        f" calls by node: {', '.join(f'{name} {count}' for name, count in sorted(outcome.claims_by_node.items()))};"
        f" {found.calls_beyond} calls beyond, {found.calls_allowed} were in flight at the cut"
    ]
    if trial.cut:
        lines.append(
            f"  one cut off ({trial.cut}) for {LEASES_AWAY} leases of {trial.lease_s:g} s: held {outcome.held_at_cut},"
            f" lost {outcome.lost_by_cut}, others ended {outcome.ended_meanwhile} meanwhile,"
            f" {found.late_writes} late writes refused, {outcome.accepted_late} accepted"
        )
    lines += [f"  ! {violation}" for violation in found.violations]
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """All trials."""
    parser = argparse.ArgumentParser(prog="python -m chaos.nodes", description=__doc__)
    parser.add_argument("--nodes", default="2,4", help="how many, comma-separated (default 2,4)")
    parser.add_argument("--cuts", default="stall,reset", help="stall, reset, none; comma-separated")
    parser.add_argument("--atoms", type=int, default=1000)
    parser.add_argument("--concurrency", type=int, default=100)
    parser.add_argument("--latency", type=float, default=4.0, help="seconds of one answer (default 4)")
    parser.add_argument("--lease", type=float, default=6.0, help="seconds (default 6)")
    chosen = parser.parse_args(arguments)
    folder = Path(tempfile.mkdtemp(prefix="mge-nodes-"))
    folder.chmod(0o711)  # PostgreSQL runs as another user when we are root
    outcomes: list[Outcome] = []
    try:
        with ExitStack() as stack:
            postgres = PrivatePostgres(folder)
            stack.callback(postgres.stop, immediate=True)
            postgres.start()
            for count in (int(text) for text in chosen.nodes.split(",")):
                for cut in chosen.cuts.split(","):
                    trial = Trial(
                        count,
                        chosen.atoms,
                        chosen.concurrency,
                        "" if cut == "none" else cut,
                        chosen.latency,
                        chosen.lease,
                    )
                    outcome = run_trial(trial, folder=folder / f"{count}-{cut}", postgres=postgres)
                    outcomes.append(outcome)
                    _say(describe(outcome))
    except Missing as missing:
        _say(f"missing: {missing}")
        shutil.rmtree(folder, ignore_errors=True)
        return 2
    path = ROOT / "var" / "chaos" / f"{time.strftime('%Y%m%d-%H%M%S')}-nodes.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        json.dumps([asdict(one) for one in outcomes], indent=1, default=str) + "\n", encoding="utf-8"
    )
    _say(f"written to {path.relative_to(ROOT)}")
    if all(not one.found.violations for one in outcomes):
        shutil.rmtree(folder, ignore_errors=True)
        return 0
    _say(f"NOT everything held; the data is kept in {folder}")
    return 1


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
