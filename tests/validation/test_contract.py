"""Entry points must be bound; parameters must serve every promised call."""

from __future__ import annotations

import ast

import pytest

from executions.validation.contract import check_contract, parse_signature


def rules(source: str, signature: str = "", entry_points: tuple[str, ...] = ("f",)) -> list[str]:
    return [finding.rule for finding in check_contract(ast.parse(source), entry_points, signature)]


@pytest.mark.parametrize(
    "source",
    [
        "def f(): pass",
        "async def f(): pass",
        "class f: pass",
        "f = lambda x: x",
        "f: int = 3",
        "from a import g as f",
        "import f",
        "a, (f, b) = 1, (2, 3)",
        "try:\n    from fast import f\nexcept ImportError:\n    def f(): pass",
        "if True:\n    def f(): pass",
    ],
)
def test_an_entry_point_may_be_bound_in_any_way(source: str) -> None:
    assert rules(source) == []


@pytest.mark.parametrize(
    "source", ["", "def g(): pass", "class A:\n    def f(self): pass", "f: int", "f.x = 1", "f[0] = 1"]
)
def test_a_missing_entry_point_is_an_error(source: str) -> None:
    assert rules(source) == ["entry-point-missing"]


def test_each_missing_name_is_reported() -> None:
    findings = check_contract(ast.parse("def f(): pass"), ("f", "g", "h"), "")
    assert [finding.message.split()[3] for finding in findings] == ["g", "h"]


@pytest.mark.parametrize(
    ("signature", "source"),
    [
        ("def f(a: int, b: str = 'x') -> bool", "def f(a, b): pass"),
        ("def f(a, b)", "def f(a, b, *, memo=None): pass"),
        ("def f(a, b)", "def f(a, b, depth=0): pass"),
        ("def f(a, *args, **kwargs)", "def f(a, *rest, **more): pass"),
        ("def f(a, *, key)", "def f(a, *, key): pass"),
        ("async def f(a):", "async def f(a): pass"),
        ("def f(a)", "from functools import cache\n@cache\ndef f(*args): pass"),
        ("def f(self, c)", "@staticmethod\ndef f(c): pass"),
        ("@staticmethod\ndef f(c)", "@staticmethod\ndef f(c): pass"),
        ("def f(a)", "f = other"),
        ("class f:\n    def __init__(self, a): ...", "class f:\n    def __init__(self, a): self.a = a"),
        ("class f:\n    def go(self): ...", "class f(Base): pass"),
        ("a function that doubles", "def f(anything): pass"),
        ("module exporting f", "def f(anything): pass"),
        ("class f: def __init__(self, a)", "class f:\n    def __init__(self): pass"),
    ],
)
def test_what_serves_the_promise_passes(signature: str, source: str) -> None:
    assert rules(source, signature) == []


@pytest.mark.parametrize(
    ("signature", "source"),
    [
        ("def f(a, b)", "def f(a): pass"),
        ("def f(a, b)", "def f(b, a): pass"),
        ("def f(a)", "def f(x): pass"),
        ("def f(a)", "def f(a, b): pass"),
        ("def f(a)", "def f(a, *, b): pass"),
        ("def f(a, *, key)", "def f(a, key): pass"),
        ("def f(a)", "def f(a, /): pass"),
        ("def f(*args)", "def f(args): pass"),
        ("async def f(a)", "def f(a): pass"),
        ("def f(a)", "async def f(a): pass"),
        ("def f(a)", "class f: pass"),
        ("class f", "def f(): pass"),
        ("class f:\n    def go(self, x): ...", "class f:\n    def go(self): pass"),
        ("class f:\n    def go(self): ...", "class f: pass"),
    ],
)
def test_what_breaks_a_promised_call_is_an_error(signature: str, source: str) -> None:
    assert rules(source, signature) == ["signature-mismatch"]


def test_several_lines_promise_several_functions() -> None:
    signature = "def f(a)\ndef g(b) -> int"
    assert [node.name for node in parse_signature(signature)] == ["f", "g"]
    assert rules("def f(a): pass\ndef g(x): pass", signature, ("f", "g")) == ["signature-mismatch"]
