"""People with browsers, and executions that have got somewhere."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client

from executions.engine.plan_graph import plan_graph
from executions.findings import Finding, Severity
from executions.models import Execution
from tests.engine.by_hand import Hand, claim_one, start, write
from tests.plans import adder, plan

HOSTILE = '<script>alert("x")</script>'
OVERRIDE = "\u202e"


@dataclass(frozen=True)
class Visitor:
    """A user with a browser in which he is signed in."""

    user: User
    client: Client


@pytest.fixture(autouse=True)
def _fresh_process(db: None) -> None:
    plan_graph.cache_clear()


@pytest.fixture
def visitor() -> Callable[..., Visitor]:
    def make(name: str, *groups: str, staff: bool = False) -> Visitor:
        user = User.objects.create_user(name, is_staff=staff)  # no password: hashing one takes a second
        user.groups.set([Group.objects.get_or_create(name=group)[0] for group in groups])
        client = Client()
        client.force_login(user)
        return Visitor(user, client)

    return make


@pytest.fixture
def ada(visitor: Callable[..., Visitor]) -> Visitor:
    return visitor("ada")


@pytest.fixture
def grace(visitor: Callable[..., Visitor]) -> Visitor:
    """Somebody else."""
    return visitor("grace")


def hostile_plan() -> dict[str, Any]:
    """A plan whose every text that a page shows is an attack; its second atom has a key that cannot stand in a path."""
    first = adder("first", description=HOSTILE, tests=f"# {HOSTILE}\ndef test_it():\n    assert True\n")
    first |= {
        "name": HOSTILE,
        "signature": HOSTILE,
        "contract": HOSTILE,
        "prompt": HOSTILE,
        "instructions": HOSTILE,
    }
    second = adder("a/../" + HOSTILE, depends_on=["first"], target_path="pkg/second.py")
    second |= {"entry_point": "second", "signature": "", "tests": "def test_it():\n    assert True\n"}
    return plan(first, second, name=HOSTILE, description=HOSTILE, instructions=HOSTILE)


def reject(hand: Hand, code: str, *findings: Finding, answer: str = "") -> None:
    """A whole attempt that is rejected with these findings."""
    hand.answer(hand.intend(), answer or code)
    verdict = replace(hand.verdict(passed=False), code=code, findings=findings)
    used = write(verdict)
    hand.used, hand.calls = used or hand.used, 0
    hand.attempt_id = Hand(hand.claim).attempt_id


def accept(hand: Hand, code: str) -> None:
    """A whole attempt that passes."""
    hand.answer(hand.intend(), code)
    write(replace(hand.verdict(passed=True), code=code))


@pytest.fixture
def tried(ada: Visitor) -> Execution:
    """An execution of Ada's hostile plan: one attempt rejected, one passed, the second atom waits."""
    execution = start(hostile_plan(), owner=ada.user)
    hand = claim_one(execution, "first")
    code = f'def add_first(x: int) -> int:\n    return "{HOSTILE}{OVERRIDE}"\n'
    reject(
        hand,
        code,
        Finding(Severity.ERROR, "test-failed", f"expected 2, got {HOSTILE}", 2, f"see {HOSTILE}"),
        Finding(Severity.WARNING, "long-line", "the line is long", 1),
        answer=f"Here it is {HOSTILE}{OVERRIDE}",
    )
    accept(hand, code.replace("return", "return x or"))
    execution.refresh_from_db()
    return execution
