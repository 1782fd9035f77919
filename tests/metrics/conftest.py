"""Executions worked by hand, and scrapes of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from django.test import Client

from executions.engine.plan_graph import plan_graph
from executions.metrics import views
from executions.metrics.collector import ExecutionCollector
from tests.metrics.exposition import Scrape, read_scrape


@pytest.fixture(autouse=True)
def _fresh_process(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A collector that remembers no other test's database."""
    plan_graph.cache_clear()
    monkeypatch.setattr(views, "COLLECTOR", ExecutionCollector(max_age_s=0))
    yield
    plan_graph.cache_clear()


@pytest.fixture
def scrape() -> Callable[..., Scrape]:
    """What this machine gets from `/metrics`."""

    def ask(query: str = "") -> Scrape:
        answer = Client(headers={"host": "localhost"}).get("/metrics" + query)
        assert answer.status_code == 200
        return read_scrape(answer.content.decode())

    return ask
