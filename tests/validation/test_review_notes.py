"""Notes for people: precise, at the answer's own line, and never a reason to reject."""

from __future__ import annotations

import ast

import pytest

from executions.findings import Severity
from executions.validation.review_notes import review_notes


@pytest.mark.parametrize(
    ("source", "noted"),
    [
        ("x = eval('1')\n", [("review-call", "eval", 1)]),
        (
            "import os\n\n\ndef f():\n    os.system('ls')\n    os.system('pwd')\n",
            [("review-call", "os.system", 5)],
        ),
        (
            "import subprocess\nfrom socket import socket\n",
            [("review-import", "subprocess", 1), ("review-import", "socket", 2)],
        ),
        (
            "from pickle import loads\nexec('')\n",
            [("review-import", "pickle", 1), ("review-call", "exec", 2)],
        ),
    ],
)
def test_what_is_worth_a_look_is_noted_once_with_its_line(
    source: str, noted: list[tuple[str, str, int]]
) -> None:
    notes = review_notes(ast.parse(source))

    assert [
        (note.rule, note.message.split(";")[0].removeprefix("uses "), note.line) for note in notes
    ] == noted
    assert {note.severity for note in notes} == {Severity.WARNING}


@pytest.mark.parametrize(
    "source",
    ["def eval_all(x):\n    return x\n", "model.eval()\n", "from . import socket\n", "'import pickle'\n"],
)
def test_what_only_looks_alike_is_left_alone(source: str) -> None:
    assert review_notes(ast.parse(source)) == []
