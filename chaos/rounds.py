"""One round: a fresh installation, executions running, seeded faults, rest, and the checks."""

from __future__ import annotations

import contextlib
import random
import secrets
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from chaos.death_watch import DeathWatch
from chaos.faults import ALWAYS, ON_POSTGRES, ON_REDIS, Fault, Kind, NoVictim, Striker
from chaos.installation import CommandFailed, Installation, Node, Place, plain_environment
from chaos.invariants import Found, check
from chaos.model_process import ModelProcess
from chaos.moments import draw, wait_for_moment
from chaos.plans import MadePlan, layered_plan
from chaos.private_services import PrivatePostgres, PrivateRedis
from chaos.recovery import measure_recoveries
from chaos.waiting import InVain, wait_for

REST_S = 240.0
"""How long the product may take to end everything once no fault comes any more."""
START_S = 90.0
UNDER_WAY = 0.8
"""Share of the faults that wait until calls are in flight; the others may hit a product that is still recovering."""
UNDER_WAY_S = 15.0
SPARE_S = 60.0
STOP_S = 60.0
START = """
from executions.models import Execution, Masterplan
from executions.services.start import start_execution
for plan in Masterplan.objects.filter(name="{name}"):
    if not Execution.objects.filter(masterplan=plan).exists():
        start_execution(masterplan=plan, actor=None, settings={settings})
"""
MAKE_USER = """
from django.contrib.auth import get_user_model
get_user_model().objects.create_superuser(username="chaos", email="", password=None)
"""
"""With a user there, the site starts no sample execution of its own, which would ask another model."""
SETTINGS = {"cache": "off"}

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Circumstances:
    """How the product is run; short times, so that faults and recoveries fit."""

    lease_s: float = 3.0
    workers: int = 3
    capacity: int = 10
    """Atoms that one runner holds at most."""
    in_flight: int = 24
    latency: str = "lognormal:0.5,0.5"
    sizes: tuple[int, ...] = (8, 10, 8, 6)
    plans: int = 12
    """The most that a round starts."""
    pause_s: tuple[float, float] = (0.5, 3.0)
    """Between faults."""
    fewest_open: int = 30
    """Atoms not yet ended below which the next plan is started."""


SMOKE = Circumstances(sizes=(6, 8, 6), plans=6, pause_s=(0.3, 1.5), fewest_open=16)
"""For a few minutes in all."""


@dataclass(slots=True)
class Round:
    """What happened in one."""

    engine: str
    number: int
    faults: list[Fault] = field(default_factory=list)
    missed: list[str] = field(default_factory=list)
    """Faults that found no victim."""
    found: Found = field(default_factory=Found)
    seconds: float = 0.0
    folder: str = ""

    @property
    def held(self) -> bool:
        return not self.found.violations


def kinds_for(engine: str) -> tuple[Kind, ...]:
    """`sqlite`, `postgres`, or either with `+redis`."""
    kinds = ALWAYS + (ON_POSTGRES if engine.startswith("postgres") else ())
    return kinds + (ON_REDIS if engine.endswith("+redis") else ())


def deal(seed: int, engine: str, number: int, count: int, chosen: Sequence[Kind]) -> list[Kind]:
    """The kinds of round `number`: from decks shuffled one after the other, so that each kind has its turn."""
    rng = random.Random(f"{seed} {engine} deck")  # noqa: S311  a repeatable sequence is what is wanted

    def cards() -> Iterator[Kind]:
        while True:
            deck = list(chosen)
            rng.shuffle(deck)
            yield from deck

    stream = cards()
    dealt = [next(stream) for _ in range((number + 1) * count)]
    return dealt[number * count :]


class RoundRunner:
    """Runs rounds in one place, on the services that live as long as the campaign."""

    def __init__(
        self,
        *,
        root: Path,
        python: Path,
        folder: Path,
        seed: int,
        circumstances: Circumstances,
        postgres: PrivatePostgres | None,
        redis: PrivateRedis | None,
        say: Say,
    ) -> None:
        self._root, self._python, self._folder, self._seed = root, python, folder, seed
        self._how, self._postgres, self._redis, self._say = circumstances, postgres, redis, say

    def run(self, engine: str, number: int, kinds: Sequence[Kind]) -> Round:
        """One round. What the product does wrong is in the result, never raised; its folder stays if anything is."""
        result = Round(engine, number, folder=str(self._folder / f"{engine}-{number}"))
        began = time.monotonic()
        shutil.rmtree(result.folder, ignore_errors=True)
        with ExitStack() as stack:
            scene = _Scene(self, result, stack)
            stack.callback(scene.installation.kill_all)
            try:
                scene.set_up()
                scene.strike_all(kinds)
                scene.come_to_rest()
                scene.check()
                scene.stop()
            except (InVain, CommandFailed, RuntimeError) as error:
                result.found.violations.append(str(error))
        result.seconds = time.monotonic() - began
        if result.held:
            shutil.rmtree(result.folder, ignore_errors=True)
        return result

    @property
    def how(self) -> Circumstances:
        return self._how

    def say(self, line: str) -> None:
        self._say(line)

    def place(self, result: Round, model_url: str) -> tuple[Place, str]:
        """Where the product runs in this round, and the name of its database on PostgreSQL."""
        how = self._how
        variables = {
            "MGE_SECRET_KEY": secrets.token_urlsafe(48),
            "ANTHROPIC_BASE_URL": model_url,
            "MGE_MODEL": "scripted-chaos",
            "MGE_WORKERS": str(how.workers),
            "MGE_RUNNER_CAPACITY": str(how.capacity),
            "MGE_MAX_IN_FLIGHT": str(how.in_flight),
            "MGE_SLICE_SECONDS": "10",
            "MGE_LEASE_SECONDS": f"{how.lease_s:g}",
            "MGE_RECONCILE_SECONDS": "0.5",
            "MGE_DRAIN_SECONDS": "5",
            "MGE_STOP_GRACE_SECONDS": "15",
            "MGE_CALL_TIMEOUT_SECONDS": "30",
        }
        database, url = "", ""
        if result.engine.startswith("postgres") and self._postgres is not None:
            database = f"chaos_{result.number}_{secrets.token_hex(3)}"
            url = variables["DATABASE_URL"] = self._postgres.make_database(database)
        if result.engine.endswith("+redis") and self._redis is not None:
            variables["REDIS_URL"] = self._redis.url
        folder = Path(result.folder)
        return Place(self._root, self._python, folder, plain_environment(variables), url), database

    def rng(self, result: Round, purpose: str) -> random.Random:
        return random.Random(f"{self._seed} {result.engine} {result.number} {purpose}")  # noqa: S311  repeatable

    def model(self, result: Round, plans: Sequence[MadePlan]) -> ModelProcess:
        arguments: list[object] = ["--answers", *(plan.file for plan in plans)]
        arguments += ["--near-misses", *(plan.near_misses for plan in plans), "--near-miss-share", "1"]
        arguments += ["--latency", self._how.latency, "--seed", self._seed % 2**31]
        return ModelProcess(self._python, self._root, Path(result.folder) / "model", arguments)

    def striker(
        self,
        result: Round,
        installation: Installation,
        model: ModelProcess,
        deaths: DeathWatch,
        database: str,
    ) -> Striker:
        return Striker(
            installation,
            model,
            self.rng(result, "faults"),
            self._how.lease_s,
            deaths,
            self._postgres,
            self._redis,
            database,
        )


class _Scene:
    """What is on stage during one round."""

    def __init__(self, runner: RoundRunner, result: Round, stack: ExitStack) -> None:
        self._runner, self._result = runner, result
        rng = runner.rng(result, "plans")
        folder = Path(result.folder) / "plans"
        self._plans = [
            layered_plan(folder, f"c{result.number}p{one}", runner.how.sizes, rng)
            for one in range(runner.how.plans)
        ]
        self._model = stack.enter_context(runner.model(result, self._plans))
        self._deaths = stack.enter_context(DeathWatch())
        place, database = runner.place(result, self._model.url)
        self.installation = Installation(place)
        self.installation.nodes.append(Node(place, "site", ("serve", "--port", "0")))
        if place.database_url:
            self.installation.nodes.append(Node(place, "second", ("worker",)))
        self._striker = runner.striker(result, self.installation, self._model, self._deaths, database)
        self._started = 0

    def set_up(self) -> None:
        """Schema, plans, nodes."""
        if self.installation.on_postgres:
            self.installation.manage("migrate", "--verbosity", "0")
        self.installation.manage("import_masterplan", *(plan.file for plan in self._plans))
        self.installation.manage("shell", "-v", "0", "-c", MAKE_USER)
        for node in self.installation.nodes:
            node.start()
        for node in self.installation.nodes:
            wait_for(node.is_up, f"{node.name} is up", seconds=START_S, look_s=0.3)

    def strike_all(self, kinds: Sequence[Kind]) -> None:
        """The faults of this round, one after the other, with work under way at each."""
        rng = self._runner.rng(self._result, "moments")
        for position, kind in enumerate(kinds, start=1):
            self._keep_busy()
            moment, under_way = draw(rng), rng.random() < UNDER_WAY
            time.sleep(rng.uniform(*self._runner.how.pause_s))
            if under_way:
                self._wait_for_calls()
            self._spare_the_unlucky()
            try:
                fault = self._striker.strike(
                    kind,
                    moment,
                    partial(wait_for_moment, moment, self.installation, self._model),
                )
            except (NoVictim, InVain) as error:
                self._result.missed.append(str(error))
                self._runner.say(f"    {position}/{len(kinds)} {kind}: no victim ({error})")
                continue
            self._result.faults.append(fault)
            where = f" on {fault.node}" if fault.node else ""
            note = f" ({fault.note})" if fault.note else ""
            self._runner.say(
                f"    {position}/{len(kinds)} {kind}{where}, {moment}, {fault.in_flight} calls in flight{note}"
            )

    def _wait_for_calls(self) -> None:
        """Calls in flight, or as long as it takes to see that there will be none soon."""
        with contextlib.suppress(InVain):
            wait_for(lambda: self._model.counts().in_flight, "calls in flight", seconds=UNDER_WAY_S)

    def _spare_the_unlucky(self) -> None:
        """An atom whose owner died five times ends, as promised: let those end first that are near to it."""
        with contextlib.suppress(InVain):
            wait_for(
                lambda: self._unlucky() == 0, "atoms that lost three owners end", seconds=SPARE_S, look_s=0.2
            )

    def _unlucky(self) -> int:
        found: int = self.installation.query(
            "SELECT COUNT(*) FROM executions_atomrun WHERE deaths >= 3"
            " AND status IN ('ready', 'generating', 'validating')"
        )[0][0]
        return found

    def _keep_busy(self) -> None:
        """Start plans until there is enough to do. The product may be in any state meanwhile: it is tried again."""
        while self._started < len(self._plans) and self._open_atoms() < self._runner.how.fewest_open:
            code = START.format(name=self._plans[self._started].name, settings=SETTINGS)
            deadline = time.monotonic() + START_S
            while True:
                try:
                    self.installation.manage("shell", "-v", "0", "-c", code)
                    break
                except CommandFailed:
                    if time.monotonic() > deadline:
                        raise
            self._started += 1

    def _open_atoms(self) -> int:
        found: int = self.installation.query(
            "SELECT COUNT(*) FROM executions_atomrun WHERE status IN ('pending', 'ready', 'generating', 'validating')"
        )[0][0]
        return found

    def come_to_rest(self) -> None:
        """No more faults, no help: everything must end by itself. Raises InVain."""
        wait_for(
            lambda: self._open_executions() == 0, "every execution ends by itself", seconds=REST_S, look_s=0.3
        )
        wait_for(lambda: self._model.counts().in_flight == 0, "no call is in flight", seconds=30)

    def _open_executions(self) -> int:
        for node in self.installation.nodes:
            if node.ended() is not None:
                raise RuntimeError(f"{node.name} ended ({node.ended()}): {node.said().strip()[-500:]}")
        found: int = self.installation.query(
            "SELECT COUNT(*) FROM executions_execution WHERE status NOT IN ('completed', 'failed', 'cancelled')"
        )[0][0]
        return found

    def check(self) -> None:
        result = self._result
        result.found = check(
            self.installation,
            self._plans,
            self._model.expected_attempts(),
            self._model.counts(),
            result.faults,
            self._deaths.deaths,
        )
        measure_recoveries(self.installation, result.faults)

    def stop(self) -> None:
        """An orderly end of every node, with nothing left behind."""
        for node in self.installation.nodes:
            status = node.stop(longest_s=STOP_S)
            if status != 0:
                self._result.found.violations.append(f"{node.name} did not end well when told to: {status}")
        left: list[str] = []
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline:
            left = [
                f"{one.pid} {one.command[:80]}"
                for node in self.installation.nodes
                for one in node.leftovers()
            ]
            if not left:
                return
            time.sleep(0.2)
        self._result.found.add(left, "processes left behind")
