"""Notes for people: precise, at the answer's own line, and never a reason to reject."""

from __future__ import annotations

import ast

import pytest

from executions.findings import Severity
from executions.validation.review_notes import review_notes


@pytest.mark.parametrize(
    ("source", "noted"),
    [
        ("x = eval('1')\n", [("review-call", "uses eval", 1)]),
        (
            "import os\n\n\ndef f():\n    os.system('ls')\n    os.system('pwd')\n    os._exit(0)\n",
            [("review-call", "uses os.system", 5), ("review-call", "uses os._exit", 7)],
        ),
        ("from os import _exit\n", [("review-call", "uses os._exit", 1)]),
        (
            "import subprocess\nfrom socket import socket\n",
            [
                ("review-import", "uses subprocess (starts processes)", 1),
                ("review-import", "uses socket (network)", 2),
            ],
        ),
        (
            "from pickle import loads\nexec('')\n",
            [("review-import", "uses pickle (runs what it reads)", 1), ("review-call", "uses exec", 2)],
        ),
        ("from urllib import request\n", [("review-import", "uses urllib.request (network)", 1)]),
        ("import gc\n", [("review-import", "uses gc (sees objects that are not its own)", 1)]),
        ("import sys\nsys.exit(0)\n", [("review-exit", "ends the program while it is imported", 2)]),
        ("if 1:\n    raise SystemExit\n", [("review-exit", "ends the program while it is imported", 2)]),
        ("import sys\nf = sys._getframe(1)\n", [("review-frames", "reads _getframe", 2)]),
        ("import sys\nsys.modules['json'] = None\n", [("review-shared-state", "changes sys.modules", 2)]),
        ("import builtins\nbuiltins.len = 1\n", [("review-shared-state", "changes builtins", 2)]),
        ("setattr(__builtins__, 'len', 1)\n", [("review-shared-state", "changes __builtins__", 1)]),
        (
            "class A:\n    def __eq__(self, other):\n        'all'\n        return True\n",
            [("review-always-equal", "A is equal, or unlike, whatever it is compared with", 2)],
        ),
        (
            "class A:\n    __ne__ = lambda self, other: False\n",
            [("review-always-equal", "A is equal, or unlike, whatever it is compared with", 2)],
        ),
    ],
)
def test_what_is_worth_a_look_is_noted_once_with_its_line(
    source: str, noted: list[tuple[str, str, int]]
) -> None:
    notes = review_notes(ast.parse(source))

    assert [(note.rule, note.message.split(";")[0], note.line) for note in notes] == noted
    assert {note.severity for note in notes} == {Severity.WARNING}


@pytest.mark.parametrize(
    "source",
    [
        "def eval_all(x):\n    return x\n",
        "model.eval()\n",
        "from . import socket\n",
        "'import pickle'\n",
        "import sys\ndef main():\n    sys.exit(1)\n",
        "import sys\nif __name__ == '__main__':\n    sys.exit(1)\n",
        "import sys\nloaded = 'json' in sys.modules\nx = sys.modules['json']\n",
        "class A:\n    def __eq__(self, other):\n        return self.x == other.x\n",
        "from urllib.parse import quote\nfrom http import HTTPStatus\n",
    ],
)
def test_what_only_looks_alike_is_left_alone(source: str) -> None:
    assert review_notes(ast.parse(source)) == []
