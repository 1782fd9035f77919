"""Every admin page opens, shows hostile text as text, and changes nothing but by a confirmed action."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from executions.engine.calls import AttemptIntent, CallResult, RecordAnswer, RecordIntent
from executions.engine.claims import Claim
from executions.engine.transaction import open_transaction
from executions.engine.verdicts import RecordVerdict
from executions.findings import Finding, Severity
from executions.identity import new_id
from executions.models import Execution
from executions.planning.format import load_document
from executions.services.masterplans import store_masterplans
from executions.services.start import start_execution
from executions.states import CallOutcome
from tests.plans import adder, layers, plan

HOSTILE = "<script>alert(1)</script>"
OURS = [model for model in admin.site._registry if model._meta.app_label == "executions"]


@pytest.fixture
def boss(db: None, client: Client) -> Client:
    client.force_login(User.objects.create_superuser("boss", password="a long pass phrase"))
    return client


@pytest.fixture
def begin(db: None) -> Callable[..., Execution]:
    def start(value: dict[str, Any]) -> Execution:
        masterplan = store_masterplans(load_document(value, origin="test"), owner=None)[0]
        # Worked by hand, without a sandbox: there is nobody for the gates.
        settings = {"validators": "syntax,contract"}
        return start_execution(masterplan=masterplan, actor=None, settings=settings, scripted=True)

    return start


def _answered(execution: Execution) -> None:
    """One atom of the execution is claimed, answered and rejected, with hostile text everywhere."""
    from datetime import timedelta

    with open_transaction(execution.id) as unit:
        claim = Claim("me", lambda: 1, timedelta(seconds=30), 10, can_execute=True).apply(unit)[0]
    attempt, call = new_id(), new_id()
    intent = AttemptIntent(1, "generate", {"temperature": 0.7}, "system", HOSTILE)
    with open_transaction(execution.id) as unit:
        RecordIntent(claim, attempt, 1, call, 1, "scripted model", "scripted-x", {}, 5, intent).apply(unit)
    with open_transaction(execution.id) as unit:
        RecordAnswer(claim, 1, call, CallResult(CallOutcome.ANSWERED, answer=HOSTILE, cost_nano_usd=5)).apply(
            unit
        )
    finding = Finding(Severity.ERROR, "test-failed", HOSTILE, 1)
    with open_transaction(execution.id) as unit:
        RecordVerdict(
            claim, attempt, 1, 1, HOSTILE, passed=False, assurance="", isolation="isolated", findings=(finding,),
            tests_passed=(), tests_total=1, duration_ms=1.0, cpu_ms=1.0,
        ).apply(unit)  # fmt: skip


@pytest.mark.parametrize("model", OURS, ids=lambda model: model.__name__)
def test_every_list_and_page_opens_and_shows_text_as_text(
    boss: Client, begin: Callable[..., Execution], model: Any
) -> None:
    execution = begin(plan(adder("a", name=HOSTILE, description=HOSTILE), name="a plan"))
    _answered(execution)
    listing = boss.get(reverse(f"admin:executions_{model._meta.model_name}_changelist"), {"q": "a"})
    assert listing.status_code == 200
    for row in model.objects.all()[:5]:
        page = boss.get(reverse(f"admin:executions_{model._meta.model_name}_change", args=[row.pk]))
        assert page.status_code == 200
        assert HOSTILE not in page.content.decode()
        assert "Content-Security-Policy" in page.headers


def test_evidence_cannot_be_added_changed_or_deleted(boss: Client, begin: Callable[..., Execution]) -> None:
    execution = begin(plan(*layers(2)))
    for model in OURS:
        name = f"admin:executions_{model._meta.model_name}"
        assert boss.get(reverse(f"{name}_add")).status_code == 403
    assert (
        boss.post(
            reverse("admin:executions_execution_delete", args=[execution.pk]), {"post": "yes"}
        ).status_code
        == 403
    )
    assert (
        boss.post(
            reverse("admin:executions_execution_change", args=[execution.pk]), {"model": "x"}
        ).status_code
        == 403
    )


def test_an_action_asks_first_then_acts_and_leaves_who_and_why(
    boss: Client, begin: Callable[..., Execution]
) -> None:
    execution = begin(plan(*layers(2)))
    address = reverse("admin:executions_execution_changelist")
    chosen = {"action": "pause", "_selected_action": [str(execution.pk)]}

    asked = boss.post(address, chosen)
    execution.refresh_from_db()
    assert (asked.status_code, execution.status) == (200, "pending")

    boss.post(address, {**chosen, "confirmed": "yes", "why": "lunch"})
    execution.refresh_from_db()
    assert execution.status == "paused"
    audit = execution.events.get(type="control.pause")
    assert (audit.data["who"], audit.data["why"]) == ("boss", "lunch")


def test_a_wrong_state_is_named_and_nothing_else_happens(
    boss: Client, begin: Callable[..., Execution]
) -> None:
    execution = begin(plan())
    address = reverse("admin:executions_execution_changelist")
    data = {"action": "cancel", "_selected_action": [str(execution.pk)], "confirmed": "yes"}

    answer = boss.post(address, data, follow=True)

    assert "the execution is completed" in answer.content.decode()
    execution.refresh_from_db()
    assert execution.status == "completed"


def test_the_executions_page_carries_what_the_live_feed_needs(
    boss: Client, begin: Callable[..., Execution]
) -> None:
    execution = begin(plan(*layers(2, 1)))

    page = boss.get(reverse("admin:executions_execution_change", args=[execution.pk])).content.decode()

    assert f'data-execution-id="{execution.id}" data-seq="{execution.seq}"' in page
    assert page.count("data-wave=") == 2
    assert page.count("data-atom=") == 3
    assert "executions/live/execution.js" in page


def test_staff_without_the_permission_see_no_actions(client: Client, begin: Callable[..., Execution]) -> None:
    from django.contrib.auth.models import Permission

    begin(plan(*layers(1)))
    reader = User.objects.create_user("reader", password="a long pass phrase", is_staff=True)
    reader.user_permissions.add(Permission.objects.get(codename="view_execution"))
    client.force_login(reader)

    page = client.get(reverse("admin:executions_execution_changelist"))

    assert page.status_code == 200
    assert 'value="pause"' not in page.content.decode()


def test_what_failed_is_retried_after_a_question_that_says_what_begins_anew(
    boss: Client, begin: Callable[..., Execution]
) -> None:
    failed = begin(plan(adder("a"), adder("b", depends_on=["a"]), name="failed plan"))
    _answered(failed)
    other = begin(plan(adder("c"), name="other plan"))
    address = reverse("admin:executions_execution_changelist")
    chosen = {"action": "retry_failed", "_selected_action": [str(failed.pk), str(other.pk)]}

    asked = boss.post(address, chosen).content.decode()
    failed.refresh_from_db()
    assert "1 atoms are generated again (a), 1 are no longer blocked" in asked
    assert "nothing failed" in asked
    assert failed.status == "completed"

    boss.post(address, {**chosen, "confirmed": "yes", "why": "again"})
    failed.refresh_from_db()
    assert (failed.status, failed.run_number) == ("running", 2)
    assert failed.events.get(type="control.retry").data["who"] == "boss"


def test_forks_approvals_and_whose_code_it_is_are_shown(
    boss: Client, begin: Callable[..., Execution]
) -> None:
    from executions.services.fork import fork_execution
    from tests.engine.by_hand import succeed_all

    source = begin(plan(*layers(1, 1), approvals=[2]))
    succeed_all(source)
    fork = fork_execution(execution_id=source.pk, actor=None, wave=1)

    page = boss.get(reverse("admin:executions_execution_change", args=[source.pk])).content.decode()
    assert "Waits for approval: wave 2" in page
    assert reverse("admin:executions_execution_change", args=[fork.pk]) in page
    taken = fork.attempts.get()
    origin = source.attempts.get()
    shown = boss.get(reverse("admin:executions_attempt_change", args=[taken.pk])).content.decode()
    assert reverse("admin:executions_attempt_change", args=[origin.pk]) in shown
    attempts = reverse("admin:executions_attempt_changelist")
    for query, kept, left_out in (
        ({"kind__exact": "fork"}, taken, origin),
        ({"kind__exact": "model"}, origin, taken),
        ({"superseded__exact": "0", "author": ""}, origin, None),
    ):
        listed = boss.get(attempts, query).content.decode()
        assert str(kept.pk) in listed
        assert left_out is None or str(left_out.pk) not in listed
    waves = boss.get(reverse("admin:executions_wave_changelist"), {"approval__exact": "asked"})
    assert waves.content.decode().count('class="field-number"') == 1
    assert (
        boss.get(reverse("admin:executions_atomrun_changelist"), {"approval__exact": "asked"}).status_code
        == 200
    )


def test_kept_answers_are_listed_and_shown_as_text(boss: Client, db: None) -> None:
    from datetime import UTC, datetime

    from executions.models import CachedAnswer

    now = datetime.now(UTC)
    kept = CachedAnswer.objects.create(
        scope="user:1", key="k" * 64, answer=HOSTILE, verdict_key="v" * 64, assurance="tested",
        origin=new_id(), created_at=now, used_at=now,
    )  # fmt: skip

    listed = boss.get(reverse("admin:executions_cachedanswer_changelist"), {"q": "user:1"}).content.decode()
    page = boss.get(reverse("admin:executions_cachedanswer_change", args=[kept.pk])).content.decode()

    assert "user:1" in listed
    assert HOSTILE not in page
    assert "&lt;script&gt;" in page
