"""The pages in a real browser over a real web process: text stays text, the policy is kept, and all moves by itself."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from playwright.async_api import BrowserContext, Page, async_playwright, expect

from executions.findings import Finding, Severity
from executions.models import Execution
from tests.dashboard.conftest import HOSTILE, OVERRIDE, hostile_plan, reject
from tests.engine.by_hand import claim_one, fail_the_gate, start, succeed_all
from tests.live.socket_client import cookie_of, off_loop
from tests.live.web_process import WebProcess
from tests.plans import layers, plan

pytestmark = [pytest.mark.needs_browser, pytest.mark.django_db(transaction=True)]
PATIENCE_MS = 30_000


@pytest.fixture
def web(transactional_db: None) -> Iterator[WebProcess]:
    with WebProcess() as process:
        yield process


class Watched:
    """A browser's pages, what they complained of and what they asked for."""

    def __init__(self, context: BrowserContext) -> None:
        self.context = context
        self.complaints: list[str] = []
        self.requests: list[str] = []

    async def open(self, url: str) -> Page:
        page = await self.context.new_page()
        page.set_default_timeout(PATIENCE_MS)
        page.on("console", lambda line: self.complaints.append(line.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("dialog", lambda dialog: self.complaints.append(f"a dialog opened: {dialog.message}"))
        await page.goto(url)
        await expect(page.locator("[data-live=badge]")).to_have_text("live", timeout=PATIENCE_MS)
        page.on("request", lambda request: self.requests.append(f"{request.method} {request.url}"))
        return page


@pytest.fixture
async def browser(web: WebProcess) -> AsyncIterator[Callable[..., Any]]:
    async with async_playwright() as playwright:
        chromium = await playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )

        async def signed_in(name: str) -> tuple[User, Watched]:
            user, cookie = await off_loop(lambda: _user_with_cookie(name))
            context = await chromium.new_context(locale="en-US")
            key, _, value = cookie.partition("=")
            await context.add_cookies([{"name": key, "value": value, "url": web.url}])
            return user, Watched(context)

        yield signed_in
        await chromium.close()


def _user_with_cookie(name: str) -> tuple[User, str]:
    user = User.objects.create_user(name)
    return user, cookie_of(user)


async def test_an_execution_moves_without_a_request(browser: Callable[..., Any], web: WebProcess) -> None:
    user, watched = await browser("ada")
    execution: Execution = await off_loop(lambda: start(plan(*layers(3, 2)), owner=user))
    page = await watched.open(f"{web.url}/executions/{execution.pk}/")
    others = await watched.open(web.url)
    row = others.locator(f"[data-execution-id='{execution.pk}']")
    await expect(row.locator("[data-live=status]")).to_have_text("pending")

    await off_loop(lambda: claim_one(execution, "a1.0").attempt(passed=True))
    cell = page.locator(".cell[data-atom='a1.0']")
    await expect(cell).to_have_attribute("data-status", "succeeded", timeout=PATIENCE_MS)
    await expect(page.locator("#atoms tr[data-atom='a1.0'] [data-live='atom:status']")).to_have_text(
        "succeeded"
    )
    await expect(page.locator("[data-live='counter:atoms_succeeded']").first).to_have_text("1")
    await expect(page.locator("[data-derived=tested]")).to_have_text("20")
    await expect(page.locator("[data-live=log]")).to_contain_text("succeeded after 1 attempt, tested")
    await expect(page.locator("[data-steer=pause]")).to_be_visible()

    await off_loop(lambda: succeed_all(execution))
    await expect(page.locator(".page-head [data-live=status]")).to_have_text("completed", timeout=PATIENCE_MS)
    await expect(page.locator("[data-live=precision]")).to_have_text("100")
    await expect(page.locator("[data-wave='2'] [data-live='wave:status']")).to_have_text("completed")
    await expect(page.locator("[data-steer=pause]")).to_be_hidden()
    await expect(row.locator("[data-live=status]")).to_have_text("completed", timeout=PATIENCE_MS)

    assert watched.requests == []
    assert watched.complaints == []


async def test_hostile_text_is_text_and_the_policy_has_nothing_to_report(
    browser: Callable[..., Any], web: WebProcess
) -> None:
    user, watched = await browser("ada")

    def work() -> Execution:
        execution = start(hostile_plan(), owner=user)
        code = f"# {HOSTILE}{OVERRIDE}\n"
        reject(claim_one(execution), code, Finding(Severity.ERROR, "test-failed", f"got {HOSTILE}", 1))
        return execution

    execution = await off_loop(work)
    page = await watched.open(f"{web.url}/executions/{execution.pk}/")
    await expect(page.locator("h1")).to_contain_text(HOSTILE)
    await expect(page.locator(f'.cell[data-atom*="script"]')).to_have_count(1)  # noqa: F541
    atom = await watched.open(f"{web.url}/executions/{execution.pk}/atoms/first/")
    await expect(atom.locator(".code .note")).to_contain_text(f"got {HOSTILE}")
    await expect(atom.locator("#attempt-1-L1 code")).to_have_text(f"# {HOSTILE}U+202E")
    assert watched.complaints == []


async def test_pause_and_resume_by_the_buttons(browser: Callable[..., Any], web: WebProcess) -> None:
    user, watched = await browser("ada")
    execution: Execution = await off_loop(lambda: start(plan(*layers(2)), owner=user))
    page = await watched.open(f"{web.url}/executions/{execution.pk}/")
    await page.get_by_role("button", name="Pause").click()
    await expect(page.locator(".page-head [data-live=status]")).to_have_text("paused", timeout=PATIENCE_MS)
    await page.get_by_role("button", name="Resume").click()
    await expect(page.locator(".page-head [data-live=status]")).to_have_text("pending", timeout=PATIENCE_MS)
    await page.get_by_role("link", name="Cancel").click()
    await page.get_by_role("button", name="Keep it").click()
    await expect(page.get_by_role("dialog")).to_be_hidden()
    assert watched.complaints == []


async def test_an_atoms_page_gets_its_new_attempts_by_itself(
    browser: Callable[..., Any], web: WebProcess
) -> None:
    user, watched = await browser("ada")
    execution: Execution = await off_loop(lambda: start(plan(*layers(1)), owner=user))
    page = await watched.open(f"{web.url}/executions/{execution.pk}/atoms/a1.0/")
    await expect(page.locator("#no-attempt")).to_be_visible()
    hand = await off_loop(lambda: claim_one(execution))
    await off_loop(lambda: hand.attempt(passed=False))
    await expect(page.locator("#attempt-1")).to_contain_text("rejected", timeout=PATIENCE_MS)
    await off_loop(lambda: hand.attempt(passed=True))
    await expect(page.locator("#attempt-2")).to_contain_text("passed", timeout=PATIENCE_MS)
    await expect(page.locator(".page-head [data-live='atom:status']")).to_have_text("succeeded")
    assert watched.complaints == []


async def test_the_theme_is_remembered_and_the_grid_is_walked_by_keys(
    browser: Callable[..., Any], web: WebProcess
) -> None:
    user, watched = await browser("ada")
    execution: Execution = await off_loop(lambda: start(plan(*layers(3)), owner=user))
    page = await watched.open(f"{web.url}/executions/{execution.pk}/")
    await page.locator(".site-header .menu summary").click()
    await page.get_by_text("Dark", exact=True).click()
    await page.reload()
    await expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    await page.locator(".cell").first.focus()
    await page.keyboard.press("ArrowRight")
    await expect(page.locator(".cell:focus")).to_have_attribute("data-atom", "a1.1")
    await expect(page.locator("[data-readout]")).to_have_text("a1.1 pending, wave 1")
    await page.keyboard.press("Tab")
    await expect(page.locator(".cell:focus")).to_have_count(0)


async def test_a_gate_that_ends_is_told_on_the_page_with_what_it_found(
    browser: Callable[..., Any], web: WebProcess
) -> None:
    user, watched = await browser("ada")
    execution: Execution = await off_loop(lambda: start(plan(*layers(2)), owner=user, validators="full"))
    page = await watched.open(f"{web.url}/executions/{execution.pk}/")
    await expect(page.locator("#gates [data-gate='1'] [data-status]")).to_have_text("pending")
    await off_loop(lambda: succeed_all(execution))

    await off_loop(lambda: fail_the_gate(execution, f"import pkg.a: {HOSTILE}"))

    await expect(page.locator("#gates [data-gate='1'] [data-status]")).to_have_text(
        "failed", timeout=PATIENCE_MS
    )
    await expect(page.locator("#gates [data-gate='1'] pre")).to_have_text(f"import pkg.a: {HOSTILE}")
    await expect(page.locator("#gates")).to_contain_text("0 of 2 passed, 1 failed")
    await expect(page.locator("[data-live=log]")).to_contain_text("gate failed: 1 of 2 tests, 1 finding")
    assert watched.complaints == []
