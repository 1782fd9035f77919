"""So many reads and writes a minute for each user, over all processes of the site."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from executions.api import throttles
from executions.api.throttles import Reads, admit_write
from executions.models import Execution, RequestTally
from tests.api.people import Person

START = 1_800_000_000


def test_the_101st_write_within_a_minute_is_429_and_says_how_long_to_wait(
    ada: Person, grace: Person, begin: Callable[..., Execution]
) -> None:
    mine, hers = (f"/api/v2/executions/{begin(one).id}/pause/" for one in (ada, grace))

    statuses = [ada.client.post(mine, {}, format="json").status_code for _ in range(100)]
    refused = ada.client.post(mine, {}, format="json")

    assert set(statuses) == {200}
    assert (refused.status_code, refused.json()["code"]) == (429, "too_many_requests")
    assert 1 <= int(refused["Retry-After"]) <= 61
    assert grace.client.post(hers, {}, format="json").status_code == 200
    assert ada.client.get(f"/api/v2/executions/{begin(ada).id}/").status_code == 200


def test_the_limit_of_reads_is_exact_in_one_process(ada: Person, grace: Person, settings: Any) -> None:
    settings.MGE_THROTTLE_READS = 25

    statuses = [ada.client.get("/api/v2/executions/").status_code for _ in range(25)]
    refused = ada.client.get("/api/v2/execution/health")

    assert set(statuses) == {200}
    assert refused.status_code == 429
    assert set(refused.json()) == {"detail"}
    assert int(refused["Retry-After"]) >= 1
    assert grace.client.get("/api/v2/executions/").status_code == 200


def test_two_tokens_and_a_session_of_a_user_share_one_limit(ada: Person, settings: Any, client: Any) -> None:
    settings.MGE_THROTTLE_READS = 2
    client.force_login(ada.user, backend="django.contrib.auth.backends.ModelBackend")

    assert ada.client.get("/api/v2/executions/").status_code == 200
    assert client.get("/api/v2/executions/").status_code == 200
    assert client.get("/api/v2/executions/").status_code == 429


class TestWrites:
    def test_are_counted_over_a_sliding_minute(self, ada: Person) -> None:
        def write(at: int) -> int:
            return admit_write(ada.user.pk, 3, START + at)

        assert [write(0), write(0), write(40)] == [0, 0, 0]
        wait = write(40)

        assert write(40 + wait - 1) == 1
        assert [write(40 + wait), write(40 + wait)] == [0, 0]
        assert write(40 + wait) > 0

    def test_that_were_refused_do_not_count(self, ada: Person) -> None:
        for _ in range(50):
            admit_write(ada.user.pk, 1, START)

        assert RequestTally.objects.get(kind="writes").seconds == {str(START): 1}


class TestReads:
    def test_of_several_processes_add_up(self, ada: Person) -> None:
        processes = [Reads(), Reads(), Reads()]
        admitted = sum(processes[number % 3].admit(ada.user.pk, 1000, START) == 0 for number in range(4000))

        # A process may not have heard yet of a tenth of what was left when another last spoke.
        assert 1000 <= admitted <= 1020

    def test_are_written_down_rarely(self, ada: Person, django_assert_max_num_queries: Any) -> None:
        process = Reads()

        def read() -> int:
            return process.admit(ada.user.pk, 1000, START)

        with django_assert_max_num_queries(0):
            assert {read() for _ in range(90)} == {0}
        with django_assert_max_num_queries(400):
            assert {read() for _ in range(910)} == {0}
        with django_assert_max_num_queries(0):
            assert read() == 61

    def test_of_before_a_minute_are_forgotten(self, ada: Person) -> None:
        process = Reads()
        assert [process.admit(ada.user.pk, 2, START) for _ in range(3)] == [0, 0, 61]

        assert process.admit(ada.user.pk, 2, START + 60) == 1
        assert process.admit(ada.user.pk, 2, START + 61) == 0

    def test_are_not_lost_when_the_database_fails_at_the_exchange(
        self, ada: Person, django_db_blocker: Any
    ) -> None:
        process = Reads()
        with django_db_blocker.block(), pytest.raises(RuntimeError):
            process.admit(ada.user.pk, 2, START)

        assert process.admit(ada.user.pk, 2, START) == 0
        assert process.admit(ada.user.pk, 2, START) > 0
        assert RequestTally.objects.get(kind="reads").seconds == {str(START): 2}

    def test_of_users_who_are_gone_are_not_kept_for_ever(
        self, ada: Person, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(throttles, "MOST_USERS_REMEMBERED", 3)
        process = Reads()
        for user_id in range(1_000_000, 1_000_003):
            process.admit(user_id, 1000, START)

        process.admit(ada.user.pk, 1000, START + 120)

        assert len(process._tallies) == 1
