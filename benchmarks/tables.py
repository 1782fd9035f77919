"""Results as Markdown: what was measured, and how it compares with what was measured last."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from statistics import median

from benchmarks.engines import ENGINES
from benchmarks.results import BARE, Case, Result, Run, Starts, earlier_case, earlier_starts

OTHERS_TRANSACTIONS = 50
"""As many in one run are not only our own looks at the server's statistics."""
SHORT_BOUND_S = 0.5
"""A bound below this is made of the server's own work, and says nothing about an executor."""
HEADS = (
    "workload",
    "latency",
    "schedule",
    "atoms/s",
    "wall s",
    "CPU ms/atom",
    "bare: atoms/s",
    "wall s",
    "CPU ms/atom",
    "own CPU above bare ms/atom",
    "wall: ours/bare",
    "wall/bound",
    "wall/best barrier",
    "peak MB",
    "tx/atom",
    "others' cores",
)
NOTES = """\
Medians; a ratio or a difference is the median of those of each round, the baseline's run and ours next to each other in
alternating order. CPU is user and system time of all worker processes and of the database's server, without what they use
in the same time when nothing runs; of the baseline, of its one process. The scripted model and the command that waits are
left out. The bound is max(critical path, work / 100), the best barrier the sum over the waves of max(longest chain of
attempts, work / 100), both from the seconds that the model took in that very run. Wall time is the execution's own, from the
first claim to its end; of the baseline, from the first call. Peak memory is the highest of the process that ran the atoms;
tx are committed transactions of the database, those of the waiting command among them. Others' cores are
what other work on the machine took during these runs and those of the baseline."""


def render(result: Result, earlier: Sequence[Result] = ()) -> str:
    """`earlier`: results from before, the oldest first."""
    return "\n".join([*_heading(result), *_engines(result), *_comparison(result, earlier)]) + "\n"


def _heading(result: Result) -> Iterator[str]:
    machine = result.machine
    yield f"# Benchmarks of {result.at[:16].replace('T', ' ')} UTC"
    yield ""
    databases = ", ".join(result.databases.values()) or "no database"
    yield (
        f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_gb']} GB, {machine['system']},"
        f" Python {machine['python']}, {databases}."
    )
    if "rested_page_us" in machine:
        yield f"Touching a page of memory that has rested for half a second costs {machine['rested_page_us']} µs of CPU here."
    runs = [run for case in result.cases for run in case.runs]
    if runs:
        loads = [run.load_before for run in runs]
        others = [run.others_cores for run in runs]
        yield (
            f"Load before the runs {min(loads):g} to {max(loads):g}, median {median(loads):g} (earlier runs count in it);"
            f" other work kept {median(others):.2f} cores busy during them in the median, {max(others):.2f} at most."
        )


def _engines(result: Result) -> Iterator[str]:
    for engine, name in ENGINES.items():
        cases = [case for case in result.cases if case.engine == engine]
        if cases:
            counts = sorted({len(case.of(schedule)) for case in cases for schedule in case.schedules})
            yield from ("", f"## {result.databases.get(engine, name)}", "")
            yield f"{' to '.join(map(str, dict.fromkeys((counts[0], counts[-1]))))} runs of each."
            yield from ("", _line(HEADS), _line(["---"] * len(HEADS)))
            for case in cases:
                for schedule in case.schedules:
                    yield _line(row(case, schedule))
            idle = [
                run.idle_cpu_s / run.window_s for case in cases for run in case.runs if run.executor != BARE
            ]
            model = [1000 * run.model_cpu_s / case.atoms for case in cases for run in case.runs]
            yield from ("", f"The scripted model used {median(model):.2f} CPU ms an atom besides.")
            strangers = max(run.others_transactions for case in cases for run in case.runs)
            if strangers > OTHERS_TRANSACTIONS:
                yield f"Others used the server, too (up to {strangers} transactions in a run): their CPU is in ours."
            yield from (
                "",
                f"Taken off for what an idle site uses: {1000 * median(idle):.0f} CPU ms a second.",
            )
        for starts in result.starts:
            if starts.engine == engine:
                yield from ("", start_sentence(starts, name))
    if result.cases:
        yield from ("", NOTES)


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def row(case: Case, schedule: str) -> list[str]:
    """One line of the table: a schedule of ours beside the baseline."""
    ours, bare = case.of(schedule), case.of(BARE)
    pairs = list(zip(ours, bare, strict=True))

    def ms(run: Run) -> float:
        return 1000 * run.cpu_s / case.atoms

    def own_ms() -> str:
        database = median(1000 * run.database_cpu_s / case.atoms for run in ours)
        whole = f"{middle(ours, ms):.2f}"
        return f"{whole} (database {database:.2f})" if database else whole

    def middle(runs: Sequence[Run], value: Callable[[Run], float]) -> float:
        return median(value(run) for run in runs)

    def speed(run: Run) -> float:
        return case.atoms / run.wall_s

    def ratio(value: Callable[[Run], float]) -> str:
        if middle(ours, value) < SHORT_BOUND_S:
            return "-"
        return f"{median(run.wall_s / value(run) for run in ours):.3f}"

    transactions = [run.transactions for run in ours if run.transactions is not None]
    return [
        case.workload,
        latency_words(case.latency),
        schedule,
        f"{middle(ours, speed):,.0f}",
        f"{middle(ours, lambda run: run.wall_s):.2f}",
        own_ms(),
        f"{middle(bare, speed):,.0f}",
        f"{middle(bare, lambda run: run.wall_s):.2f}",
        f"{middle(bare, ms):.2f}",
        f"{median(ms(one) - ms(other) for one, other in pairs):.2f}",
        f"{median(one.wall_s / other.wall_s for one, other in pairs):.2f}",
        ratio(lambda run: run.bound_s),
        ratio(lambda run: run.barrier_s) if schedule == "waves" else "-",
        f"{max(run.peak_mb for run in ours):.0f}",
        f"{median(transactions) / case.atoms:.2f}" if transactions else "-",
        f"{median(run.others_cores for pair in pairs for run in pair):.1f}",
    ]


def latency_words(latency: str) -> str:
    if latency == "0":
        return "0"
    kind, _, numbers = latency.rpartition(":")
    if not kind:
        return f"{latency} s"
    middle, sigma = numbers.split(",")
    return f"log-normal {middle} s, sigma {sigma}"


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest of them that is not exceeded by at least this share of them (nearest rank)."""
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def start_sentence(starts: Starts, name: str) -> str:
    values = starts.seconds
    return (
        f"Start of an execution on an idle site to the arrival of its first call, {name}, {len(values)} starts:"
        f" p50 {1000 * percentile(values, 0.5):.0f} ms, p99 {1000 * percentile(values, 0.99):.0f} ms,"
        f" longest {1000 * max(values):.0f} ms."
    )


def _comparison(result: Result, earlier: Sequence[Result]) -> Iterator[str]:
    lines = [*_compared_cases(result, earlier), *_compared_starts(result, earlier)]
    if lines:
        heads = ("what", "measured before", "wall s", "CPU ms/atom")
        yield from ("", "## Against the last earlier result", "", _line(heads), _line(["---"] * 4), *lines)


def _compared_cases(result: Result, earlier: Sequence[Result]) -> Iterator[str]:
    for case in result.cases:
        found = earlier_case(case, list(earlier))
        if found is None:
            continue
        at, before = found
        for schedule in case.schedules:
            then, now = before.of(schedule), case.of(schedule)
            if not then:
                continue
            walls = [median(run.wall_s for run in runs) for runs in (then, now)]
            cpu = [median(1000 * run.cpu_s / case.atoms for run in runs) for runs in (then, now)]
            what = f"{ENGINES[case.engine]} {case.workload} {latency_words(case.latency)} {schedule}"
            yield _line([what, at[:16].replace("T", " "), _change(walls), _change(cpu)])


def _compared_starts(result: Result, earlier: Sequence[Result]) -> Iterator[str]:
    for starts in result.starts:
        found = earlier_starts(starts, list(earlier))
        if found is None:
            continue
        at, before = found
        p99 = [percentile(one.seconds, 0.99) for one in (before, starts)]
        yield _line([f"{ENGINES[starts.engine]} start, p99", at[:16].replace("T", " "), _change(p99), "-"])


def _change(pair: Sequence[float]) -> str:
    then, now = pair
    change = f" ({100 * (now / then - 1):+.0f} %)" if then else ""
    return f"{then:.2f} → {now:.2f}{change}"
