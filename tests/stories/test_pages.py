"""Every page of a subscriber in the dark, on a telephone and by keyboard: nothing for axe, nothing sideways."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page

from tests.seeing import judged
from tests.stories.person import PASSWORD
from tests.stories.running import Service, eventually
from tests.stories.visitor import Visitor

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("stories"), pytest.mark.timeout(200)]

STRANGERS = (
    "/", "/plans", "/security", "/security/promises/transit.tls13", "/sign-in", "/sign-up", "/sign-up/sent",
    "/recover", "/recover/sent", f"/recover/stop?token={'x' * 43}", f"/email/confirm?token={'x' * 43}",
    f"/email/revert?token={'x' * 43}", "/email/revert",
    "/verify?token=xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", "/verify", "/enrol?token=x", "/nowhere",
)  # fmt: skip
SUBSCRIBERS = (
    "/account/email", "/account", "/account/profile", "/account/password", "/account/close", "/account/two-factor",
    "/account/two-factor/passkey", "/account/devices", "/account/activity", "/account/payment-methods", "/plans",
    "/subscriptions", "/invoices", "/security", "/confirm", "/subscribe?plan=", "/checkout/", "/subscriptions/sub_",
    "/subscriptions/sub_/cancel", "/invoices/inv_", "/team",
)  # fmt: skip
LOOKS: dict[str, dict[str, Any]] = {
    "telephone": {"viewport": {"width": 360, "height": 740}},
    "dark": {"viewport": {"width": 1280, "height": 900}, "color_scheme": "dark"},
}


@pytest.fixture(scope="module")
def vera(service: Service) -> Visitor:
    """A subscriber with one paid subscription and one order that waits for its payment."""
    visitor = Visitor(service).join()
    checkout = visitor.order()
    visitor.type_card(visitor.frame(checkout))
    assert eventually(lambda: "Active</span>" in visitor.get("/subscriptions"))
    return visitor


@pytest.fixture(scope="module")
def paths(vera: Visitor) -> dict[str, str]:
    """The pages of a subscriber with their whole addresses."""
    (subscription,), (invoice,) = vera.subscriptions(), vera.invoices()
    plans = re.findall(r'href="(/subscribe\?plan=[^"]+)"', vera.get("/plans"))
    waiting = vera.submit(plans[1], "/subscribe").url.path
    assert waiting.startswith("/checkout/")
    vera.frame(waiting)
    named = {
        "sub_": subscription,
        "inv_": invoice,
        "/checkout/": waiting,
        "?plan=": plans[0].removeprefix("/subscribe"),
    }
    found = {path: path for path in SUBSCRIBERS}
    for short, long in named.items():
        found = {path: whole.replace(short, long) for path, whole in found.items()}
    return found


@pytest.mark.parametrize("look", LOOKS)
def test_pages_of_strangers(service: Service, browser: Browser, pictures: Path, look: str) -> None:
    context = browser.new_context(ignore_https_errors=True, **LOOKS[look])
    _look_at(service, context, {path: path for path in STRANGERS}, pictures, look)
    context.close()


@pytest.mark.parametrize("look", LOOKS)
def test_pages_of_a_subscriber(
    service: Service, vera: Visitor, paths: dict[str, str], browser: Browser, pictures: Path, look: str
) -> None:
    context = browser.new_context(ignore_https_errors=True, **LOOKS[look])
    page = context.new_page()
    page.goto(f"{service.url}/sign-in")  # a copy of her cookies would not do
    page.get_by_label("E-mail").fill(vera.email)
    page.locator("input[name=password]").fill(PASSWORD)
    page.locator("main").get_by_role("button", name="Sign in", exact=True).click()
    page.wait_for_url("**/account")
    page.close()
    _look_at(service, context, paths, pictures, look)
    context.close()


def test_activity_speaks_no_program(vera: Visitor) -> None:
    titles = re.findall(r'<p class="timeline-title">([^<]+)</p>', vera.get("/account/activity"))
    assert len(titles) > 5
    assert [title for title in titles if re.search(r"\((\w+)\)|_|\w\.\w", title)] == []


@pytest.mark.parametrize("path", ["/", "/sign-up", "/security"])
def test_the_keyboard_reaches_the_content_first_and_every_control(
    service: Service, browser: Browser, path: str
) -> None:
    page = browser.new_page(ignore_https_errors=True)
    page.goto(f"{service.url}{path}")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent.trim()") == "Skip to content"
    assert page.evaluate("document.activeElement.getBoundingClientRect().top >= 0"), "the skip link shows itself"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    wanted = page.evaluate("[...document.querySelectorAll('main a[href], main button, main input')].length")
    reached = set()
    for _ in range(min(wanted + 60, 120)):
        page.keyboard.press("Tab")
        name = page.evaluate(
            """() => { const at = document.activeElement, style = getComputedStyle(at);
            return [at.tagName, at.textContent.trim(), style.outlineStyle !== 'none' || style.boxShadow !== 'none'] }"""
        )
        if name[0] == "BODY":
            break
        assert name[2], f"nothing shows that {name[:2]} has the focus"
        reached.add(str(name[:2]))
    assert len(reached) > 3
    page.close()


def _look_at(service: Service, context: BrowserContext, paths: dict[str, str], pictures: Path, look: str) -> None:
    page = context.new_page()
    wrong: list[str] = []
    page.on("console", lambda message: wrong.append(f"{page.url}: {message.text}") if _matters(message.text) else None)
    page.on("pageerror", lambda error: wrong.append(f"{page.url}: {error}"))
    for name, path in paths.items():
        page.goto(f"{service.url}{path}")
        page.screenshot(path=str(pictures / f"{look}{re.sub(r'[^a-z]+', '-', name)}.png"), full_page=True)
        wrong.extend(f"{name}: {problem}" for problem in _problems(page))
    assert wrong == []


def _matters(text: str) -> bool:
    """A page that says 404 or 422 on purpose is no mistake of the page."""
    return "Content Security Policy" in text or ("error" in text.lower() and "status of 4" not in text)


def _problems(page: Page) -> list[str]:
    found = [
        f"{item['id']} {[node['html'] for node in item['nodes']][:2]}" for item in judged(page).response["violations"]
    ]
    sideways = page.evaluate("document.documentElement.scrollWidth - innerWidth")
    if sideways > 0:
        found.append(f"{sideways} pixels too wide")
    if len(page.locator("h1").all()) != 1:
        found.append("not exactly one h1")
    return found
