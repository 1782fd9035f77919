"""One program of the hostile suite: what is answered, by what it is tested, and what may come of it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

TESTS = "from answer import f\n\n\ndef test_f():\n    assert f(1) == 2\n"
UNITTESTS = (
    "import unittest\nfrom answer import f\n\n\nclass TestF(unittest.TestCase):\n"
    "    def test_f(self):\n        self.assertEqual(f(1), 2)\n"
)
WRONG = "def f(x):\n    return 'wrong'\n"
REACHED = "REACHED:"
"""What an attack raises as soon as it got hold of anything; so success shows in the verdict as well."""


class Outcome(StrEnum):
    """What must come of a program."""

    REJECTED = "rejected"
    """It cheats or uses too much: rejected, by one of its rules."""
    HARMLESS = "harmless"
    """It attacks and then answers rightly: any verdict will do, as long as nothing was reached."""
    PASSES = "passes"
    """It is benign and right."""


@dataclass(frozen=True, slots=True)
class Program:
    """Facts of the machine are put in for `@FACTS@` just before the run; see `bait.Facts`."""

    name: str
    source: str | bytes
    outcome: Outcome
    rules: frozenset[str] = frozenset()
    """Of a rejected one: the rules that may reject it."""
    tests: str = TESTS
    hidden_tests: str = ""
    runners: tuple[str, ...] = ("own",)
    """"own", "pytest", or both: then it is run twice."""
    executed: bool = True
    """Whether it must really have run, or else the trial proves nothing."""
    validators: str = "contract,tests"
    """Little, so that no static check saves the sandbox; benign programs face all there is."""
    waits: bool = False
    """Ends only by a limit, so it costs seconds; the fast subset leaves it out."""
    neighbour: str = ""
    """An honest answer that runs beside it, and must pass whatever this one does."""
    needs_namespaces: bool = False
    """Cannot work without namespaces of its own, which docs/guarantees.md says; left out at `restricted`."""


def cheat(
    name: str,
    source: str,
    *rules: str,
    tests: str = TESTS,
    runners: tuple[str, ...] = ("own", "pytest"),
    hidden_tests: str = "",
    waits: bool = False,
) -> Program:
    """An answer that is wrong and wants to pass."""
    return Program(
        name,
        source,
        Outcome.REJECTED,
        frozenset(rules),
        tests=tests,
        hidden_tests=hidden_tests,
        runners=runners,
        waits=waits,
    )


def attack(
    name: str, body: str, *, neighbour: str = "", waits: bool = False, runners: tuple[str, ...] = ("own",)
) -> Program:
    """`body` is what `attack()` does; it calls `reach(what, action)` for each thing it wants to get hold of.

    An action that raises or returns None has got nothing.
    """
    lines = "".join(f"    {line}\n" if line else "\n" for line in body.strip("\n").split("\n"))
    source = f"{_PRELUDE}\n\ndef attack():\n{lines}\n\n{_EPILOGUE}"
    return Program(name, source, Outcome.HARMLESS, waits=waits, neighbour=neighbour, runners=runners)


def exhausts(name: str, source: str, *rules: str, waits: bool = True) -> Program:
    """An answer that never ends, or takes more than it may have."""
    return Program(name, source, Outcome.REJECTED, frozenset(rules), waits=waits)


def benign(
    name: str,
    source: str,
    tests: str = TESTS,
    *,
    runners: tuple[str, ...] = ("own",),
    needs_namespaces: bool = False,
) -> Program:
    """An answer that only looks like an attack."""
    return Program(
        name,
        source,
        Outcome.PASSES,
        tests=tests,
        runners=runners,
        validators="full",
        needs_namespaces=needs_namespaces,
    )


_PRELUDE = """
import ctypes, errno, os, signal, socket, struct, sys, time

FACTS = @FACTS@
GOT = []
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long


def reach(what, action):
    try:
        value = action()
    except Exception:
        return None
    if value is not None:
        GOT.append((what, str(value)[:300]))
    return value


def call(number, *arguments):
    return libc.syscall(number, *arguments)


def number(x86_64, aarch64):
    return x86_64 if os.uname().machine == "x86_64" else aarch64
""".strip("\n")

_EPILOGUE = (
    f"""
def f(x):
    attack()
    if GOT:
        raise RuntimeError({REACHED!r} + " " + repr(GOT))
    return x + 1
""".strip("\n")
    + "\n"
)
