"""The component page in the real Chromium: nothing for axe to find, nothing wider than the screen, no script needed."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.edge.listening import Running, running
from tests.seeing import judged

pytestmark = pytest.mark.browser
LOOKS = [("light", 1280), ("dark", 1280), ("light", 360), ("dark", 360)]


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("components")) as started:
        yield started


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    path = shutil.which("chromium")
    assert path is not None, "Chromium is not installed"
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield opened
        opened.close()


def open_page(browser: Browser, live: Running, path: str, scheme: str, width: int, script: bool = True) -> Page:
    context = browser.new_context(
        ignore_https_errors=True,
        color_scheme="dark" if scheme == "dark" else "light",
        viewport={"width": width, "height": 900},
        java_script_enabled=script,
    )
    page = context.new_page()
    page.goto(f"https://localhost:{live.https}{path}")
    return page


@pytest.mark.parametrize("path", ["/development/components", "/problems", "/nowhere"])
@pytest.mark.parametrize("scheme, width", LOOKS)
def test_axe_finds_nothing(browser: Browser, live: Running, path: str, scheme: str, width: int) -> None:
    page = open_page(browser, live, path, scheme, width)
    # axe is put in by the test's own driver, past the page's policy
    found = judged(page)
    assert found.violations_count == 0, found.generate_report()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.context.close()


def test_the_policy_stops_nothing_of_ours(browser: Browser, live: Running) -> None:
    context = browser.new_context(ignore_https_errors=True)
    page = context.new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(f"https://localhost:{live.https}/development/components", wait_until="networkidle")
    assert complaints == []
    assert page.evaluate("performance.getEntriesByType('navigation')[0].nextHopProtocol") == "h2"
    context.close()


def test_the_password_can_be_shown_and_hidden(browser: Browser, live: Running) -> None:
    page = open_page(browser, live, "/development/components", "light", 1280)
    field = page.get_by_label("Password", exact=True)
    field.fill("a secret")
    page.get_by_role("button", name="Show password").click()
    assert field.get_attribute("type") == "text"
    page.get_by_role("button", name="Hide password").click()
    assert field.get_attribute("type") == "password"
    page.context.close()


def test_the_keyboard_reaches_the_content_first(browser: Browser, live: Running) -> None:
    page = open_page(browser, live, "/problems", "light", 1280)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to content"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    page.context.close()


def test_errors_stand_beside_their_fields(browser: Browser, live: Running) -> None:
    page = open_page(browser, live, "/development/components", "light", 1280)
    field = page.get_by_label("E-mail address", exact=True)
    assert field.get_attribute("aria-invalid") == "true"
    described = (field.get_attribute("aria-describedby") or "").split()
    assert described == ["f-email-error", "f-email-hint"]
    assert "Enter an e-mail address" in (page.locator(f"#{described[0]}").text_content() or "")
    assert field.input_value() == "ada@example"
    page.locator("[role=alert] a", has_text="Enter a password.").click()
    assert page.evaluate("document.activeElement.id") == "f-password"
    page.context.close()


def test_it_works_without_script(browser: Browser, live: Running) -> None:
    page = open_page(browser, live, "/development/components", "light", 360, script=False)
    assert page.get_by_role("button", name="Save").is_visible()
    assert page.locator("summary").first.is_visible()
    assert page.get_by_role("button", name="Copy").count() == 0
    page.context.close()
