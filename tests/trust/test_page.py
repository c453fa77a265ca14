"""The page in a real browser: light, dark and narrow, without JavaScript, and with nothing for axe to say."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, Page, async_playwright

from subscription_services.kernel.checks import Check, Finding, Verdict
from subscription_services.testing import World
from subscription_services.trust import PROMISES
from tests.seeing import judged_later
from tests.trust.served import Served, through
from tests.trust.test_status import Room, check

pytestmark = pytest.mark.browser
PICTURES = os.environ.get("TRUST_PICTURES", "")
LONG = {"listener": "port 8443", "tls_1_3": "accepted, TLS_AES_256_GCM_SHA384", "root": "0123456789abcdef" * 4}


@pytest.fixture
def engine() -> str:
    """A page looks the same on each store."""
    return "sqlite"


def mixed() -> list[Check]:
    """Every state once, and most kept."""
    kept = [name for name in PROMISES if name.startswith(("transit", "auth", "log."))]
    findings: list[Check] = [
        check(name, Finding(Verdict.KEPT, "TLS 1.3 was accepted and every older version was refused.", LONG))
        for name in kept
    ]
    return [
        *findings,
        check("access.rbac", Finding(Verdict.BROKEN, "Something was allowed that the table forbids.", {"tried": 61})),
        check("access.reviews", RuntimeError("closed")),
        check("mail.tls", Finding(Verdict.KEPT, "STARTTLS was used for each letter."), every=1),
    ]  # fmt: skip


def filled(world: World) -> list[Check]:
    checks = mixed()
    Room(world, *checks).run()
    world.clock.advance(minutes=4)
    return checks


async def _look(served: Served, chromium: str, **settings: Any) -> dict[str, Any]:
    url = served.doors.https_url
    async with async_playwright() as playwright:
        browser: Browser = await playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        context = await browser.new_context(ignore_https_errors=True, **settings)
        page: Page = await context.new_page()
        said: list[str] = []
        page.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
        await page.goto(f"{url}/security")
        seen: dict[str, Any] = {
            "text": await page.inner_text("main"),
            "promises": await page.locator("li.promise").count(),
            "wide": await page.evaluate("document.documentElement.scrollWidth - innerWidth")
            if settings.get("java_script_enabled", True)
            else 0,
        }
        await page.locator("#transit\\.tls13 summary").click()
        seen["opened"] = await page.locator("#transit\\.tls13 .promise-more").is_visible()
        if settings.get("java_script_enabled", True):
            seen["axe"] = [item["id"] for item in (await judged_later(page)).response["violations"]]
        if PICTURES:
            name = "-".join(str(value) for value in settings.values() if isinstance(value, str | bool)) or "plain"
            width = settings.get("viewport", {}).get("width", 1280)
            await page.screenshot(path=f"{PICTURES}/security-{name}-{width}.png", full_page=True)
        event = page.locator("#transit\\.tls13 a", has_text="audit log")
        await event.click()
        seen["proof"] = await page.inner_text("main")
        if settings.get("java_script_enabled", True):
            seen["axe"] += [item["id"] for item in (await judged_later(page)).response["violations"]]
        if PICTURES:
            await page.screenshot(path=f"{PICTURES}/proof-{name}-{width}.png", full_page=True)
        await page.goto(f"{url}/security/promises/transit.tls13")
        if settings.get("java_script_enabled", True):
            seen["axe"] += [item["id"] for item in (await judged_later(page)).response["violations"]]
        if PICTURES:
            await page.screenshot(path=f"{PICTURES}/promise-{name}-{width}.png", full_page=True)
        seen["console"] = said
        await browser.close()
    return seen


LOOKS: list[dict[str, Any]] = [
    {"color_scheme": "light"},
    {"color_scheme": "dark"},
    {"color_scheme": "light", "viewport": {"width": 360, "height": 800}},
    {"color_scheme": "dark", "viewport": {"width": 360, "height": 800}, "java_script_enabled": False},
]


@pytest.mark.parametrize("look", LOOKS, ids=["light", "dark", "narrow", "narrow-dark-without-scripts"])
def test_the_page_as_people_see_it(world: World, tmp_path: Path, chromium: str, look: dict[str, Any]) -> None:
    checks = filled(world)

    async def work(served: Served) -> dict[str, Any]:
        await served.sequence()
        return await _look(served, chromium, **look)

    seen = through(world, tmp_path / "tls", work, checks)
    assert seen["promises"] == len(PROMISES)
    assert seen.get("axe", []) == []
    assert seen["console"] == []
    assert seen["wide"] <= 0
    assert seen["opened"]
    assert "20 of 66 promises are kept" in seen["text"]
    assert "Not as promised" in seen["text"]
    for words in ("Broken", "Could not check", "Stale", "Not built yet", "Kept"):
        assert words in seen["text"]
    assert "Signed checkpoint" in seen["proof"]


def test_unknown_promises_and_entries_are_not_there(world: World, tmp_path: Path) -> None:
    async def work(served: Served) -> list[int]:
        from subscription_services.trust.transport import outside

        async with outside(served.doors) as client:
            paths = ("/security/promises/transit.tls14", "/security/promises/x", "/security/log/run_0")
            return [(await client.get(served.doors.https_url + path)).status_code for path in paths]

    assert through(world, tmp_path / "tls", work) == [404, 404, 404]
