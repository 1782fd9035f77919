"""What nobody foresaw: a fixed sentence, a request id, and everything else only in the log."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from django.db import connection

from executions.api.errors import FAILED_INSIDE
from executions.models import Execution
from tests.api.people import Person


@contextmanager
def broken_database() -> Iterator[None]:
    """The table of executions is not there."""
    with connection.schema_editor() as editor:
        editor.execute("ALTER TABLE executions_execution RENAME TO executions_hidden")
    try:
        yield
    finally:
        with connection.schema_editor() as editor:
            editor.execute("ALTER TABLE executions_hidden RENAME TO executions_execution")


@pytest.fixture
def execution(transactional_db: None, ada: Person, begin: Callable[..., Execution]) -> Execution:
    return begin(ada)


@pytest.mark.parametrize("original", [True, False])
def test_a_failure_is_500_with_a_fixed_sentence_and_an_id_under_which_it_is_logged(
    original: bool, execution: Execution, ada: Person, caplog: pytest.LogCaptureFixture
) -> None:
    path = f"/api/v2/execution/{execution.id}" if original else f"/api/v2/executions/{execution.id}/"

    with broken_database(), caplog.at_level(logging.ERROR):
        answer = ada.client.get(path)

    assert answer.status_code == 500
    assert answer.json()["detail"] == FAILED_INSIDE
    assert answer.json()["request_id"] == answer["X-Request-ID"]
    assert "executions_execution" not in answer.content.decode()
    assert "Traceback" not in answer.content.decode()
    logged = [record for record in caplog.records if answer["X-Request-ID"] in record.getMessage()]
    assert logged
    assert logged[0].exc_info


def test_every_answer_has_an_id(ada: Person, execution: Execution) -> None:
    first, second = ada.client.get("/api/v2/executions/"), ada.client.get("/healthz")

    assert first["X-Request-ID"] != second["X-Request-ID"]


@pytest.mark.parametrize(
    ("given", "kept"),
    [("trace-0123456789", True), ("short", False), ("a b c d e f g h", False), ("x" * 65, False)],
)
def test_a_harmless_id_of_a_proxy_is_kept(given: str, kept: bool, ada: Person) -> None:
    answer = ada.client.get("/healthz", HTTP_X_REQUEST_ID=given)

    assert (answer["X-Request-ID"] == given) is kept


@pytest.mark.parametrize("path", ["/api/", "/api/v2/", "/api/v3/executions/", "/api/v2/executions/a/b/c/d/"])
@pytest.mark.parametrize("method", ["get", "post", "delete"])
def test_there_are_no_other_routes(path: str, method: str, ada: Person) -> None:
    answer = getattr(ada.client, method)(path)

    assert (answer.status_code, answer["Content-Type"]) == (404, "application/problem+json")


@pytest.mark.parametrize("method", ["put", "patch", "delete", "trace"])
def test_methods_that_a_route_does_not_have_are_405_and_those_it_has_are_said(
    method: str, ada: Person, execution: Execution
) -> None:
    for path in (f"/api/v2/execution/{execution.id}", "/api/v2/executions/?limit=1"):
        answer = getattr(ada.client, method)(path)

        assert answer.status_code == 405
        assert "GET" in answer["Allow"]
