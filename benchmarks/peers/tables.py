"""What was measured of the peers, as Markdown."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from statistics import median

from benchmarks.peers.choices import OURS
from benchmarks.peers.peer_list import PEERS
from benchmarks.peers.results import PeersResult, pairs_of
from benchmarks.results import Case, Run
from benchmarks.tables import OTHERS_TRANSACTIONS, SHORT_BOUND_S, latency_words

HEADS = (
    "workload",
    "latency",
    "executor",
    "atoms/s",
    "wall s",
    "CPU ms/atom",
    "bare: wall s",
    "CPU ms/atom",
    "wall/bare",
    "CPU/bare",
    "wall/bound",
    "in flight",
    "peak MB",
    "tx/atom",
    "load before",
    "others' cores",
)
NOTES = """\
Medians; a ratio is the median of those of each pair, an executor's run and the baseline's next to it. Every executor calls the
same scripted model with the same client, prompt and check. CPU is user and system time of all processes of the executor and
of PostgreSQL's server, without what they use in the same time when nothing runs; of the baseline, of its one process. Wall
time is from the start of the plan to its end, with workers up and a plan of one atom run before. Peak memory is of the process
that worked most, in flight the most calls at the model at once. Others' cores are what other work on the machine took."""
NOISE = 0.05
"""Of a run's CPU: as much may be missing from the database's for no reason but the idle share's own spread."""
DOUBTFUL = """\
† Others used the database's server in the same time or while it was to be idle: what it did for them cannot be taken off, so
only the difference between the two figures, the CPU of the executor's own processes, stands."""


def render(result: PeersResult) -> str:
    return "\n".join(_lines(result)) + "\n"


def _lines(result: PeersResult) -> Iterator[str]:
    machine = result.machine
    yield f"# Peers on the same work, {result.at[:16].replace('T', ' ')} UTC"
    yield ""
    yield (
        f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_gb']} GB, {machine['system']},"
        f" Python {machine['python']}, {result.database}."
    )
    pairs = [pair for case in result.cases for found in pairs_of(case).values() for pair in found]
    if pairs:
        counts = sorted({len(found) for case in result.cases for found in pairs_of(case).values()})
        yield f"{' to '.join(map(str, dict.fromkeys((counts[0], counts[-1]))))} runs of each."
        yield from ("", _line(HEADS), _line(["---"] * len(HEADS)))
        for case in result.cases:
            for executor in pairs_of(case):
                yield _line(row(case, executor))
    for failure in result.failures:
        yield ""
        yield (
            f"**{title(failure.peer)} failed** on {failure.workload}, latency {latency_words(failure.latency)}:"
            f" {failure.reason}"
        )
    yield from (
        "",
        _line(("executor", "version", "how it runs the plan", "what is durable")),
        _line(["---"] * 4),
    )
    yield _line((title(OURS), "this one", "one worker process", "every state, call and answer, PostgreSQL"))
    for peer in PEERS.values():
        versions = ", ".join(f"{name} {result.versions.get(name, '?')}" for name in peer.packages)
        yield _line((peer.title, versions, peer.does, peer.stores))
    yield from ("", NOTES)
    if any(is_doubtful(run) for run, _ in pairs):
        yield from ("", DOUBTFUL)


def is_doubtful(run: Run) -> bool:
    """Whether the database's CPU is not the run's alone. Far below zero, others were there while nothing of ours ran."""
    return run.others_transactions > OTHERS_TRANSACTIONS or run.database_cpu_s < -NOISE * run.cpu_s


def title(executor: str) -> str:
    return PEERS[executor].title if executor in PEERS else f"ours, {executor}"


def row(case: Case, executor: str) -> list[str]:
    """One line of the table: an executor beside the baseline."""
    pairs = pairs_of(case)[executor]
    runs, bare = [run for run, _ in pairs], [other for _, other in pairs]

    def middle(of: Sequence[Run], value: Callable[[Run], float]) -> float:
        return median(value(run) for run in of)

    def ms(run: Run) -> float:
        return 1000 * run.cpu_s / case.atoms

    mark = " †" if any(is_doubtful(run) for run in runs) else ""
    database = middle(runs, lambda run: 1000 * run.database_cpu_s / case.atoms)
    transactions = [run.transactions for run in runs if run.transactions is not None]
    says_something = middle(runs, lambda run: run.bound_s) >= SHORT_BOUND_S
    return [
        case.workload,
        latency_words(case.latency),
        title(executor),
        f"{middle(runs, lambda run: case.atoms / run.wall_s):,.0f}",
        f"{middle(runs, lambda run: run.wall_s):.2f}",
        f"{middle(runs, ms):.2f} (database {database:.2f}){mark}",
        f"{middle(bare, lambda run: run.wall_s):.2f}",
        f"{middle(bare, ms):.2f}",
        f"{median(run.wall_s / other.wall_s for run, other in pairs):.2f}",
        f"{median(run.cpu_s / other.cpu_s for run, other in pairs):.2f}",
        f"{middle(runs, lambda run: run.wall_s / run.bound_s):.3f}" if says_something else "-",
        f"{middle(runs, lambda run: run.most_in_flight):.0f}",
        f"{max(run.peak_mb for run in runs):.0f}",
        f"{median(transactions) / case.atoms:.2f}" if transactions else "-",
        f"{max(run.load_before for run in runs):.1f}",
        f"{median(run.others_cores for pair in pairs for run in pair):.1f}",
    ]


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
