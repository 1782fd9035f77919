"""The answer cache: what was asked before is not asked again, and whatever changed is."""

from __future__ import annotations

import copy
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Group, User

from executions.models import AtomRun, Attempt, CachedAnswer, Event, Execution
from executions.planning.format import load_document
from executions.services.answer_cache import prune_answers
from executions.services.masterplans import store_masterplans
from executions.services.repair import retry_atoms
from executions.services.start import start_execution
from tests.engine.by_hand import assert_all_ended, assert_counters_equal_rows
from tests.plans import adder, layers, plan, write_plan, wrong

pytestmark = [pytest.mark.needs_sandbox]

Begin = Callable[..., Execution]
Finish = Callable[[Execution], Execution]


def _codes(execution: Execution) -> dict[str, str]:
    runs = AtomRun.objects.filter(execution=execution, status="succeeded")
    return dict(runs.values_list("key", "accepted__code"))


def _asked(execution: Execution) -> set[str]:
    """Atoms for which the model was asked."""
    return set(
        Attempt.objects.filter(execution=execution, kind="model").values_list("atom_run__key", flat=True)
    )


def _edited(value: dict[str, Any], key: str, **changes: Any) -> dict[str, Any]:
    found = copy.deepcopy(value)
    next(atom for atom in found["atoms"] if atom["key"] == key).update(changes)
    return found


def test_the_second_run_of_an_unchanged_plan_asks_nothing_and_gives_the_same(
    scripted: Callable[..., Any], begin: Begin, finish: Finish
) -> None:
    atoms = layers(3, 2)
    value = plan(*atoms)
    server = scripted(value, [wrong(atoms[0]), wrong(atoms[3], 1), wrong(atoms[3], 2)])
    first = finish(begin(value))
    assert (first.attempts_total, first.cache_hits, server.stats()["calls"]) == (8, 0, 8)

    second = finish(begin(value))

    assert server.stats()["calls"] == 8
    assert (second.status, second.atoms_succeeded, second.cache_hits) == ("completed", 5, 5)
    assert (second.attempts_total, second.calls_total, second.cost_nano_usd) == (0, 0, 0)
    assert _codes(second) == _codes(first)
    assert set(AtomRun.objects.filter(execution=second).values_list("attempts", "assurance")) == {
        (0, "tested")
    }
    taken = Attempt.objects.filter(execution=second)
    assert set(taken.values_list("kind", "status", "number")) == {("cache", "passed", 1)}
    accepted = AtomRun.objects.filter(execution=first).values_list("key", "accepted_id")
    assert dict(taken.values_list("atom_run__key", "origin")) == dict(accepted)
    assert all(attempt.tests_total == len(attempt.tests_passed) > 0 for attempt in taken)
    told = Event.objects.filter(execution=second, type__startswith="attempt.")
    assert {(event.type, event.data["kind"]) for event in told} == {
        ("attempt.started", "cache"),
        ("attempt.ended", "cache"),
    }
    assert_counters_equal_rows(second)
    assert_all_ended(second)


def test_what_was_taken_from_the_cache_is_not_stored_as_another_origin(
    scripted: Callable[..., Any], begin: Begin, finish: Finish
) -> None:
    value = plan(adder("a"))
    scripted(value)
    first = finish(begin(value))
    for _ in range(2):
        finish(begin(value))

    origins = set(Attempt.objects.filter(kind="cache").values_list("origin", flat=True))
    assert origins == {Attempt.objects.get(execution=first).id}
    assert CachedAnswer.objects.count() == 1


def test_an_edited_description_is_asked_anew_and_nothing_else_when_the_code_stays_the_same(
    scripted: Callable[..., Any], begin: Begin, finish: Finish
) -> None:
    value = plan(adder("a"), adder("b", depends_on=["a"]), adder("c", depends_on=["b"]), adder("d"))
    scripted(value)
    finish(begin(value))

    execution = finish(begin(_edited(value, "a", description="Return x plus 1, as ever.")))

    assert _asked(execution) == {"a"}
    assert (execution.cache_hits, execution.atoms_succeeded) == (3, 4)


def test_those_whose_prompt_shows_changed_code_are_asked_anew_and_those_behind_are_only_judged_again(
    scripted: Callable[..., Any], begin: Begin, finish: Finish, scratch: Any
) -> None:
    value = plan(adder("a"), adder("b", depends_on=["a"]), adder("c", depends_on=["b"]), adder("d"))
    changed = _edited(
        value,
        "a",
        description="Return x plus 1, by subtraction.",
        reference_solution="def add_a(x: int) -> int:\n    return x - -1\n",
    )
    file = write_plan(scratch / "changed", changed)
    scripted(value, [], "--answers", file)
    first = finish(begin(value))

    execution = finish(begin(changed))

    assert _codes(execution)["a"] != _codes(first)["a"]
    assert _asked(execution) == {"a", "b"}
    judged = dict(
        Attempt.objects.filter(execution=execution, kind="cache").values_list(
            "atom_run__key", "validation_ms"
        )
    )
    assert judged.keys() == {"c", "d"}
    assert judged["d"] is None
    assert judged["c"] > 0
    assert_counters_equal_rows(execution)


def _first_prompts(execution: Execution) -> dict[str, str]:
    attempts = Attempt.objects.filter(execution=execution, kind="model", number=1)
    return dict(attempts.values_list("atom_run__key", "prompt_user"))


@pytest.mark.parametrize(
    ("key", "changes"),
    [
        ("a1.0", {"description": "Another way to say it."}),
        ("a1.1", {"signature": "def add_a1_1(x: int, y: int = 0) -> int"}),
        ("a2.0", {"name": "renamed"}),
        ("a3.0", {"instructions": "Write no comments."}),
    ],
    ids=["description", "signature", "name", "instructions"],
)
def test_exactly_those_are_asked_anew_whose_first_prompt_would_be_another(
    scripted: Callable[..., Any],
    begin: Begin,
    finish: Finish,
    scratch: Any,
    key: str,
    changes: dict[str, Any],
) -> None:
    value = plan(*layers(3, 3, 2))
    if "signature" in changes:
        more = {"reference_solution": "def add_a1_1(x: int, y: int = 0) -> int:\n    return x + 2\n"}
        changed = _edited(value, key, **changes, **more)
    else:
        changed = _edited(value, key, **changes)
    scripted(value, [], "--answers", write_plan(scratch / "changed", changed))
    before = _first_prompts(finish(begin(value)))

    execution = finish(begin(changed))

    after = _first_prompts(finish(begin(changed, cache="off")))
    others = {one for one in after if after[one] != before[one]}
    assert key in others
    assert len(others) < len(after)
    assert _asked(execution) == others
    assert execution.cache_hits == len(after) - len(others)


def _passing_on() -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """`b` hands on what `a` gives; `c` does the same as `b`, which its near miss only seems to, as long as `a` adds 1."""
    middle = adder("b", depends_on=["a"])
    middle["reference_solution"] = (
        "from pkg.add_a import add_a\n\n\ndef add_b(x: int) -> int:\n    return add_a(x)\n"
    )
    middle["tests"] = "from pkg.add_b import add_b\n\n\ndef test_add_b():\n    assert add_b(1) > 1\n"
    top = adder("c", depends_on=["b"])
    top["reference_solution"] = (
        "from pkg.add_b import add_b\n\n\ndef add_c(x: int) -> int:\n    return add_b(x)\n"
    )
    top["tests"] = (
        "from pkg.add_b import add_b\nfrom pkg.add_c import add_c\n\n\ndef test_add_c():\n    assert add_c(1) == add_b(1)\n"
    )
    miss = {**wrong(top), "code": "def add_c(x: int) -> int:\n    return x + 1\n"}
    return middle, top, miss


def test_a_known_answer_that_no_longer_fits_is_rejected_for_free_and_the_model_is_asked(
    scripted: Callable[..., Any], begin: Begin, finish: Finish, scratch: Any
) -> None:
    middle, top, miss = _passing_on()
    value = plan(adder("a"), middle, top)
    changed = plan(adder("a", amount=2), middle, top)
    folder = scratch / "changed"
    scripted(
        value,
        [miss],
        "--answers",
        write_plan(folder, changed, [miss]),
        "--near-misses",
        folder / "plan-near-miss.json",
    )
    first = finish(begin(value))
    assert (first.attempts_total, first.atoms_succeeded) == (3, 3)

    execution = finish(begin(changed))

    assert (execution.atoms_succeeded, execution.cache_hits) == (3, 0)
    attempts = Attempt.objects.filter(execution=execution, atom_run__key="c").order_by("started_at")
    assert list(attempts.values_list("kind", "number", "status")) == [
        ("cache", 1, "rejected"),
        ("model", 1, "rejected"),
        ("model", 2, "passed"),
    ]
    assert "attempt 1 of 4" in attempts[1].prompt_user.lower()
    assert attempts[0].issues.exists()
    assert AtomRun.objects.get(execution=execution, key="c").attempts == 2
    assert_counters_equal_rows(execution)
    # The answer that was found instead is kept: the next run asks nothing.
    again = finish(begin(changed))
    assert (again.cache_hits, again.calls_total) == (3, 0)


@pytest.mark.parametrize(
    "chosen",
    [{"max_attempts": 3}, {"model": "scripted-other"}, {"seed": 7}, {"validators": "syntax,tests"}],
    ids=str,
)
def test_another_ladder_model_seed_or_set_of_checks_is_another_question(
    scripted: Callable[..., Any], begin: Begin, finish: Finish, chosen: dict[str, Any]
) -> None:
    value = plan(adder("a"))
    scripted(value)
    finish(begin(value))

    assert finish(begin(value, **chosen)).cache_hits == 0
    assert finish(begin(value, **chosen)).cache_hits == 1


def test_changed_hidden_tests_are_another_question(
    scripted: Callable[..., Any], begin: Begin, finish: Finish
) -> None:
    value = plan(adder("a"))
    scripted(value)
    finish(begin(value))
    hidden = "from pkg.add_a import add_a\n\n\ndef test_more():\n    assert add_a(41) == 42\n"

    assert _asked(finish(begin(_edited(value, "a", hidden_tests=hidden)))) == {"a"}


def test_the_cache_can_be_switched_off_for_an_execution(
    scripted: Callable[..., Any], begin: Begin, finish: Finish
) -> None:
    value = plan(adder("a"))
    scripted(value)

    finish(begin(value, cache="off"))
    assert CachedAnswer.objects.count() == 0
    finish(begin(value))
    assert CachedAnswer.objects.count() == 1
    assert _asked(finish(begin(value, cache="off"))) == {"a"}


def test_the_cache_can_be_switched_off_for_the_site(
    scripted: Callable[..., Any], begin: Begin, finish: Finish, settings: Any
) -> None:
    value = plan(adder("a"))
    scripted(value)
    finish(begin(value))
    waiting = begin(value)
    settings.MGE_CACHE = False

    assert _asked(finish(waiting)) == {"a"}
    assert finish(begin(value)).config["cache"] == "off"


def test_a_retry_never_takes_an_answer_from_the_cache_and_its_own_is_kept(
    scripted: Callable[..., Any], begin: Begin, finish: Finish
) -> None:
    value = plan(adder("a"))
    server = scripted(value)
    execution = finish(begin(value))

    retry_atoms(execution_id=execution.id, actor=None, atoms=["a"])
    finish(execution)

    assert server.stats()["calls"] == 2
    assert Attempt.objects.filter(execution=execution, kind="cache").count() == 0
    newest = Attempt.objects.get(execution=execution, superseded=False)
    assert CachedAnswer.objects.get().origin == newest.id


def test_rejected_answers_are_not_kept(scripted: Callable[..., Any], begin: Begin, finish: Finish) -> None:
    atom = adder("a")
    atom["reference_solution"] = "def add_a(x: int) -> int:\n    return 0\n"
    scripted(plan(atom))

    execution = finish(begin(plan(atom), max_attempts=2))

    assert execution.atoms_failed == 1
    assert CachedAnswer.objects.count() == 0


def test_an_untested_atom_stays_static(scripted: Callable[..., Any], begin: Begin, finish: Finish) -> None:
    value = plan(adder("a"))
    scripted(value)
    finish(begin(value, validators="syntax"))

    execution = finish(begin(value, validators="syntax"))

    assert (execution.cache_hits, execution.atoms_static) == (1, 1)
    assert_counters_equal_rows(execution)


def test_what_ran_without_isolation_is_judged_again(
    scripted: Callable[..., Any], begin: Begin, finish: Finish
) -> None:
    value = plan(adder("a"))
    scripted(value)
    finish(begin(value))
    CachedAnswer.objects.update(isolation="unisolated")

    execution = finish(begin(value))

    taken = Attempt.objects.get(execution=execution)
    assert (taken.kind, taken.status) == ("cache", "passed")
    assert taken.validation_ms is not None
    assert taken.isolation != "unisolated"


def test_an_unknown_plan_beside_it_does_not_disturb(
    scripted: Callable[..., Any], begin: Begin, finish: Finish, scratch: Any
) -> None:
    old = layers(3)
    new = adder("new", amount=9)
    server = scripted(plan(*old), [], "--answers", write_plan(scratch / "new", plan(*old, new)))
    finish(begin(plan(*old)))

    execution = finish(begin(plan(*old, new)))

    assert _asked(execution) == {"new"}
    assert server.stats()["calls"] == 4


def _begin_as(owner: User, value: dict[str, Any], team: Group | None = None) -> Execution:
    masterplan = store_masterplans(load_document(value, origin="test"), owner=owner)[0]
    masterplan.team = team
    masterplan.save()
    return start_execution(masterplan=masterplan, actor=owner)


def test_answers_are_shared_by_an_owner_and_a_team_and_by_nobody_else(
    scripted: Callable[..., Any], transactional_db: None, finish: Finish
) -> None:
    value = plan(adder("a"))
    server = scripted(value)
    ada, ben, eve = (User.objects.create_user(name) for name in ("ada", "ben", "eve"))
    team = Group.objects.create(name="team")
    finish(_begin_as(ada, value, team))
    scopes = set(CachedAnswer.objects.values_list("scope", flat=True))
    assert scopes == {f"user:{ada.id}", f"team:{team.id}"}

    assert finish(_begin_as(ada, value)).cache_hits == 1
    assert finish(_begin_as(ben, value, team)).cache_hits == 1
    assert finish(_begin_as(ben, value)).cache_hits == 0
    assert finish(_begin_as(eve, value)).cache_hits == 0
    assert server.stats()["calls"] == 3


def test_answers_not_used_for_long_are_pruned(
    scripted: Callable[..., Any], begin: Begin, finish: Finish
) -> None:
    atoms = [adder("a"), adder("b")]
    scripted(plan(*atoms))
    finish(begin(plan(*atoms)))
    old = datetime.now(UTC) - timedelta(days=100)
    CachedAnswer.objects.update(used_at=old, created_at=old)
    finish(begin(plan(atoms[0], name="small plan")))

    assert prune_answers(timedelta(days=90)) == 1
    assert CachedAnswer.objects.get().used_at > old
    assert prune_answers(None) == 1
    assert not CachedAnswer.objects.exists()
