"""The browser's client in a real browser: what it writes where, and how it stays connected."""

from __future__ import annotations

import itertools
import shutil
import time
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime
from html import escape
from types import SimpleNamespace
from typing import Any

import pytest
from django.contrib.auth.models import User
from playwright.async_api import Page, Route, async_playwright, expect

from executions.dashboard import visible_text, words
from executions.dashboard.event_words import sentence
from executions.engine.transaction import open_transaction
from executions.live.feed import read_snapshot
from executions.models import Event, Execution
from executions.services.control import cancel_execution
from executions.services.repair import roll_back
from tests.engine.by_hand import succeed_all
from tests.live.socket_client import append, cookie_of, off_loop
from tests.live.web_process import WebProcess

pytestmark = pytest.mark.needs_browser
Begin = Callable[..., Execution]
PATIENCE_MS = 60_000
POLICY = "default-src 'none'; script-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; object-src 'none'"
WITHOUT_SOCKETS = """
window.WebSocket = class extends EventTarget {
  constructor() {
    super();
    setTimeout(() => this.dispatchEvent(new CloseEvent("close", { code: 1006 })));
  }
  close() {}
};
"""


@pytest.fixture
def web(transactional_db: None) -> Iterator[WebProcess]:
    with WebProcess() as process:
        yield process


def page_of(execution: Execution) -> str:
    """The least page that holds every attribute of the contract."""
    snapshot = read_snapshot(execution.pk)
    assert snapshot is not None
    rows = "".join(
        f'<div data-wave="{wave["number"]}" data-status="{wave["status"]}"><i data-live="wave:status">?</i>'
        '<i data-live="wave:ended">?</i><progress data-live="wave:progress"></progress>'
        + "".join(
            f'<p data-atom="{escape(key)}" data-status="{status}" title="{escape(key)}: {status}">'
            '<i data-live="atom:status">?</i><i data-live="atom:attempts">?</i></p>'
            for key, number, status, _, _ in snapshot.state.atoms
            if number == wave["number"]
        )
        + "</div>"
        for wave in snapshot.state.waves
    )
    return f"""<!doctype html><meta charset="utf-8"><link rel="icon" href="data:,">
    <script type="module" src="/static/executions/live/execution.js"></script><b data-live="badge"></b>
    <main data-execution-id="{execution.pk}" data-seq="{snapshot.seq}">
    <b data-live="status" data-status="?">?</b><i data-live="counter:atoms_cancelled">?</i><i data-live="precision">? %</i>
    <i data-live="cost">?</i><progress data-live="progress"></progress><i data-live="status_reason">?</i>
    <i data-live="elapsed"></i>{rows}<button data-follow hidden>Follow</button><ol data-live="log"></ol></main>"""


@pytest.fixture
async def look_at(web: WebProcess, ada: User) -> AsyncIterator[Callable[..., Any]]:
    """Opens the page of an execution in ada's browser; complaints of the browser fail the test."""
    complaints: list[str] = []
    async with async_playwright() as playwright:
        chromium = await playwright.chromium.launch(
            executable_path=shutil.which("chromium"),
            # The page is fulfilled by the test, so the browser does not know it to be of this host.
            args=["--no-sandbox", "--disable-gpu", "--disable-features=LocalNetworkAccessChecks"],
        )
        context = await chromium.new_context(locale="en-US")
        name, _, value = (await off_loop(lambda: cookie_of(ada))).partition("=")
        await context.add_cookies([{"name": name, "value": value, "url": web.url}])

        async def open_page(execution: Execution, *, script: str = "", quiet: bool = True) -> Page:
            html = await off_loop(lambda: page_of(execution))
            page = await context.new_page()
            page.set_default_timeout(PATIENCE_MS)
            if script:
                await page.add_init_script(script)
            if quiet:
                page.on("console", lambda line: complaints.append(line.text))
            page.on("pageerror", lambda error: complaints.append(str(error)))

            async def answer(route: Route) -> None:
                await route.fulfill(
                    body=html, content_type="text/html", headers={"Content-Security-Policy": POLICY}
                )

            await page.route(f"{web.url}/page-of-the-test/", answer)
            await page.goto(f"{web.url}/page-of-the-test/")
            return page

        yield open_page
        await chromium.close()
    assert complaints == []


async def log_numbers(page: Page) -> list[int]:
    found: list[int] = await page.eval_on_selector_all(
        "[data-live=log] li", "all => all.map((one) => Number(one.dataset.seq))"
    )
    return found


async def test_every_attribute_of_the_contract_is_written(
    ada: User, begin: Begin, look_at: Callable[..., Any]
) -> None:
    execution = await off_loop(lambda: begin(ada, 2, 1))
    page = await look_at(execution)
    await expect(page.locator("[data-live=badge]")).to_have_text("live", timeout=PATIENCE_MS)
    await expect(page.locator("[data-live=badge]")).to_have_attribute("data-state", "live")
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))

    def spend_and_cancel() -> None:
        with open_transaction(execution.pk) as unit:
            unit.executions[execution.pk].add("cost_nano_usd", 12_345_600)
        cancel_execution(execution_id=execution.pk, actor=ada, why="<b>enough</b>")

    await off_loop(spend_and_cancel)
    await expect(page.locator("main > [data-live=status]")).to_have_text("cancelled", timeout=PATIENCE_MS)
    await expect(page.locator("main > [data-live=status]")).to_have_attribute("data-status", "cancelled")
    await expect(page.locator("[data-live='counter:atoms_cancelled']")).to_have_text("3")
    await expect(page.locator("[data-live=precision]")).to_have_text("0 %")
    await expect(page.locator("[data-live=cost]")).to_have_text("$0.0123")
    await expect(page.locator("[data-live=status_reason]")).to_have_text("<b>enough</b>")
    await expect(page.locator("main > progress")).to_have_js_property("value", 3)
    await expect(page.locator("main > progress")).to_have_js_property("max", 3)
    await expect(page.locator("[data-wave='1']")).to_have_attribute("data-status", "cancelled")
    await expect(page.locator("[data-wave='1'] [data-live='wave:status']")).to_have_text("cancelled")
    await expect(page.locator("[data-wave='1'] [data-live='wave:ended']")).to_have_text("2")
    cell = page.locator("[data-atom='a2.0']")
    await expect(cell).to_have_attribute("data-status", "cancelled")
    await expect(cell).to_have_attribute("title", "a2.0: cancelled")
    await expect(cell.locator("[data-live='atom:status']")).to_have_text("cancelled")
    await expect(cell.locator("[data-live='atom:attempts']")).to_have_text("0")
    await expect(page.locator("[data-live=log]")).to_contain_text("cancel by ada: <b>enough</b>")
    last = await off_loop(lambda: Execution.objects.get(pk=execution.pk).seq)
    assert await log_numbers(page) == list(range(execution.seq + 1, last + 1))
    await expect(page.locator("main")).to_have_attribute("data-seq", str(last))
    assert requests == []


async def test_a_page_comes_back_by_itself_and_misses_nothing(
    ada: User, begin: Begin, web: WebProcess, look_at: Callable[..., Any]
) -> None:
    execution = await off_loop(lambda: begin(ada))
    page = await look_at(execution, quiet=False)
    await expect(page.locator("[data-live=badge]")).to_have_text("live", timeout=PATIENCE_MS)
    web.__exit__()
    await expect(page.locator("[data-live=badge]")).not_to_have_text("live", timeout=PATIENCE_MS)
    last = await off_loop(lambda: append(execution.pk, 30))
    with WebProcess(port=web.port):
        await expect(page.locator(f"[data-live=log] li[data-seq='{last}']")).to_be_visible(
            timeout=PATIENCE_MS
        )
        assert await log_numbers(page) == list(range(execution.seq + 1, last + 1))


async def test_where_sockets_do_not_get_through_the_page_polls(
    ada: User, begin: Begin, look_at: Callable[..., Any]
) -> None:
    execution = await off_loop(lambda: begin(ada, 2, 1))
    page = await look_at(execution, script=WITHOUT_SOCKETS)
    last = await off_loop(lambda: append(execution.pk, 3))
    await expect(page.locator("[data-live=badge]")).to_have_text("polling", timeout=PATIENCE_MS)
    await expect(page.locator(f"[data-live=log] li[data-seq='{last}']")).to_be_visible()
    await off_loop(lambda: cancel_execution(execution_id=execution.pk, actor=ada))
    await expect(page.locator("main > [data-live=status]")).to_have_text("cancelled", timeout=PATIENCE_MS)
    await expect(page.locator("main > progress")).to_have_js_property("value", 3)
    await expect(page.locator("[data-atom='a2.0']")).to_have_attribute("data-status", "cancelled")
    await expect(page.locator("[data-wave='2'] [data-live='wave:status']")).to_have_text("cancelled")
    seen = await log_numbers(page)
    assert seen == list(range(execution.seq + 1, seen[-1] + 1))


async def test_while_it_polls_what_begins_anew_waits_again(
    ada: User, begin: Begin, look_at: Callable[..., Any]
) -> None:
    execution = await off_loop(lambda: begin(ada, 2, 1))
    await off_loop(lambda: succeed_all(execution))
    page = await look_at(execution, script=WITHOUT_SOCKETS)
    await expect(page.locator("[data-live=badge]")).to_have_text("polling", timeout=PATIENCE_MS)
    await off_loop(lambda: roll_back(execution_id=execution.pk, actor=ada, wave=1))
    await expect(page.locator("main > [data-live=status]")).to_have_text("running", timeout=PATIENCE_MS)
    await expect(page.locator("[data-atom='a2.0'] [data-live='atom:status']")).to_have_text("ready")
    await expect(page.locator("[data-wave='2'] [data-live='wave:status']")).to_have_text("running")
    await expect(page.locator("[data-wave='2'] [data-live='wave:ended']")).to_have_text("0")
    await expect(page.locator("[data-atom='a1.0']")).to_have_attribute("data-status", "succeeded")


async def test_a_page_that_may_not_see_its_execution_says_so_and_gives_up(
    ada: User, grace: User, begin: Begin, look_at: Callable[..., Any]
) -> None:
    execution = await off_loop(lambda: begin(grace))
    page = await look_at(execution)
    await expect(page.locator("[data-live=badge]")).to_have_text("offline", timeout=PATIENCE_MS)


FACTS: list[dict[str, Any]] = [
    {"type": "execution.created", "data": {"who": "ada", "atoms": 3, "waves": 2}},
    {"type": "execution.started", "data": {"run_number": 1}},
    {"type": "execution.pausing", "data": {"reason": "budget"}},
    {"type": "execution.paused", "data": {"reason": ""}},
    {"type": "execution.resumed", "data": {}},
    {"type": "execution.ended", "data": {"status": "completed", "succeeded": 2, "atoms": 3}},
    {"type": "wave.started", "wave": 1, "data": {"atoms": 2}},
    {"type": "wave.ended", "wave": 1, "data": {"status": "completed", "succeeded": 1, "unsuccessful": 1}},
    {"type": "wave.ended", "wave": 2, "data": {"status": "cancelled"}},
    {"type": "atom.started", "wave": 1, "atom": "a", "data": {}},
    {
        "type": "atom.ended",
        "atom": "a",
        "data": {"status": "succeeded", "reason": "", "assurance": "tested", "attempts": 1},
    },
    {
        "type": "atom.ended",
        "atom": "a",
        "data": {"status": "failed", "reason": "attempts", "assurance": "", "attempts": 4},
    },
    {
        "type": "atom.ended",
        "atom": "a",
        "data": {"status": "dead_lettered", "reason": "deaths", "attempts": 0},
    },
    {
        "type": "attempt.started",
        "atom": "a",
        "attempt": 1,
        "data": {"strategy": "generate", "temperature": 0.7},
    },
    {
        "type": "attempt.started",
        "atom": "a",
        "attempt": 2,
        "data": {"strategy": "repair", "temperature": None},
    },
    {
        "type": "attempt.ended",
        "atom": "a",
        "attempt": 1,
        "data": {"status": "rejected", "issues": 3, "blocking": 1},
    },
    {
        "type": "attempt.ended",
        "atom": "a",
        "attempt": 2,
        "data": {"status": "passed", "issues": 0, "blocking": 0},
    },
    {
        "type": "call.failed",
        "atom": "a",
        "data": {"outcome": "transport_error", "status_code": 529, "error_type": "overloaded"},
    },
    {"type": "call.failed", "atom": "a", "data": {"outcome": "lost"}},
    {"type": "control.pause", "data": {"who": "ada", "what": "pause", "why": "lunch"}},
    {"type": "control.resume", "data": {"who": "ada", "what": "resume", "why": ""}},
    {"type": "lease.lost", "atom": "a", "data": {"owner": "host:1", "fence": 2}},
    {"type": "lease.late_write", "atom": "a", "data": {"what": "verdict", "owner": "host:1", "fence": 2}},
    {
        "type": "execution.created",
        "data": {"who": "ada", "atoms": 3, "waves": 2, "forked_from": "01a2", "at_wave": 1},
    },
    {"type": "execution.building", "data": {"stored": 500, "atoms": 3000}},
    {"type": "execution.built", "data": {"atoms": 3000}},
    {"type": "execution.reopened", "data": {"run_number": 2, "by": "retry"}},
    {"type": "wave.reopened", "wave": 1, "data": {"status": "pending"}},
    {"type": "wave.reopened", "wave": 1, "data": {"status": "running"}},
    {"type": "atom.reopened", "wave": 1, "atom": "a", "data": {"was": "dead_lettered"}},
    {"type": "gate.started", "wave": 1, "data": {"level": "wave"}},
    {
        "type": "gate.ended",
        "wave": 1,
        "data": {
            "level": "wave",
            "status": "failed",
            "tests_passed": 2,
            "tests_total": 3,
            "findings": [],
            "findings_total": 1,
        },
    },
    {
        "type": "gate.ended",
        "data": {
            "level": "masterplan",
            "status": "passed",
            "tests_passed": 3,
            "tests_total": 3,
            "findings_total": 0,
        },
    },
    {"type": "gate.ended", "data": {"level": "masterplan", "status": "cancelled"}},
    {"type": "gate.lost", "wave": 1, "data": {"level": "wave", "owner": "host:1", "fence": 2}},
    {"type": "gate.reopened", "wave": 1, "data": {"level": "wave", "was": "failed"}},
    {"type": "control.judge", "data": {"who": "ada", "what": "judge", "why": "", "gates": 2}},
    {"type": "approval.requested", "wave": 2, "data": {}},
    {"type": "attempt.started", "atom": "a", "attempt": 1, "data": {"kind": "cache", "strategy": "cache"}},
    {"type": "attempt.started", "atom": "a", "attempt": 5, "data": {"kind": "person"}},
    {
        "type": "control.retry",
        "data": {"who": "ada", "what": "retry", "why": "", "generated": 1, "revived": 2},
    },
    {
        "type": "control.rollback",
        "data": {"who": "ada", "what": "rollback", "why": "other way", "to_wave": 0, "generated": 3},
    },
    {
        "type": "control.fork",
        "data": {"who": "ada", "what": "fork", "why": "", "fork": "01a20e64-f4c1-7613-86b4-606bca7e3823"},
    },
    {"type": "control.approve", "wave": 2, "data": {"who": "ada", "what": "approve", "why": "looks good"}},
    {"type": "control.review", "atom": "a", "data": {"who": "ada", "what": "review", "attempt": "01a2"}},
    {
        "type": "something.new",
        "atom": "a",
        "data": {"owner": "host:1", "fence": 2, "nothing": None, "empty": [], "blank": ""},
    },
]
NANO_USD = [0, 1, 99_999, 100_000, 12_345_600, 1_500_000_000, 12_345_678_900_000]
PERCENTS = [0.0, 33.3333, 66.6667, 99.96, 99.5, 100.0]
COUNTED = [
    {"atoms_total": total, "atoms_succeeded": won, "atoms_unsuccessful": lost}
    for total, won, lost in ((0, 0, 0), (3, 0, 0), (3, 3, 0), (3, 2, 1), (3, 0, 1), (3, 0, 3))
]
TEXTS = ["plain", "a\u202eb", "zero\u200bwidth", "bell\x07", "tab\tand\nline", "\U000e0041tag", "é 漢 😀"]


async def test_what_comes_live_reads_like_what_came_with_the_page(
    ada: User, begin: Begin, look_at: Callable[..., Any]
) -> None:
    page = await look_at(await off_loop(lambda: begin(ada)))
    written = await page.evaluate(
        """async ([facts, amounts, percents, texts, counted]) => {
          const words = await import("/static/executions/live/words.js");
          return {
            facts: facts.map(words.sentence), usd: amounts.map(words.usd), percent: percents.map(words.percent),
            visible: texts.map(words.visible), thousands: [0, 1234567].map(words.thousands),
            word: ["dead_lettered", "running"].map(words.word), outcome: counted.map(words.outcome),
          };
        }""",
        [FACTS, [nano / 1e9 for nano in NANO_USD], PERCENTS, TEXTS, COUNTED],
    )
    now = datetime.now(UTC)
    events = [
        Event(type=fact["type"], data=fact["data"], atom=fact.get("atom", ""), at=now) for fact in FACTS
    ]
    assert written == {
        "facts": [sentence(event) for event in events],
        "usd": [words.usd(nano) for nano in NANO_USD],
        "percent": [words.percent(number) for number in PERCENTS],
        "visible": [visible_text.visible(text) for text in TEXTS],
        "thousands": [words.thousands(number) for number in (0, 1234567)],
        "word": [words.word(status) for status in ("dead_lettered", "running")],
        "outcome": [words.outcome(SimpleNamespace(**one)) for one in COUNTED],
    }


async def test_the_page_is_repainted_at_most_four_times_a_second(
    ada: User, begin: Begin, look_at: Callable[..., Any]
) -> None:
    execution = await off_loop(lambda: begin(ada))
    page = await look_at(execution)
    await expect(page.locator("[data-live=badge]")).to_have_text("live", timeout=PATIENCE_MS)
    await page.evaluate(
        """() => {
          window.repaints = [];
          document.addEventListener("live:change", () => window.repaints.push(performance.now()));
        }"""
    )
    started = time.monotonic()
    while time.monotonic() - started < 2:
        last = await off_loop(lambda: append(execution.pk))
    await expect(page.locator("main")).to_have_attribute("data-seq", str(last), timeout=PATIENCE_MS)
    times = await page.evaluate("window.repaints")
    assert len(times) > 1
    assert min(later - earlier for earlier, later in itertools.pairwise(times)) > 200
