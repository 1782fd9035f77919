"""What the ledger's window costs and saves, simulated: `python -m benchmarks.commit_windows`.

W1 and W2 with 100 slots and with 20, log-normal latencies (median 1 s, sigma 0.6), by the clock of a simulation: atoms end,
their ends wait for company, a commit frees what waits for them and claims it. Once with the window that runners have
(`executions.engine.commit_window`), beside windows that are the same for all ends. A commit takes 5 ms and 0.3 for each atom
in it, nothing else takes time; so what is compared are makespan and transactions, no CPU.
"""

from __future__ import annotations

import argparse
import heapq
import itertools
import math
import random
import sys
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import fmean

from benchmarks.bounds import lower_bound
from benchmarks.workloads import Workload, w1, w2
from executions.engine.commit_window import CommitWindow

SLOTS = (100, 20)
"""Enough for all that is ready, and too few."""
MEDIAN_S, SIGMA = 1.0, 0.6
COMMIT_S, ATOM_S = 0.005, 0.0003
ENOUGH = 4
"""Ends that are worth a commit when the writer is free: with each come its answer and perhaps a claim, see `engine.ledger`."""
BOUND_S = 0.15


@dataclass(frozen=True, slots=True)
class _Atom:
    execution_id: uuid.UUID
    key: str
    chain: int


@dataclass(slots=True)
class Simulation:
    """One execution. `share`: how long each end waits, in mean calls; None: as long as the runner's window says."""

    workload: Workload
    share: float | None
    seed: int
    slots: int = SLOTS[0]
    transactions: int = field(default=0, init=False)

    def run(self) -> float:
        """Makespan, in shortest ones."""
        depends_on = self.workload.depends_on
        dice = random.Random(self.seed)  # noqa: S311  a repeatable sequence is what is wanted
        call_s = {key: dice.lognormvariate(math.log(MEDIAN_S), SIGMA) for key in depends_on}
        mean_s = fmean(call_s.values())
        dependents: dict[str, list[str]] = {key: [] for key in depends_on}
        for key, needed in depends_on.items():
            for one in needed:
                dependents[one].append(key)
        chain: dict[str, int] = {}
        for key in reversed(depends_on):
            chain[key] = 1 + max((chain[one] for one in dependents[key]), default=0)
        execution, window = uuid.uuid4(), CommitWindow(BOUND_S)
        unmet = {key: len(needed) for key, needed in depends_on.items()}
        place = {key: number for number, key in enumerate(depends_on)}
        ready = [(-chain[key], place[key], key) for key in depends_on if not unmet[key]]
        heapq.heapify(ready)
        answers: list[tuple[float, str]] = []
        claims: dict[str, _Atom] = {}
        queued: list[str] = []
        due, free_at, ended = math.inf, 0.0, 0

        def claim(now: float) -> None:
            while ready and len(claims) < self.slots:
                _, _, key = heapq.heappop(ready)
                claims[key] = _Atom(execution, key, chain[key])
                window.note_begin(claims[key], in_waves=False)
                heapq.heappush(answers, (now + call_s[key], key))
            window.note_claim((execution,) if ready else (), left_slots=len(claims) < self.slots)

        claim(0.0)
        while ended < len(depends_on):
            commit_at = math.inf
            if queued:
                complete = len(queued) >= len(claims) or (len(queued) >= ENOUGH and free_at >= due)
                commit_at = free_at if complete else max(due, free_at)
            if answers and answers[0][0] <= commit_at:
                now, key = heapq.heappop(answers)
                window.note_call(call_s[key])
                waits_s = window.at_end_s(claims[key]) if self.share is None else self.share * mean_s
                window.note_end(claims[key])
                due = min(due, now + waits_s)
                queued.append(key)
                free_at = max(free_at, now)
                continue
            self.transactions += 1
            free_at = commit_at + COMMIT_S + ATOM_S * len(queued)
            for key in queued:
                del claims[key]
                ended += 1
                for one in dependents[key]:
                    unmet[one] -= 1
                    if not unmet[one]:
                        heapq.heappush(ready, (-chain[one], place[one], one))
            queued, due = [], math.inf
            claim(free_at)
        return free_at / lower_bound(depends_on, call_s, self.slots)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument(
        "--seeds", type=int, default=20, help="sequences of latencies, each run by all windows"
    )
    seeds = parser.parse_args().seeds
    shares: dict[str, float | None] = {
        **{f"{share:.0%} of the mean call": share for share in (0.02, 0.04, 0.08)},
        "the runner's": None,
    }
    workloads: tuple[Callable[[], Workload], ...] = (w1, w2)
    sys.stdout.write(
        "| workload | slots | window | makespan/bound, mean | worst | transactions |\n"
        "| --- | --- | --- | --- | --- | --- |\n"
    )
    for make, slots, (name, share) in itertools.product(workloads, SLOTS, shares.items()):
        workload = make()
        runs = [Simulation(workload, share, seed, slots) for seed in range(seeds)]
        ratios = [one.run() for one in runs]
        transactions = fmean(one.transactions for one in runs)
        sys.stdout.write(
            f"| {workload.name} | {slots} | {name} | {fmean(ratios):.4f} | {max(ratios):.4f} | {transactions:.0f} |\n"
        )


if __name__ == "__main__":
    main()
