"""The work on an atom is the baseline's and the peers' alike; a peer's process says why it cannot run."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from benchmarks.atom_work import AtomWork, Done, WorkPlan, calls, read_plan, succeeded
from benchmarks.bare import Bare
from benchmarks.peers import blocking_work
from benchmarks.peers.environment import versions
from benchmarks.peers.peer_list import PEERS
from benchmarks.peers.peer_process import PeerFailed, PeerProcess
from benchmarks.results import BARE
from tests.plans import adder, plan, write_plan
from tests.scripted import ScriptedServer


def unparsable(atom: Mapping[str, Any], number: int) -> dict[str, Any]:
    code = f"def {atom['entry_point']}(x: int) -> int\n    return x + {number}\n"
    return {"atom": atom["key"], "kind": "syntax", "code": code, "verdict": "failed"}


async def worked_on(work_plan: WorkPlan, url: str) -> dict[str, Done]:
    work = AtomWork("test", url)
    try:
        return {key: await work.do(work_plan.atoms[key]) for wave in work_plan.waves for key in wave}
    finally:
        await work.close()


async def in_threads(work_plan: WorkPlan, url: str) -> dict[str, Done]:
    keys = [key for wave in work_plan.waves for key in wave]
    done = await asyncio.gather(
        *(asyncio.to_thread(blocking_work.do, url, work_plan.atoms[key]) for key in keys)
    )
    return dict(zip(keys, done, strict=True))


async def test_every_way_to_the_work_accepts_what_the_baseline_accepts(tmp_path: Path) -> None:
    first, flaky = adder("first"), adder("flaky", depends_on=["first"])
    hopeless = adder("hopeless", reference_solution="def another(x: int) -> int:\n    return x\n")
    file = write_plan(tmp_path, plan(first, flaky, hopeless), [unparsable(flaky, 1)])
    near_misses = file.with_name("plan-near-miss.json")
    found: list[Mapping[str, Done]] = []
    for way in (None, worked_on, in_threads):
        # A server for each: an atom gives its near misses once.
        with ScriptedServer(
            "--answers", file, "--near-misses", near_misses, "--near-miss-share", "1.0", "--latency", "0"
        ) as server:
            if way is None:
                bare = Bare(read_plan(file), server.url, 10)
                report = await bare.run()
                found.append(bare.done)
            else:
                found.append(await way(read_plan(file), server.url))

    assert found[0] == found[1] == found[2]
    assert {key: one["calls"] for key, one in found[0].items()} == {"first": 1, "flaky": 2, "hopeless": 4}
    assert found[0]["flaky"]["code"] == flaky["reference_solution"]
    assert found[0]["hopeless"]["code"] == ""
    assert (report["succeeded"], report["calls"]) == (succeeded(found[0]), calls(found[0])) == (2, 7)


def test_a_peer_that_is_not_installed_fails_with_the_reason(tmp_path: Path) -> None:
    file = write_plan(tmp_path, plan(adder("one")))

    with (
        pytest.raises(PeerFailed, match="No module named 'langgraph'"),
        PeerProcess(
            Path(sys.executable),
            "langgraph",
            tmp_path / "peer",
            plan=file,
            warm_up=file,
            url="http://127.0.0.1:9",
            database="postgres://nobody@127.0.0.1:9/nothing",
        ),
    ):
        pass


def test_the_version_of_every_peer_is_pinned() -> None:
    pinned = versions()

    assert BARE not in PEERS
    assert {name for peer in PEERS.values() for name in peer.packages} <= set(pinned)
