"""A session belongs to one browser: with the browser's own key (DBSC), or with one that our script made."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from playwright.sync_api import BrowserContext, Page, sync_playwright

from tests.seeing import judged
from tests.stories.person import PASSWORD
from tests.stories.running import Service, eventually
from tests.stories.visitor import Visitor

pytestmark = [pytest.mark.xdist_group("stories")]
FEATURES = "DeviceBoundSessions,EnableBoundSessionCredentialsSoftwareKeysForManualTesting"
Opening = Callable[[str, bool], BrowserContext]


def trusted(service: Service) -> str:
    """The service's key as Chromium names it. It binds no session where it only overlooks a wrong certificate."""
    found = x509.load_pem_x509_certificate(service.certificate.read_bytes()).public_key()
    return base64.b64encode(
        hashlib.sha256(found.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).digest()
    ).decode()


@contextmanager
def browsers(service: Service, chromium: str, folder: Path) -> Iterator[Opening]:
    """Opens a Chromium with a profile of its own; with `device` it keeps keys of sessions, in software."""
    with sync_playwright() as playwright:
        opened: list[BrowserContext] = []

        def open_one(name: str, device: bool) -> BrowserContext:
            args = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"]
            args += [f"--ignore-certificate-errors-spki-list={trusted(service)}"]
            args += [f"--enable-features={FEATURES}"] if device else []
            context = playwright.chromium.launch_persistent_context(
                str(folder / name), executable_path=chromium, args=args
            )
            opened.append(context)
            return context

        try:
            yield open_one
        finally:
            for context in opened:
                context.close()


def sign_in(page: Page, service: Service, email: str) -> None:
    page.goto(f"{service.url}/sign-in")
    page.get_by_label("E-mail").fill(email)
    page.locator("input[name=password]").fill(PASSWORD)
    page.locator("main").get_by_role("button", name="Sign in", exact=True).click()
    page.wait_for_url("**/account")


def binding(page: Page, service: Service) -> str:
    """What the page of devices says of this one."""
    page.goto(f"{service.url}/account/devices")
    return page.locator("tr", has_text="This device").locator("td").nth(1).inner_text()


def cookies(context: BrowserContext) -> dict[str, Any]:
    return {item.get("name", ""): item for item in context.cookies()}


def sends_what_was_typed(page: Page, owner: BrowserContext, service: Service, cookie: str, pictures: Path) -> None:
    """The cookie ends while somebody types: the browser shows its key first, or the form comes back whole."""
    page.goto(f"{service.url}/account/profile")
    page.locator("main input[name=name]").fill('Vera "V." Visitor')
    owner.clear_cookies(name=cookie)
    page.get_by_role("button", name="Save the name").click()
    page.wait_for_load_state()
    if "Not sent yet" in page.locator("h1").inner_text():
        page.get_by_text("This is your browser. Send the form now.").wait_for()
        for scheme, width in (("light", 1280), ("dark", 1280), ("light", 360)):
            page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]  # one of its literals
            page.set_viewport_size({"width": width, "height": 900})
            assert judged(page).response["violations"] == []
            page.screenshot(path=str(pictures / f"resend-{scheme}-{width}.png"))
        page.get_by_role("button", name="Send once more").click()
        page.wait_for_url("**/account/profile")
    page.goto(f"{service.url}/account/profile")
    assert page.locator("main input[name=name]").input_value() == 'Vera "V." Visitor'


@pytest.mark.parametrize(("device", "cookie", "words"), [
    (True, "__Host-bound", "by the browser itself"), (False, "__Host-key", "a key in this browser"),
])  # fmt: skip
def test_copied_cookies_end_while_the_owner_goes_on(
    service: Service, chromium: str, tmp_path: Path, device: bool, cookie: str, words: str
) -> None:
    visitor = Visitor(service)
    visitor.sign_up()
    visitor.verify()
    with browsers(service, chromium, tmp_path) as open_one:
        owner = open_one("owner", device)
        page = owner.pages[0]
        sign_in(page, service, visitor.email)
        eventually(lambda: cookie in cookies(owner), 180)
        assert words in binding(page, service)
        copied = [item for name, item in cookies(owner).items() if name != cookie]
        page.wait_for_timeout(11_000)  # the grace after a key was registered

        thief = open_one("thief", device)
        thief.add_cookies(copied)  # what is left of a copied jar when the bound cookie ends
        stolen = thief.pages[0]
        stolen.goto(f"{service.url}/account")
        assert stolen.url.startswith(f"{service.url}/session/renew")
        stolen.goto(f"{service.url}/account/profile")
        stolen.get_by_text("Checking this browser").first.wait_for()

        before = cookies(owner)[cookie]["value"]
        owner.clear_cookies(name=cookie)  # as when its time is over
        page.goto(f"{service.url}/account/profile")
        page.wait_for_url("**/account/profile")
        eventually(lambda: cookie in cookies(owner), 180)
        assert cookies(owner)[cookie]["value"] != before
        assert words in binding(page, service)
        sends_what_was_typed(page, owner, service, cookie, tmp_path)
