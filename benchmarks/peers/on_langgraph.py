"""LangGraph: a graph that goes round once per wave and fans out with Send; state and writes in PostgreSQL."""

from __future__ import annotations

import operator
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Annotated, Any, TypedDict

from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from langgraph.graph import END, START, StateGraph
from langgraph.types import Send

from benchmarks.atom_work import AtomWork, Done, WorkPlan
from benchmarks.peers.executor import Given, RunPlan, connected


class State(TypedDict):
    wave: int
    """The one that runs; the first is 1."""
    done: Annotated[dict[str, Done], operator.or_]


class OneAtom(TypedDict):
    key: str


@asynccontextmanager
async def executor(given: Given) -> AsyncIterator[RunPlan]:
    async with connected(given) as work, AsyncPostgresSaver.from_conn_string(given.database) as saver:
        await saver.setup()

        async def run(plan: WorkPlan) -> Mapping[str, Done]:
            # Each wave is two super-steps, and the last one finds nothing to send.
            options: Any = {
                "configurable": {"thread_id": str(uuid.uuid4())},
                "max_concurrency": given.concurrency,
                "recursion_limit": 2 * len(plan.waves) + 10,
            }
            graph: Any = _graph(plan, work).compile(checkpointer=saver)
            found = await graph.ainvoke({"wave": 0, "done": {}}, options)
            done: Mapping[str, Done] = found["done"]
            return done

        yield run


def _graph(plan: WorkPlan, work: AtomWork) -> Any:
    def next_wave(state: State) -> dict[str, int]:
        return {"wave": state["wave"] + 1}

    def fan_out(state: State) -> list[Send] | str:
        if state["wave"] > len(plan.waves):
            return str(END)
        return [Send("write_atom", {"key": key}) for key in plan.waves[state["wave"] - 1]]

    async def write_atom(one: OneAtom) -> dict[str, dict[str, Done]]:
        return {"done": {one["key"]: await work.do(plan.atoms[one["key"]])}}

    graph: Any = StateGraph(State)
    graph.add_node("next_wave", next_wave)
    graph.add_node("write_atom", write_atom)
    graph.add_edge(START, "next_wave")
    graph.add_conditional_edges("next_wave", fan_out, ["write_atom", END])
    graph.add_edge("write_atom", "next_wave")
    return graph
