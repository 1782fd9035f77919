"""The work on one atom, the same for the baseline and for every peer: prompt, call, extraction, check, up to four attempts.

Nothing is stored here, and no Django is imported: peers import it in an environment of their own.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict

from executions.generation.client import Endpoint, ModelClient, ModelRequest
from executions.generation.extraction import NoCode, extract
from executions.planning.graph import build_graph

MODEL = "scripted-test"
MOST_ATTEMPTS = 4
TIMEOUT_S = 600.0
SYSTEM = "You write one Python module. Answer with one fenced code block that holds the whole file."


class Done(TypedDict):
    """What became of an atom; plain, so that every tool can store it its own way."""

    code: str
    """'' where no attempt was accepted."""
    calls: int


@dataclass(frozen=True, slots=True)
class WorkPlan:
    """Atoms by key, as the plan's file has them, and their keys in waves."""

    atoms: Mapping[str, Mapping[str, Any]]
    waves: Sequence[Sequence[str]]

    @property
    def depends_on(self) -> dict[str, Sequence[str]]:
        return {key: atom["depends_on"] for key, atom in self.atoms.items()}


def work_plan(value: Mapping[str, Any]) -> WorkPlan:
    """Of a plan as its file has it."""
    atoms = {atom["key"]: atom for atom in value["atoms"]}
    return WorkPlan(atoms, build_graph({key: atom["depends_on"] for key, atom in atoms.items()}).waves)


def read_plan(file: Path) -> WorkPlan:
    return work_plan(json.loads(file.read_text(encoding="utf-8")))


class AtomWork:
    """Works on atoms with one client. Used in one event loop, and closed there."""

    def __init__(self, name: str, url: str) -> None:
        """`name`: of the endpoint; `url`: of the model."""
        self._client = ModelClient(Endpoint(name, url, "x"))

    async def connect(self) -> None:
        """Make the client and a connection, so that the first atom pays for neither."""
        await self._client.complete(_request("Are you there?"))

    async def do(self, atom: Mapping[str, Any]) -> Done:
        """Raises `ProviderFault` where the model does not answer."""
        asked = f"{atom['description']}\n\n{atom['signature']}\n\n```python\n{atom['tests']}\n```\n"
        prompt = asked
        for calls in range(1, MOST_ATTEMPTS + 1):
            answer = await self._client.complete(_request(prompt))
            code, error = _judged(answer.text, atom["entry_point"])
            if not error:
                return {"code": code, "calls": calls}
            prompt = f"{asked}\nYou answered:\n\n{answer.text}\n\nThis is wrong: {error}. Write it again.\n"
        return {"code": "", "calls": MOST_ATTEMPTS}

    async def close(self) -> None:
        await self._client.close()


def succeeded(done: Mapping[str, Done]) -> int:
    """How many were accepted."""
    return sum(1 for one in done.values() if one["code"])


def calls(done: Mapping[str, Done]) -> int:
    return sum(one["calls"] for one in done.values())


def _request(prompt: str) -> ModelRequest:
    return ModelRequest(
        model=MODEL,
        system=SYSTEM,
        user=prompt,
        max_tokens=4_096,
        temperature=None,
        effort=None,
        timeout_s=TIMEOUT_S,
    )


def _judged(text: str, entry_point: str) -> tuple[str, str]:
    """The code of an answer, and why it cannot be used; '' where it can."""
    try:
        code = extract(text).code
        tree = ast.parse(code)
    except (NoCode, SyntaxError, ValueError) as error:
        return "", str(error)
    definitions = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    if not any(isinstance(node, definitions) and node.name == entry_point for node in tree.body):
        return "", f"{entry_point} is not defined"
    return code, ""
