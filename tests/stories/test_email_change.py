"""Another address, in a real browser: asked for, confirmed at both ends with the letters' links, taken back."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.stories.person import meet
from tests.stories.running import Service, unique

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("stories"), pytest.mark.timeout(280)]


def test_an_address_changes_and_is_taken_back(service: Service, browser: Browser, pictures: Path) -> None:
    ada = meet(service, browser, f"{unique('ada')}@example.org", pictures=pictures)
    old, new = ada.email, f"{unique('new')}@example.org"
    ada.sign_up()
    ada.sign_in()
    ada.go("/account/email", "email")
    ada.page.get_by_label("New e-mail address").fill(new)
    ada.press("Send the letters")
    ada.see("email-waits")
    for address in (new, old):
        ada.page.goto(service.link(address, "onfirm", "/email/confirm"))
        ada.see("email-confirm")
        ada.press("Confirm it")
    ada.see("email-changed")
    ada.email = new
    ada.go("/account/profile", "profile-new-address")
    assert new in ada.page.locator("main").inner_text()
    ada.sign_out()
    ada.sign_in()
    ada.page.goto(service.link(old, "was changed", "/email/revert"))
    ada.see("email-revert")
    ada.press("Put the old address back")
    ada.see("email-reverted")
    ada.page.goto(f"{service.url}/account")
    assert "/sign-in" in ada.page.url
    ada.page.goto(service.link(old, "Choose a new password", "/reset"))
    ada.page.locator("input[name=password]").fill(f"{ada.password}-again")
    ada.press("Set the new password")
    ada.email, ada.password = old, f"{ada.password}-again"
    ada.sign_in()
