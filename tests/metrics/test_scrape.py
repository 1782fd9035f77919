"""What `/metrics` says, and to whom."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import OperationalError, connection
from django.test import Client
from prometheus_client import CollectorRegistry

from executions.metrics import readings
from executions.metrics.collector import ExecutionCollector
from executions.services.start import start_execution
from tests.engine.by_hand import Hand, claiming, start, succeed_all, write
from tests.ground import ROOT
from tests.metrics.crowd import work_through
from tests.metrics.exposition import Scrape
from tests.plans import layers, plan

Ask = Callable[..., Scrape]
ORIGINAL = {
    "v2_retry_attempts_total",
    "v2_retry_success_rate",
    "v2_retry_temperature_changes_total",
    "v2_wave_completion_percent",
    "v2_wave_atom_throughput",
    "v2_wave_time_seconds",
    "v2_execution_precision_percent",
    "v2_execution_time_seconds",
    "v2_execution_cost_usd_total",
    "v2_atoms_succeeded_total",
    "v2_atoms_failed_total",
    "v2_atom_execution_time_seconds",
    "v2_atom_validation_pass_rate",
}


def ask(client: Client | None = None, **more: Any) -> int:
    headers = {"host": "localhost", **more.pop("headers", {})}
    status: int = (client or Client()).get("/metrics", headers=headers, **more).status_code
    return status


# --- Who may read it --------------------------------------------------------------------------------------------------


@pytest.mark.django_db
@pytest.mark.parametrize("address", ["127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1"])
def test_this_machine_may_read_them(address: str) -> None:
    assert ask(REMOTE_ADDR=address) == 200


@pytest.mark.django_db
@pytest.mark.parametrize("address", ["10.0.0.7", "192.168.1.1", "::2", "::ffff:10.0.0.7", "", "unix:"])
def test_another_machine_may_not(address: str) -> None:
    assert ask(REMOTE_ADDR=address) == 403


@pytest.mark.django_db
@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded", "X-Real-IP"])
def test_a_proxy_on_this_machine_is_not_this_machine(header: str) -> None:
    assert ask(headers={header: "for=10.0.0.7"}) == 403


@pytest.mark.django_db
def test_on_a_site_with_a_public_address_a_loopback_address_proves_nothing(settings: Any) -> None:
    settings.MGE_PUBLIC_URL = "https://mge.example.org"
    assert ask() == 403


@pytest.mark.django_db
def test_a_token_opens_them_from_anywhere(settings: Any) -> None:
    far = {"REMOTE_ADDR": "10.0.0.7"}
    assert ask(headers={"authorization": "Bearer "}, **far) == 403, "no token is set, so none is right"
    settings.MGE_METRICS_TOKEN = "a long secret"
    assert ask(headers={"authorization": "Bearer a long secret"}, **far) == 200
    assert ask(headers={"authorization": "bearer a long secret"}, **far) == 200
    for wrong in ("Bearer a long secre", "Bearer ä", "Basic a long secret", "a long secret", ""):
        assert ask(headers={"authorization": wrong}, **far) == 403


@pytest.mark.django_db
@pytest.mark.parametrize(("staff", "expected"), [(True, 200), (False, 403)])
def test_a_session_of_staff_opens_them(staff: bool, expected: int) -> None:
    client = Client()
    client.force_login(
        User.objects.create_user("ada", is_staff=staff), "django.contrib.auth.backends.ModelBackend"
    )
    assert ask(client, REMOTE_ADDR="10.0.0.7") == expected


@pytest.mark.django_db
def test_they_can_only_be_read() -> None:
    assert Client().post("/metrics", headers={"host": "localhost"}).status_code == 405


# --- What it says -----------------------------------------------------------------------------------------------------


def _documented() -> dict[str, tuple[str, frozenset[str]]]:
    """Name: type, labels; each name once."""
    rows = re.findall(
        r"^\| `(\w+)` \| (\w+) \| ([^|]*)\| [^|]+\| [^|]+\|$",
        (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8"),
        re.MULTILINE,
    )
    names = [name for name, _, _ in rows]
    assert len(names) == len(set(names))
    return {
        name: (kind, frozenset(re.findall(r"\w+", labels.partition(";")[0]))) for name, kind, labels in rows
    }


def _told(scrape: Scrape) -> dict[str, tuple[str, frozenset[str] | None]]:
    """Name: type, labels where there is a sample."""
    types = dict(re.findall(r"^# TYPE (\w+) (\w+)$", scrape.text, re.MULTILINE))
    labels: dict[str, set[str]] = {}
    for name, found in scrape.samples:
        base = name if name in types else re.sub(r"_(bucket|count|sum)$", "", name)
        labels.setdefault(base, set()).update(key for key, _ in found if key != "le")
    return {name: (kind, frozenset(labels[name]) if name in labels else None) for name, kind in types.items()}


@pytest.mark.django_db(transaction=True)
def test_the_page_of_metrics_has_a_row_for_each_series_and_no_other(scrape: Ask) -> None:
    succeed_all(start(plan(*layers(2, 1))))
    connection.close()  # the next one is watched
    scrape()
    documented, told = _documented(), _told(scrape())
    if not sys.platform.startswith("linux"):
        documented = {name: row for name, row in documented.items() if not name.startswith("process_")}

    assert told.keys() == documented.keys()
    for name, (kind, labels) in told.items():
        assert kind == documented[name][0], name
        assert labels is None or labels == documented[name][1], name
    assert {name for name in told if name.startswith("v2_")} == ORIGINAL
    assert all(told[name][1] is not None for name in told if name.startswith(("v2_", "mge_")))


@pytest.mark.needs_promtool
@pytest.mark.django_db
@pytest.mark.parametrize("query", ["", "?atoms=1"])
def test_promtool_has_nothing_to_say(scrape: Ask, query: str) -> None:
    succeed_all(start(plan(*layers(2, 1))))
    Client().get("/nowhere", headers={"host": "localhost"})

    done = subprocess.run(
        ["promtool", "check", "metrics"],  # noqa: S607
        input=scrape(query).text,
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.django_db(transaction=True)
def test_two_thousand_atoms_give_as_many_series_as_a_hundred_in_as_many_waves(scrape: Ask) -> None:
    small = start(plan(*layers(*[10] * 10), name="small"))
    before = scrape()
    work_through(small)
    hundred = scrape()
    assert hundred("v2_atom_execution_time_seconds_count") == 100
    assert hundred.series() == before.series(), "none appears while it runs either"
    large = start(plan(*layers(*[200] * 10), name="large"))
    small.atom_runs.update(status="failed", accepted=None, assurance="")
    small.delete()
    work_through(large)

    thousands = scrape()

    assert thousands("v2_atom_execution_time_seconds_count") == 2_100
    assert thousands.series() == hundred.series()
    assert not thousands.values("atom_id")


@pytest.mark.django_db
def test_masterplans_are_named_only_while_they_run_or_are_among_the_last_fifty(scrape: Ask) -> None:
    running = start(plan(*layers(2), name="runs"))
    write(claiming(1))
    forgotten = start(plan(*layers(1), name="forgotten"))
    newer = start(plan(*layers(1), name="newer"))
    for _ in range(readings.RECENT):
        start_execution(masterplan=newer.masterplan, actor=None)

    named = scrape().values("masterplan_id")

    assert named == {str(running.masterplan_id), str(newer.masterplan_id)}
    assert str(forgotten.masterplan_id) not in named


@pytest.mark.django_db
def test_a_masterplan_that_is_named_again_comes_back_with_all_that_it_had(scrape: Ask) -> None:
    first = start(plan(*layers(2), name="first"))
    succeed_all(first)
    other = start(plan(*layers(1), name="other"))
    for _ in range(readings.RECENT):
        start_execution(masterplan=other.masterplan, actor=None)
    assert str(first.masterplan_id) not in scrape().values("masterplan_id")
    assert scrape()("mge_atoms_ended_total", status="succeeded") == 2, "the site's own sum misses nothing"

    start_execution(masterplan=first.masterplan, actor=None)

    assert scrape()("v2_atoms_succeeded_total", masterplan_id=first.masterplan_id, wave_id=1) == 2


@pytest.mark.django_db
def test_a_long_chain_of_waves_stays_bounded(scrape: Ask) -> None:
    start(plan(*layers(*[1] * 104)))

    found = scrape()

    assert found.values("wave_id") == {*(str(number) for number in range(1, 101)), "more"}
    assert found.sum("v2_wave_completion_percent", wave_id="more") == 0


@pytest.mark.django_db
def test_atoms_are_named_on_request_and_at_most_so_many(scrape: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readings, "MOST_ATOMS", 3)
    execution = start(plan(*layers(4, 1)))
    hands = [Hand(claim) for claim in write(claiming())]
    hands[0].attempt(passed=False)
    for hand in hands:
        hand.attempt(passed=True)
    tried = next(hand.claim.run_id for hand in hands)
    assert not scrape().values("atom_id")

    found = scrape("?atoms=1")

    named = found.values("atom_id")
    assert len(named) == 3
    assert named <= {str(run.pk) for run in execution.atom_runs.all()}
    if str(tried) in named:
        assert found("v2_retry_attempts_total", atom_id=tried, attempt_number=2) == 1
    assert found.sum("v2_atom_execution_time_seconds_count") == 3
    assert all(value == 1 for (name, _), value in found.samples.items() if name == "v2_retry_attempts_total")


@pytest.mark.django_db
def test_a_method_that_somebody_invents_makes_no_series(scrape: Ask) -> None:
    for method in ("INVENTED", "GET2"):
        Client().generic(method, "/healthz", headers={"host": "localhost"})

    methods = scrape().values("method", "django_http")

    assert "<invalid method>" in methods
    assert not methods & {"INVENTED", "GET2"}


@pytest.mark.django_db(transaction=True)
def test_queries_of_the_web_process_are_counted(scrape: Ask) -> None:
    scrape()
    connection.close()  # the next one is watched
    labels = {"alias": "default", "vendor": connection.vendor}
    scrape()
    before = scrape().sum("django_db_execute_total", **labels)
    assert before > 0
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
        cursor.executemany("UPDATE executions_tally SET amount = 0 WHERE name = %s", [("a",), ("b",)])
        with pytest.raises(Exception, match="nowhere"):
            cursor.execute("SELECT 1 FROM nowhere")

    found = scrape()

    assert found.sum("django_db_execute_total", **labels) >= before + 4
    assert found("django_db_execute_many_total", **labels) >= 2
    assert found.sum("django_db_errors_total", **labels) >= 1
    assert found("django_db_query_duration_seconds_count", **labels) > 0


# --- The collector ----------------------------------------------------------------------------------------------------


def test_registering_the_collector_asks_nothing_of_the_database() -> None:
    # No mark: a query would fail here.
    registry = CollectorRegistry(auto_describe=True)
    registry.register(ExecutionCollector())
    assert {
        family.name + "_total" * (family.type == "counter") for family in ExecutionCollector().describe()
    } >= ORIGINAL


@pytest.mark.django_db
def test_the_database_is_asked_once_in_a_while(django_assert_num_queries: Any) -> None:
    collector = ExecutionCollector(max_age_s=3600)
    list(collector.collect())
    start(plan(*layers(1)))

    with django_assert_num_queries(0):
        families = {family.name: family for family in collector.collect()}

    assert sum(sample.value for sample in families["mge_executions"].samples) == 0


@pytest.mark.django_db
def test_a_scrape_asks_as_little_for_many_executions_as_for_one(
    django_assert_max_num_queries: Any,
) -> None:
    for number in range(5):
        succeed_all(start(plan(*layers(2, 1), name=f"plan {number}")))
    with django_assert_max_num_queries(16):
        list(ExecutionCollector(max_age_s=0).collect())


def _refuse(*_: Any) -> None:
    raise OperationalError("the database is away")


@pytest.mark.django_db
@pytest.mark.parametrize("query", ["", "?atoms=1"])
def test_a_database_that_is_away_is_told_and_nothing_else(scrape: Ask, query: str) -> None:
    with connection.execute_wrapper(_refuse):
        found = scrape(query)

    assert found("mge_collector_up") == 0
    assert found.series() == 1
    assert found.sum("django_http_requests_before_middlewares_total") > 0, "the process's own are there"
    assert scrape(query)("mge_collector_up") == 1


@pytest.mark.django_db
def test_an_error_of_ours_is_not_hidden() -> None:
    def broken(*_: Any) -> None:
        raise ZeroDivisionError

    with connection.execute_wrapper(broken), pytest.raises(ZeroDivisionError):
        list(ExecutionCollector(max_age_s=0).collect())
