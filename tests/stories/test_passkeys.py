"""Passkeys in Chromium, with an authenticator that its developer tools play."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import CDPSession, Page, sync_playwright

from tests.stories.person import PASSWORD, Person
from tests.stories.running import Service, eventually
from tests.stories.test_bound_sessions import trusted
from tests.stories.visitor import Visitor

pytestmark = [pytest.mark.xdist_group("stories")]
PLATFORM = {
    "protocol": "ctap2", "transport": "internal", "hasResidentKey": True, "hasUserVerification": True,
    "isUserVerified": True, "automaticPresenceSimulation": True,
}  # fmt: skip


@dataclass
class Device:
    """A person's browser with an authenticator in it."""

    person: Person
    tools: CDPSession
    authenticator: str

    def passkeys(self) -> list[dict[str, Any]]:
        found = self.tools.send("WebAuthn.getCredentials", {"authenticatorId": self.authenticator})
        return list(found["credentials"])

    def unlocks(self, yes: bool) -> None:
        """Whether the person gets past the authenticator's finger, face or PIN."""
        self.tools.send("WebAuthn.setUserVerified", {"authenticatorId": self.authenticator, "isUserVerified": yes})


@pytest.fixture
def device(service: Service, chromium: str, tmp_path: Path, pictures: Path) -> Iterator[Device]:
    """Somebody new with a verified account. Chromium lets passkeys alone where it overlooks a wrong certificate, so
    the service's key is named."""
    visitor = Visitor(service)
    visitor.sign_up()
    visitor.verify()
    args = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"]
    args += [f"--ignore-certificate-errors-spki-list={trusted(service)}"]
    with sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            str(tmp_path / "profile"), executable_path=chromium, args=args, viewport={"width": 1280, "height": 900}
        )
        page = context.pages[0]
        tools = context.new_cdp_session(page)
        tools.send("WebAuthn.enable")
        added = tools.send("WebAuthn.addVirtualAuthenticator", {"options": PLATFORM})
        yield Device(Person(service, page, visitor.email, pictures=pictures), tools, added["authenticatorId"])
        context.close()


def add_passkey(device: Device, name: str) -> None:
    person, page = device.person, device.person.page
    person.go("/account/two-factor", "factors")
    page.locator("main").get_by_role("link", name="Add a").first.click()
    page.wait_for_url("**/account/two-factor/passkey")
    person.see("add-passkey")
    page.get_by_label("Name").fill(name)
    page.get_by_role("button", name="Create the passkey").click()


def type_password(page: Page, service: Service, email: str) -> None:
    page.goto(f"{service.url}/sign-in")
    page.get_by_label("E-mail").fill(email)
    page.locator("input[name=password]").fill(PASSWORD)
    page.locator("main").get_by_role("button", name="Sign in", exact=True).click()


def test_a_passkey_from_its_making_to_signing_in_with_it_alone(service: Service, device: Device) -> None:
    person, page = device.person, device.person.page
    person.sign_in()
    add_passkey(device, "My laptop")
    page.get_by_role("heading", name="Your recovery codes").wait_for()
    person.see("recovery-codes")
    (made,) = device.passkeys()
    assert made["rpId"] == "localhost"
    assert made["isResidentCredential"]
    assert person.email not in made["userHandle"]
    person.press("I have saved them")
    page.wait_for_url(f"{service.url}/account")
    assert "Turn on two-factor sign-in" not in page.locator("main").inner_text()
    person.go("/account/two-factor", "factors-on")
    assert "My laptop" in page.locator("main").inner_text()
    assert service.letter(person.email, "Two-factor sign-in is on")

    person.sign_out()
    person.go("/sign-in?next=/account/two-factor", "sign-in")
    page.get_by_role("button", name="Sign in with a passkey").click()
    page.wait_for_url(f"{service.url}/account/two-factor")
    assert "last used" in page.locator("main").inner_text()
    eventually(lambda: "key in this browser" in person_binding(page, service), 180)
    person.go("/account/activity", "activity")
    assert "Signed in with a passkey" in page.locator("main").inner_text()


def person_binding(page: Page, service: Service) -> str:
    """What the page of devices says of this one."""
    page.goto(f"{service.url}/account/devices")
    return page.locator("tr", has_text="This device").inner_text()


def test_a_passkey_after_the_password_and_to_confirm(service: Service, device: Device) -> None:
    person, page = device.person, device.person.page
    person.sign_in()
    add_passkey(device, "My laptop")
    person.press("I have saved them")
    person.sign_out()
    type_password(page, service, person.email)
    page.wait_for_url("**/sign-in/code?by=passkey")
    person.see("second-step")
    page.get_by_role("button", name="Use a passkey").click()
    page.wait_for_url(f"{service.url}/account")

    person.go("/confirm?next=/account/two-factor", "confirm")
    device.unlocks(False)
    page.get_by_role("button", name="Confirm with a passkey").click()
    page.get_by_text("Nothing was signed").wait_for()
    person.see("confirm-failed")
    device.unlocks(True)
    page.get_by_role("button", name="Confirm with a passkey").click()
    page.wait_for_url(f"{service.url}/account/two-factor")

    add_passkey(device, "The same again")
    page.get_by_text("holds a passkey for your account already").wait_for()
    assert len(device.passkeys()) == 1
    person.go("/account/two-factor", "factors-before-removal")
    page.get_by_role("link", name="Rename My laptop").click()
    person.see("rename")
    page.get_by_role("textbox", name="Name").fill("Work laptop")
    person.press("Save")
    page.get_by_role("link", name="Remove Work laptop").click()
    person.see("remove")
    person.press("Turn it off")
    page.wait_for_url(f"{service.url}/account/two-factor")
    assert service.letter(person.email, "Two-factor sign-in is off")
    person.sign_out()

    person.go("/sign-in", "sign-in")
    page.get_by_role("button", name="Sign in with a passkey").click()
    page.get_by_text("That did not work with this passkey").wait_for()
    type_password(page, service, person.email)
    page.wait_for_url(f"{service.url}/account")


def test_without_javascript_the_page_says_so_and_the_password_remains(service: Service) -> None:
    visitor = Visitor(service)
    visitor.sign_up()
    visitor.verify()
    assert "Passkeys need JavaScript" in visitor.get("/sign-in")
    answer = visitor.submit("/sign-in", "/sign-in/passkey")
    assert answer.status_code == 422
    assert "Your browser sent no passkey" in answer.text
    visitor.sign_in()
