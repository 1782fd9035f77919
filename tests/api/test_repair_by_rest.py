"""Retry, rollback, fork, approval and code by hand on our own routes."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import pytest

from executions.models import Attempt, Event, Execution
from executions.services.control import cancel_execution
from tests.api.people import Person
from tests.engine.by_hand import Hand, claiming, start, statuses, succeed_all, write
from tests.plans import adder, layers, plan

CHAIN = plan(adder("a"), adder("b", depends_on=["a"]), adder("c/code", depends_on=["b"]), adder("d"))


def ask(person: Person, execution: Execution, action: str, body: Any = None, **headers: str) -> Any:
    path = f"/api/v2/executions/{execution.id}/{action}/"
    return person.client.post(path, {} if body is None else body, format="json", headers=headers)


@pytest.fixture
def failed(ada: Person) -> Execution:
    """`a` failed, `b` and `c/code` are blocked behind it, `d` succeeded."""
    execution = start(CHAIN, owner=ada.user, max_attempts=1)
    for claim in write(claiming()):
        Hand(claim, 1).attempt(passed=claim.key != "a")
    execution.refresh_from_db()
    assert execution.status == "completed"
    return execution


@pytest.fixture
def done(ada: Person) -> Execution:
    execution = start(plan(*layers(2, 1, 1)), owner=ada.user)
    succeed_all(execution)
    return execution


def last_seq(execution: Execution) -> int:
    execution.refresh_from_db()
    return execution.seq


class TestRetry:
    def test_a_preview_says_what_would_run_and_changes_nothing(self, ada: Person, failed: Execution) -> None:
        before = last_seq(failed)

        answer = ask(ada, failed, "retry/preview", {"failed": True})

        assert (answer.status_code, answer.json()) == (
            200,
            {"generated": ["a"], "revived": ["b", "c/code"], "kept": [], "changes_nothing": False},
        )
        assert last_seq(failed) == before

    def test_it_does_the_same_and_answers_with_the_execution(self, ada: Person, failed: Execution) -> None:
        answer = ask(ada, failed, "retry", {"atoms": ["a"], "why": "again"})

        told = answer.json()
        assert (answer.status_code, told["generated"], told["revived"]) == (200, ["a"], ["b", "c/code"])
        assert (told["execution"]["status"], told["execution"]["run_number"]) == ("running", 2)
        assert statuses(failed)["a"] == "ready"
        control = Event.objects.get(execution=failed, type="control.retry")
        assert (control.data["who"], control.data["why"]) == ("ada", "again")

    def test_with_dependents_what_has_succeeded_begins_anew_too(self, ada: Person, done: Execution) -> None:
        body = {"atoms": ["a2.0"], "with_dependents": True}

        assert ask(ada, done, "retry/preview", {"atoms": ["a2.0"]}).json()["kept"] == ["a3.0"]
        assert ask(ada, done, "retry", body).json()["generated"] == ["a2.0", "a3.0"]

    def test_nothing_to_do_is_no_error(self, ada: Person, done: Execution) -> None:
        answer = ask(ada, done, "retry", {"failed": True})

        assert (answer.status_code, answer.json()["changes_nothing"]) == (200, True)
        assert answer.json()["execution"]["status"] == "completed"

    def test_every_problem_is_listed(self, ada: Person, failed: Execution) -> None:
        answer = ask(ada, failed, "retry", {"atoms": ["b", "c/code"]})

        assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")
        assert [one["message"] for one in answer.json()["problems"]] == [
            "cannot retry b: it is blocked and was never tried; retry what blocks it",
            "cannot retry c/code: it is blocked and was never tried; retry what blocks it",
        ]
        unknown = ask(ada, failed, "retry", {"atoms": ["zz"]}).json()["problems"]
        assert unknown == [{"place": "atoms", "line": None, "message": "there is no zz in this execution"}]

    @pytest.mark.parametrize(
        "body",
        [
            {},
            {"atoms": "a"},
            {"atoms": [1]},
            {"failed": "yes"},
            {"atom": ["a"]},
            {"atoms": ["a"], "why": 7},
            [],
        ],
    )
    @pytest.mark.parametrize("action", ["retry", "retry/preview"])
    def test_what_cannot_be_used_is_refused(
        self, action: str, body: Any, ada: Person, failed: Execution
    ) -> None:
        before = last_seq(failed)

        answer = ask(ada, failed, action, body)

        assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")
        assert last_seq(failed) == before

    def test_sent_twice_with_a_key_it_acts_once(self, ada: Person, failed: Execution) -> None:
        key = {"Idempotency-Key": "one retry"}
        first = ask(ada, failed, "retry", {"failed": True}, **key)
        before = last_seq(failed)

        again = ask(ada, failed, "retry", {"failed": True}, **key)

        assert again.json() == first.json()
        assert again["Idempotent-Replayed"] == "true"
        assert last_seq(failed) == before


class TestRollback:
    def test_everything_behind_the_wave_begins_anew(self, ada: Person, done: Execution) -> None:
        answer = ask(ada, done, "rollback", {"wave": 1, "why": "other way"})

        assert (answer.status_code, answer.json()["generated"]) == (200, ["a2.0", "a3.0"])
        assert answer.json()["execution"]["atoms_succeeded"] == 2
        assert statuses(done) == {
            "a1.0": "succeeded",
            "a1.1": "succeeded",
            "a2.0": "ready",
            "a3.0": "pending",
        }

    @pytest.mark.parametrize("body", [{}, {"wave": 9}, {"wave": -1}, {"wave": "1"}, {"wave": True}])
    def test_a_wave_that_is_none_is_refused(self, body: Any, ada: Person, done: Execution) -> None:
        answer = ask(ada, done, "rollback", body)

        assert (answer.status_code, answer.json()["problems"][0]["place"]) == (400, "wave")

    def test_a_running_execution_is_409_with_the_state(
        self, ada: Person, begin: Callable[..., Execution]
    ) -> None:
        answer = ask(ada, begin(ada), "rollback", {"wave": 0})

        assert (answer.status_code, answer.json()["state"]) == (409, "pending")


class TestFork:
    def test_it_is_created_with_its_place_and_what_it_took_over(self, ada: Person, done: Execution) -> None:
        body = {"wave": 2, "settings": {"model": "scripted-other", "max_concurrency": 3}, "why": "cheaper"}

        answer = ask(ada, done, "fork", body)

        fork = Execution.objects.get(pk=answer.json()["id"])
        assert (answer.status_code, answer["Location"]) == (201, f"/api/v2/executions/{fork.id}/")
        told = ada.client.get(answer["Location"]).json()
        assert (told["forked_from"], told["forked_at_wave"], told["atoms_succeeded"]) == (str(done.id), 2, 3)
        assert (fork.owner, fork.model, fork.max_concurrency) == (ada.user, "scripted-other", 3)
        attempt = ada.client.get(f"{answer['Location']}atoms/a1.0/").json()["all_attempts"][0]
        origin = Attempt.objects.get(execution=done, atom_run__key="a1.0")
        assert (attempt["kind"], attempt["origin"], attempt["calls"]) == ("fork", str(origin.id), [])

    def test_sent_twice_with_a_key_there_is_one_fork(self, ada: Person, done: Execution) -> None:
        key = {"Idempotency-Key": "one fork"}
        first = ask(ada, done, "fork", {"wave": 1}, **key)

        again = ask(ada, done, "fork", {"wave": 1}, **key)

        assert (again.status_code, again["Location"]) == (201, first["Location"])
        assert Execution.objects.filter(forked_from=done).count() == 1

    @pytest.mark.parametrize(
        ("body", "code", "said"),
        [
            ({"wave": 9}, "invalid_request", "must be from 0 to 3"),
            ({}, "invalid_request", "required"),
            ({"wave": 1, "settings": {"schedule": "zigzag"}}, "invalid_settings", "schedule"),
            ({"wave": 1, "settings": []}, "invalid_request", "object"),
        ],
    )
    def test_what_cannot_be_used_is_refused_and_nothing_is_stored(
        self, body: Any, code: str, said: str, ada: Person, done: Execution
    ) -> None:
        answer = ask(ada, done, "fork", body)

        assert (answer.status_code, answer.json()["code"]) == (400, code)
        assert said in answer.json()["detail"]
        assert Execution.objects.count() == 1

    def test_a_model_with_a_price_needs_a_word(self, ada: Person, done: Execution, settings: Any) -> None:
        settings.ANTHROPIC_BASE_URL = "http://127.0.0.1:9"
        body = {"wave": 1, "settings": {"model": "claude-sonnet-5-5"}}

        refused = ask(ada, done, "fork", body)

        assert (refused.status_code, refused.json()["code"]) == (400, "cost_not_confirmed")
        assert refused.json()["model"] == "claude-sonnet-5-5"
        assert Execution.objects.count() == 1
        assert ask(ada, done, "fork", {**body, "confirm_cost": True}).status_code == 201


class TestApproval:
    @pytest.fixture
    def asking(self, ada: Person) -> Execution:
        """Waits for wave 2; later for the atom a3.0 in it."""
        execution = start(plan(*layers(2, 1), adder("x", approval=True), approvals=[2]), owner=ada.user)
        succeed_all(execution)
        return execution

    def test_what_waits_is_told_and_found_and_begins_when_approved(
        self, ada: Person, asking: Execution
    ) -> None:
        path = f"/api/v2/executions/{asking.id}/"
        assert ada.client.get(path).json()["approvals_asked"] == {"waves": [], "atoms": ["x"]}
        found = ada.client.get(f"{path}atoms/?approval=asked").json()["results"]
        assert [(one["key"], one["approval"]) for one in found] == [("x", "asked")]

        answer = ask(ada, asking, "approve", {"atom": "x", "why": "looks good"})

        assert (answer.status_code, answer.json()["approvals_asked"]) == (200, {"waves": [], "atoms": []})
        succeed_all(asking)
        assert ada.client.get(path).json()["approvals_asked"] == {"waves": [2], "atoms": []}
        waves = ada.client.get(f"{path}waves/").json()["results"]
        assert [one["approval"] for one in waves] == ["", "asked"]
        assert ask(ada, asking, "approve", {"wave": 2}).status_code == 200
        succeed_all(asking)
        assert asking.status == "completed"

    def test_approving_again_changes_nothing(self, ada: Person, asking: Execution) -> None:
        ask(ada, asking, "approve", {"atom": "x"})
        before = last_seq(asking)

        assert ask(ada, asking, "approve", {"atom": "x"}).status_code == 200
        assert last_seq(asking) == before

    @pytest.mark.parametrize(
        ("body", "status"),
        [
            ({}, 400),
            ({"wave": 2, "atom": "x"}, 400),
            ({"wave": 1}, 400),
            ({"wave": 0}, 400),
            ({"wave": 3}, 404),
            ({"atom": "zz"}, 404),
        ],
    )
    def test_what_needs_none_or_is_not_there_is_refused(
        self, body: Any, status: int, ada: Person, asking: Execution
    ) -> None:
        assert ask(ada, asking, "approve", body).status_code == status


class TestCodeByHand:
    CODE = "def add_a(x: int) -> int:\n    return x + 1\n"

    def test_it_is_accepted_for_a_verdict_and_shown_as_an_attempt_of_its_author(
        self, ada: Person, failed: Execution
    ) -> None:
        answer = ask(ada, failed, "atoms/a/code", {"code": self.CODE, "why": "I know better"})

        told = answer.json()
        assert (answer.status_code, told["atom"], told["execution"]["status"]) == (202, "a", "running")
        attempts = ada.client.get(answer["Location"]).json()["all_attempts"]
        mine = next(one for one in attempts if one["id"] == told["attempt_id"])
        assert (mine["kind"], mine["author"], mine["status"], mine["code"]) == (
            "person",
            "ada",
            "running",
            self.CODE,
        )

    def test_an_atom_may_be_named_by_the_uuid_of_its_run(self, ada: Person, failed: Execution) -> None:
        run = failed.atom_runs.get(key="a")

        assert ask(ada, failed, f"atoms/{run.id}/code", {"code": self.CODE}).json()["atom"] == "a"

    def test_a_key_that_ends_like_the_route_is_still_found(self, ada: Person, failed: Execution) -> None:
        path = f"/api/v2/executions/{failed.id}/atoms/c/code"

        assert ada.client.get(path).json()["key"] == "c/code"
        assert ada.client.get(f"{path}/").json()["key"] == "c/code"

    @pytest.mark.parametrize(
        ("body", "status"),
        [
            ({}, 400),
            ({"code": ""}, 400),
            ({"code": "  \n"}, 400),
            ({"code": 7}, 400),
            ({"code": "a\0b"}, 400),
        ],
    )
    def test_what_is_no_code_is_refused(self, body: Any, status: int, ada: Person, failed: Execution) -> None:
        assert ask(ada, failed, "atoms/a/code", body).status_code == status
        assert Attempt.objects.filter(kind="person").count() == 0

    def test_an_atom_that_waits_for_others_takes_none(self, ada: Person, failed: Execution) -> None:
        answer = ask(ada, failed, "atoms/b/code", {"code": self.CODE})

        assert (answer.status_code, answer.json()["problems"][0]["place"]) == (400, "b")

    def test_an_atom_that_is_not_there_is_404(self, ada: Person, failed: Execution) -> None:
        assert ask(ada, failed, "atoms/zz/code", {"code": self.CODE}).status_code == 404


EVERY_ACTION: list[tuple[str, dict[str, Any]]] = [
    ("retry", {"atoms": ["a1.0"]}),
    ("retry/preview", {"atoms": ["a1.0"]}),
    ("rollback", {"wave": 1}),
    ("fork", {"wave": 1}),
    ("approve", {"wave": 1}),
    ("atoms/a1.0/code", {"code": "x = 1\n"}),
]


@pytest.mark.parametrize(("action", "body"), EVERY_ACTION, ids=[one for one, _ in EVERY_ACTION])
class TestWhoMay:
    def test_the_invisible_is_404_and_the_forbidden_403(
        self,
        action: str,
        body: dict[str, Any],
        grace: Person,
        make_person: Callable[..., Person],
        done: Execution,
    ) -> None:
        viewer = make_person("vera", "viewer", staff=True)
        before = last_seq(done)

        assert ask(grace, done, action, body).status_code == 404
        assert ask(viewer, done, action, body).status_code == 403
        assert last_seq(done) == before
        assert Execution.objects.count() == 1

    def test_an_unknown_execution_is_404_and_a_malformed_id_400(
        self, action: str, body: dict[str, Any], ada: Person
    ) -> None:
        for text, status in ((str(uuid.uuid4()), 404), ("nonsense", 400)):
            path = f"/api/v2/executions/{text}/{action}/"
            assert ada.client.post(path, body, format="json").status_code == status

    def test_a_cancelled_execution_is_final_but_for_a_fork(
        self, action: str, body: dict[str, Any], ada: Person, begin: Callable[..., Execution]
    ) -> None:
        execution = begin(ada)
        cancel_execution(execution_id=execution.id, actor=ada.user)

        answer = ask(ada, execution, action, body)

        if action == "fork":
            assert answer.status_code == 201
        else:
            assert (answer.status_code, answer.json()["code"]) == (409, "wrong_state")
            assert answer.json()["state"] == "cancelled"
