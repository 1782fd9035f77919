"""What trials make of what they saw: tables, differences, growth."""

from __future__ import annotations

from dataclasses import replace

import pytest

from executions.findings import Finding, Severity
from executions.validation.candidate import Candidate
from executions.validation.verdict import Isolation, Verdict
from trials.hostile.program import Outcome, Program
from trials.hostile.trial import wrong
from trials.masterplans import Case
from trials.report import Table
from trials.soak import Known, Sample, compared, difference
from trials.verify_data import Told, Way, differences

ANSWER = Candidate(source="", tests="", entry_points=("f",), target_path="answer.py")
OWN, PYTEST = Way(Isolation.ISOLATED, "own", 1), Way(Isolation.RESTRICTED, "pytest", 16)
PASSED, REJECTED = Told(True, (), ("test_f",)), Told(False, ("test-failed",), ())


def verdict(*rules: str, executed: bool = True) -> Verdict:
    findings = tuple(Finding(Severity.ERROR, rule, "as it is") for rule in rules)
    return Verdict(
        passed=not rules,
        executed=executed,
        isolation=Isolation.ISOLATED,
        findings=findings,
        tests_passed=(),
        tests_total=1,
        duration_ms=1.0,
        cpu_ms=1.0,
        assurance="",
    )


def program(outcome: Outcome, *rules: str) -> Program:
    return Program("one", "", outcome, frozenset(rules))


def test_numbers_stand_to_the_right_and_words_to_the_left() -> None:
    table = Table("name", "count")
    table.row("a", 1)
    table.row("longer", 100)
    assert str(table).splitlines() == ["name    count", "a           1", "longer    100"]


def test_a_row_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="2 cells under 1 heads"):
        Table("one").row(1, 2)


@pytest.mark.parametrize(
    ("one", "said", "expected"),
    [
        (program(Outcome.REJECTED, "timeout"), verdict("timeout"), ""),
        (program(Outcome.REJECTED, "timeout"), verdict(), "passed"),
        (program(Outcome.REJECTED, "timeout"), verdict("crashed"), "was rejected by crashed, not by one of timeout"),
        (program(Outcome.REJECTED, "timeout"), verdict("timeout", executed=False), "was not executed"),
        (program(Outcome.PASSES), verdict(), ""),
        (program(Outcome.PASSES), verdict("test-failed"), "is benign and was rejected: test-failed: as it is"),
        (program(Outcome.HARMLESS), verdict(), ""),
        (program(Outcome.HARMLESS), verdict("test-failed"), ""),
    ],
)  # fmt: skip
def test_a_verdict_is_held_against_what_must_come_of_the_program(
    one: Program, said: Verdict, expected: str
) -> None:
    found = wrong(one, [said])
    assert found.startswith(expected) if expected else not found


def test_a_neighbour_that_suffers_is_a_wrong_verdict() -> None:
    assert wrong(program(Outcome.HARMLESS), [verdict(), verdict("timeout")]).startswith("its neighbour")


def test_equal_and_right_verdicts_give_nothing_to_say() -> None:
    known = [Case("a", ANSWER, must_pass=True), Case("b", ANSWER, must_pass=False)]
    assert differences(known, {OWN: [PASSED, REJECTED], PYTEST: [PASSED, REJECTED]}) == []


def test_a_wrong_verdict_is_named_with_its_way() -> None:
    known = [Case("a", ANSWER, must_pass=False)]
    assert differences(known, {OWN: [REJECTED], PYTEST: [PASSED]}) == [
        "a: must be rejected, but restricted, pytest, 16 in flight says passed"
    ]


def test_right_verdicts_for_other_reasons_are_named() -> None:
    known = [Case("a", ANSWER, must_pass=False)]
    other = Told(False, ("timeout",), ())
    [words] = differences(known, {OWN: [REJECTED], PYTEST: [other]})
    assert "timeout" in words
    assert "test-failed" in words


SAMPLE = Sample(0, 5, 100.0, 50, 9, 80.0, 20)


def test_what_stays_as_it_was_is_flat() -> None:
    assert compared([SAMPLE] * 9)[1] == []


@pytest.mark.parametrize(
    "name", ["processes", "resident_mb", "descriptors", "threads", "caller_mb", "caller_descriptors"]
)
def test_growth_is_noticed(name: str) -> None:
    samples = [replace(SAMPLE, **{name: getattr(SAMPLE, name) + 3 * step}) for step in range(40)]
    [words] = compared(samples)[1]
    assert words.startswith(f"{name} has grown")


def test_an_honest_answer_must_be_judged_as_when_it_was_alone() -> None:
    known = Known("one", ANSWER, None, passed=False, rules=("test-failed",))
    assert not difference(known, verdict("test-failed"))
    assert "now passed" in difference(known, verdict())
    assert "now ('timeout',)" in difference(known, verdict("timeout"))


def test_a_hostile_answer_may_meet_another_limit_but_not_pass() -> None:
    known = Known("one", ANSWER, program(Outcome.REJECTED), passed=False, rules=("timeout",))
    assert not difference(known, verdict("memory-limit"))
    assert difference(known, verdict())


def test_what_an_attack_does_to_itself_is_its_own_affair() -> None:
    known = Known("one", ANSWER, program(Outcome.HARMLESS), passed=True)
    assert not difference(known, verdict("crashed"))
