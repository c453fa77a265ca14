"""Paying in a real browser: our pages, the processor's own frame, its webhooks; nothing is stood in for."""

from __future__ import annotations

import asyncio
import re
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, FrameLocator, Page, sync_playwright
from sqlalchemy import text

from sandbox.loopback import choose_port
from sandbox.serving import Listen, listening
from subscription_services.app import certificate
from subscription_services.billing.checks import checks
from subscription_services.billing.jobs import Till
from subscription_services.billing.processor import StripeProcessor
from subscription_services.billing.settings import BillingSettings
from subscription_services.front import application
from subscription_services.jobs import run_worker
from subscription_services.kernel.checks import Check, Doors, Finding, Verdict
from subscription_services.kernel.clock import system_clock
from subscription_services.kernel.settings import HouseSettings
from subscription_services.testing import World
from tests.billing.shop import WEBHOOK_SECRET, Shop, settings_for
from tests.sandbox.processes import processor_process
from tests.seeing import judged

pytestmark = pytest.mark.browser


@dataclass(frozen=True, slots=True)
class Visit:
    """Where to go, with which session, and a plan to choose."""

    site: str
    session: str
    plan: str

    def context(self, chrome: Browser, **options: Any) -> BrowserContext:
        """A browser of its own in which the person is signed in."""
        context = chrome.new_context(ignore_https_errors=True, **options)
        context.add_cookies([{"name": "__Host-session", "value": self.session, "url": self.site, "secure": True}])
        return context


@contextmanager
def serving(shop: Shop, port: int) -> Iterator[None]:
    """The house on HTTPS with its worker, in a thread."""
    house = shop.world.house
    files = certificate(house.settings.of(HouseSettings))
    ready = threading.Event()
    box: dict[str, Any] = {}

    async def run() -> None:
        box["stop"], box["loop"] = asyncio.Event(), asyncio.get_running_loop()
        async with listening(application(house), Listen(port=port, cert=files.certificate, key=files.key)):
            ready.set()
            await run_worker(house.kernel, house.outbox, (), "journey", box["stop"])

    thread = threading.Thread(target=lambda: asyncio.run(run()), daemon=True)
    thread.start()
    assert ready.wait(20)
    try:
        yield
    finally:
        box["loop"].call_soon_threadsafe(box["stop"].set)
        thread.join(20)


def card_form(page: Page) -> FrameLocator:
    return page.frame_locator("iframe")


def fill(page: Page, number: str) -> None:
    """Type a card into the processor's frame and send it."""
    form = card_form(page)
    form.get_by_label("Card number").fill(number)
    form.get_by_label("Expiry date").fill("12/30")
    form.get_by_label("Security code").fill("123")
    form.get_by_role("button").click()


@pytest.fixture
def open_shop(sqlite_template: Path, tmp_path: Path) -> Iterator[Visit]:
    """A shop that a browser can reach, on the real clock, with somebody signed in."""
    port = choose_port("127.0.0.1", 0)
    site = f"https://localhost:{port}"
    data = tmp_path / "data"
    shutil.copytree(sqlite_template, data)
    tls = certificate(HouseSettings(data=str(data), https_port=port))
    hook = ("--webhook-url", f"{site}/webhooks/processor", "--webhook-secret", WEBHOOK_SECRET, "--ca")
    with processor_process(*hook, str(tls.certificate), "--embedder", site) as processor:
        settings = {**settings_for(processor), "SUBS_HTTPS_PORT": str(port)}
        with World.open(data, **settings) as world:
            world.clock.now = system_clock()
            shop = Shop(world, processor, Till(StripeProcessor(world.house.settings.of(BillingSettings))))
            session, plan = shop.person().session, shop.plan().id
            with serving(shop, port):
                yield Visit(site, session, plan)


@pytest.fixture
def chrome(chromium: str) -> Iterator[Browser]:
    with sync_playwright() as play:
        started = play.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield started
        started.close()


def test_declined_then_authenticated_then_paid(open_shop: Visit, chrome: Browser) -> None:
    site, context = open_shop.site, open_shop.context(chrome)
    page = context.new_page()
    sent: list[str] = []
    page.on("request", lambda request: sent.append((request.post_data or "") if request.url.startswith(site) else ""))
    page.goto(f"{site}/plans")
    page.get_by_role("link", name="Choose Standard").click()
    page.get_by_role("button", name="Subscribe and pay").click()
    fill(page, "4000000000000002")
    card_form(page).get_by_text("declined").first.wait_for()
    for _ in range(40):  # until the webhook has told us
        page.reload()
        if page.get_by_text("You were not charged").is_visible():
            break
        page.wait_for_timeout(250)
    page.get_by_text("You were not charged").wait_for(timeout=1000)
    fill(page, "4000002760003184")
    card_form(page).get_by_role("button", name="Complete").click()
    page.wait_for_url("**/subscriptions/sub_*", timeout=20_000)
    page.get_by_text("Active", exact=True).first.wait_for()
    page.goto(f"{site}/invoices")
    page.get_by_text("Paid", exact=True).wait_for()
    assert not [body for body in sent if "4000002760003184" in body or "4000000000000002" in body]
    context.close()


def test_it_works_without_javascript(open_shop: Visit, chrome: Browser) -> None:
    context = open_shop.context(chrome, java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{open_shop.site}/subscribe?plan={open_shop.plan}")
    page.get_by_role("button", name="Subscribe and pay").click()
    fill(page, "4242424242424242")
    card_form(page).get_by_role("link", name="Continue").click()
    page.wait_for_url("**/subscriptions/sub_*", timeout=20_000)
    page.get_by_role("link", name="Cancel subscription").click()
    page.get_by_role("button", name="Cancel at the end of the period").click()
    page.get_by_text("Ends soon").wait_for()
    context.close()


def test_nothing_stands_in_anybodys_way(open_shop: Visit, chrome: Browser) -> None:
    """axe-core, on every page of both rooms that a subscriber sees, light and dark."""
    for scheme in ("light", "dark"):
        context = open_shop.context(chrome, color_scheme=scheme)
        page = context.new_page()
        if scheme == "light":
            page.goto(f"{open_shop.site}/subscribe?plan={open_shop.plan}")
            _sound(judged(page), page.url)
            page.get_by_role("button", name="Subscribe and pay").click()
            card_form(page).get_by_label("Card number").wait_for()
            _sound(judged(page), page.url)
            fill(page, "4242424242424242")
            page.wait_for_url("**/subscriptions/sub_*", timeout=20_000)
        for path in ("/plans", "/subscriptions", "/invoices", "/account/payment-methods"):
            page.goto(open_shop.site + path)
            _sound(judged(page), page.url)
        for name in ("INV-", "Details of"):
            page.goto(open_shop.site + ("/invoices" if name == "INV-" else "/subscriptions"))
            page.get_by_role("link", name=name).first.click()
            page.wait_for_url(re.compile("/(invoices|subscriptions)/."))
            _sound(judged(page), page.url)
        page.goto(page.url + "/cancel")
        _sound(judged(page), page.url)
        context.close()


def _sound(found: Any, url: str) -> None:
    assert found.violations_count == 0, f"{url}\n{found.generate_report()}"


def look(check: Check, doors: Doors) -> Finding:
    """One run of a check."""

    async def once() -> Finding:
        return await check.run(doors)

    return asyncio.run(once())


def test_the_live_checks_look_from_outside(sqlite_template: Path, tmp_path: Path) -> None:
    port = choose_port("127.0.0.1", 0)
    data = tmp_path / "data"
    shutil.copytree(sqlite_template, data)
    with (
        processor_process("--embedder", f"https://localhost:{port}") as processor,
        World.open(data, **settings_for(processor), SUBS_HTTPS_PORT=str(port)) as world,
    ):
        settings = world.house.settings
        shop = Shop(world, processor, Till(StripeProcessor(settings.of(BillingSettings))))
        started = shop.subscribed(shop.person())
        files = certificate(settings.of(HouseSettings))
        doors = Doors(world.house.kernel, settings, f"https://localhost:{port}", "", str(files.certificate))
        found = {item.promise: item for item in checks()}
        with serving(shop, port):
            kept = look(found["sub.billing"], doors)
            assert (kept.verdict, kept.evidence["compared"]) == (Verdict.KEPT, 1)
            assert look(found["comp.pci"], doors).verdict is Verdict.KEPT
            intent = str(shop.payment(str(started.payment)).intent)
            wrong = text("UPDATE billing_payment SET intent = 'pi_other' WHERE intent = :intent")
            world.write(lambda connection: connection.execute(wrong, {"intent": intent}))
            assert look(found["sub.billing"], doors).verdict is Verdict.COULD_NOT_CHECK
            number = text("UPDATE billing_line SET text = '4242 4242 4242 4242'")
            world.write(lambda connection: connection.execute(number))
            assert look(found["comp.pci"], doors).verdict is Verdict.BROKEN
