"""Which answer a request gets: attempts equal the script, whatever is repeated, at once or again."""

from __future__ import annotations

import hashlib
import random
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from executions.scripted_model.answers import KnownAtom
from executions.scripted_model.placement import AtomScript

TESTS = """\
from pack.f import f


def test_small():
    assert f(1) == 2


def test_large():
    assert f(1000) == 1001"""
SYSTEM = "You write one unit of a project.\n" + "\n".join(
    f"Rule {number}: keep to it." for number in range(20)
)


def script_of(near_misses: int) -> AtomScript:
    codes = tuple(f"def f(x):\n    y = x - {k}\n    return y\n" for k in range(near_misses))
    return AtomScript(KnownAtom("Plan", "f", TESTS, "def f(x):\n    return x + 1\n", codes, chosen=True))


def ask(script: AtomScript, text: str) -> int:
    return script.place(text, hashlib.sha256(text.encode()).hexdigest())


@dataclass
class Asker:
    """An execution of one atom as the engine would drive it: generate, repair, diagnose, fresh."""

    script: AtomScript
    dependency: str = "def g():\n    return 1"
    best: tuple[int, ...] = (0, 0, 0, 0)
    """Which of the failed attempts so far is the best one, for attempt 2, 3 and 4."""
    noise: random.Random = field(default_factory=lambda: random.Random(0))
    served: list[int] = field(default_factory=list)

    def prompt(self) -> str:
        attempt = len(self.served) + 1
        lines = [
            SYSTEM,
            "Write f.",
            "Dependencies:",
            self.dependency,
            "Tests:",
            TESTS,
            f"Attempt {attempt} of 4",
        ]
        if attempt == 1:
            return "\n".join([*lines, "Write the unit."])
        best = self.best[attempt - 1] % len(self.served)
        if attempt < 4:
            lines += [
                "Best so far:",
                self.script.answers[self.served[best]],
                "Repair it." if attempt == 2 else "Diagnose.",
            ]
        took, address = f"{attempt}.1{self.noise.randrange(9)}s", f"0x{self.noise.getrandbits(40):012x}"
        finding = f"Finding on attempt {best + 1}: test_small failed in {took}: <object at {address}>"
        return "\n".join([*lines, finding])

    @property
    def done(self) -> bool:
        return bool(self.served) and self.served[-1] == len(self.script.answers) - 1

    def step(self, repeats: int = 1) -> None:
        text = self.prompt()
        answers = {ask(self.script, text) for _ in range(repeats)}
        assert len(answers) == 1, "a repeated call got another answer"
        self.served.append(answers.pop())


def run_through(asker: Asker) -> list[int]:
    while not asker.done:
        assert len(asker.served) < 4
        asker.step()
    return asker.served


@pytest.mark.parametrize("near_misses", [0, 1, 2, 3])
def test_each_attempt_gets_the_next_answer_and_the_last_one_the_reference(near_misses: int) -> None:
    assert run_through(Asker(script_of(near_misses))) == list(range(near_misses + 1))


def test_an_atom_that_is_not_chosen_answers_its_reference_at_once() -> None:
    script = AtomScript(KnownAtom("Plan", "f", TESTS, "def f(x): ...", ("def f(y): ...",)))
    assert script.answers == ("def f(x): ...",)
    assert ask(script, TESTS) == 0


def test_more_than_three_near_misses_leave_the_fourth_attempt_to_the_reference() -> None:
    script = script_of(5)
    assert len(script.answers) == 4
    assert script.answers[-1] == script.atom.reference


@given(
    near_misses=st.integers(0, 3),
    best=st.tuples(*[st.integers(0, 2)] * 4),
    schedule=st.lists(st.tuples(st.integers(0, 2), st.integers(1, 3)), max_size=30),
    seed=st.integers(0, 1000),
)
def test_executions_at_the_same_time_all_follow_the_script_however_calls_are_repeated(
    near_misses: int, best: tuple[int, ...], schedule: list[tuple[int, int]], seed: int
) -> None:
    script = script_of(near_misses)
    noise = random.Random(seed)
    askers = [Asker(script, best=best, noise=noise) for _ in range(3)]
    for who, repeats in schedule:
        if not askers[who].done:
            askers[who].step(repeats)
    for asker in askers:
        assert run_through(asker) == list(range(near_misses + 1))


@given(
    near_misses=st.integers(0, 3),
    runs=st.lists(
        st.tuples(st.sampled_from(["return 1", "return 2", "return 3"]), st.tuples(*[st.integers(0, 2)] * 4)),
        max_size=6,
    ),
)
def test_executions_one_after_the_other_each_get_the_script_from_the_start(
    near_misses: int, runs: list[tuple[str, tuple[int, ...]]]
) -> None:
    script = script_of(near_misses)
    for body, best in runs:
        asker = Asker(script, dependency=f"def g():\n    {body}", best=best)
        assert run_through(asker) == list(range(near_misses + 1))


@given(near_misses=st.integers(1, 3), ended_after=st.integers(1, 3))
def test_an_execution_abandoned_halfway_does_not_shorten_the_next_one(
    near_misses: int, ended_after: int
) -> None:
    script = script_of(near_misses)
    first = Asker(script)
    for _ in range(min(ended_after, near_misses)):
        first.step()
    assert run_through(Asker(script)) == list(range(near_misses + 1))


def test_after_a_restart_the_code_shown_proves_the_answer() -> None:
    asker = Asker(script_of(3), best=(0, 0, 1, 0))
    asker.step()
    asker.step()
    asker.script = script_of(3)  # no memory
    asker.step()
    assert asker.served == [0, 1, 2]


def test_after_a_restart_a_fresh_start_gets_the_reference() -> None:
    asker = Asker(script_of(3))
    for _ in range(3):
        asker.step()
    asker.script = script_of(3)
    asker.step()
    assert asker.served[-1] == 3


def test_after_a_restart_a_first_request_gets_the_first_answer() -> None:
    assert ask(script_of(2), Asker(script_of(2)).prompt()) == 0


def test_a_fresh_start_that_cites_no_test_goes_on_all_the_same() -> None:
    asker = Asker(script_of(3))
    for _ in range(3):
        asker.step()
    text = (
        asker.prompt().rsplit("\n", 1)[0]
        + "\nWhat was tried:\n- Attempt 1: too slow\n- Attempt 2: too slow\n- Attempt 3: too slow"
    )
    assert ask(asker.script, text) == 3


def test_a_reference_that_was_rejected_is_given_again() -> None:
    asker = Asker(script_of(2))
    run_through(asker)
    assert ask(asker.script, asker.prompt()) == 2


def test_quotations_from_the_specification_do_not_make_a_retry() -> None:
    script = AtomScript(
        KnownAtom(
            "Plan",
            "f",
            TESTS,
            "ref",
            ("a = 1", "b = 2"),
            chosen=True,
            specification="Such that assert f(1000) == 1001",
        )
    )
    assert ask(script, f"Write f. Such that assert f(1000) == 1001\n{TESTS}") == 0


def test_forgetting_starts_from_the_first_answer() -> None:
    asker = Asker(script_of(2))
    asker.step()
    asker.script.forget()
    assert run_through(Asker(asker.script)) == [0, 1, 2]
