"""Passkeys on the pages, with an authenticator in software: what is asked for, posted and shown."""

from __future__ import annotations

import json
import re

import httpx
import pytest

from subscription_services.kernel.actors import Role
from subscription_services.testing import World
from subscription_services.testing.authenticator import Authenticator
from subscription_services.testing.people import PASSWORD

from .browsing import Browser, codes_on, words_of
from .cases import with_totp
from .keyholder import KEYS, register, with_passkey

HERE = {"Origin": "https://localhost:8443", "Sec-Fetch-Site": "same-origin"}


@pytest.fixture
def browser(world: World) -> Browser:
    return Browser(world)


def ask(browser: Browser, path: str, token: str | None = None) -> httpx.Response:
    """What our script asks for, with the token of the page's form."""
    csrf = browser.form(path.removesuffix("/begin")).fields["csrf_token"] if token is None else token
    headers = {**HERE, "X-CSRF-Token": csrf, "Accept": "application/json", "Content-Type": "application/json"}
    answer: httpx.Response = browser.world.run(browser.client.post(path, content="{}", headers=headers))
    return answer


def test_signing_in_with_a_passkey_alone(browser: Browser, world: World) -> None:
    _, maker = with_passkey(world)
    browser.get("/sign-in?next=/account/devices")
    options = ask(browser, "/sign-in/passkey/begin").json()
    browser.press("/sign-in/passkey", credential=maker.get(options))
    assert browser.page.headers["location"] == "/account/devices"
    assert "secure-session-registration" in browser.page.headers
    assert browser.cookie("__Host-session") and browser.cookie("__Host-device")
    assert "Two-factor" in words_of(browser.follow())


def test_a_wrong_passkey_is_told_on_top_and_not_shown_again(browser: Browser, world: World) -> None:
    _, maker = with_passkey(world)
    maker.origin = "https://evil.example"
    browser.get("/sign-in")
    wrong = maker.get(ask(browser, "/sign-in/passkey/begin").json())
    assert browser.press("/sign-in/passkey", credential=wrong).status_code == 403
    assert "That did not work with this passkey" in words_of(browser.page)
    assert json.loads(wrong)["response"]["signature"] not in browser.page.text
    assert not browser.cookie("__Host-session")


def test_what_our_script_asks_needs_the_form_s_token(browser: Browser, world: World) -> None:
    browser.get("/sign-in")
    assert ask(browser, "/sign-in/passkey/begin", "x").status_code == 403
    assert ask(browser, "/sign-in/code/passkey/begin", browser.form("/sign-in").fields["csrf_token"]).status_code == 403


def test_the_second_step_shows_what_the_account_has(browser: Browser, world: World) -> None:
    with_totp(world, "app@example.org")
    actor, maker = with_passkey(world)
    assert browser.sign_in("app@example.org").headers["location"] == "/sign-in/code"
    assert "Use a passkey" not in browser.follow().text
    assert browser.sign_in(KEYS, path="/sign-in?next=/account/devices").headers["location"] == (
        "/sign-in/code?by=passkey&next=/account/devices"
    )  # fmt: skip
    assert "Recovery code" in browser.follow().text
    maker.flags &= ~4
    options = ask(browser, "/sign-in/code/passkey/begin").json()
    assert [item["type"] for item in options["allowCredentials"]] == ["public-key"]
    assert browser.press("/sign-in/code/passkey", credential="{}").status_code == 403
    assert "Use a passkey" in browser.page.text
    browser.press("/sign-in/code/passkey", credential=maker.get(options))
    assert browser.page.headers["location"] == "/account/devices"
    assert actor.id


def test_adding_one_from_the_page_and_confirming_with_it(browser: Browser, world: World) -> None:
    browser.join("ada@example.org")
    browser.get("/account/two-factor/passkey")
    assert 'value="Firefox on Linux"' in browser.page.text
    maker = Authenticator()
    made = maker.create(ask(browser, "/account/two-factor/passkey/begin").json())
    assert browser.press("/account/two-factor/passkey", credential=made, name="").status_code == 200
    assert len(codes_on(browser.page)) == 10
    world.clock.advance(minutes=12)
    browser.get("/account")
    assert browser.get("/account/two-factor/passkey").headers["location"] == "/confirm?next=/account/two-factor/passkey"
    browser.follow()
    before = browser.cookie("__Host-session")
    browser.press("/confirm/passkey", credential=maker.get(ask(browser, "/confirm/passkey/begin").json()))
    assert browser.page.headers["location"] == "/account/two-factor/passkey"
    assert browser.cookie("__Host-session") != before
    assert browser.follow().status_code == 200
    assert "excludeCredentials" in ask(browser, "/account/two-factor/passkey/begin").text
    assert "Passkey added" in words_of(browser.get("/account/activity"))


def test_names_are_changed_on_their_page(browser: Browser, world: World) -> None:
    browser.join("ada@example.org")
    browser.turn_on_two_factor()
    found = re.search(r'href="(/account/two-factor/name\?id=\w+)"', browser.get("/account/two-factor").text)
    assert found
    browser.get(found[1])
    assert browser.press("/account/two-factor/authenticators/name", name="").status_code == 422
    assert 'id="f-name-error"' in browser.page.text
    browser.press("/account/two-factor/authenticators/name", name="<b>Phone</b>")
    assert "&lt;b&gt;Phone&lt;/b&gt;" in browser.follow().text
    assert browser.get("/account/two-factor/name?id=tot_unknown").headers["location"] == "/account/two-factor"


def test_the_team_sees_no_way_to_remove_the_last_one(browser: Browser, world: World) -> None:
    boss, maker = world.team(Role.SUPPORT), Authenticator()
    register(world, boss, maker)
    browser.get("/sign-in")
    browser.press("/sign-in/passkey", credential=maker.get(ask(browser, "/sign-in/passkey/begin").json()))
    links = re.findall(r'href="(/account/two-factor/remove\?id=\w+)"', browser.get("/account/two-factor").text)
    assert len(links) == 2
    browser.get(links[0])
    browser.press("/account/two-factor/passkeys/remove")
    assert "Removed" in browser.follow().text
    assert "/account/two-factor/remove?" not in browser.page.text
    assert browser.get(links[1]).headers["location"] == "/account/two-factor"
    assert PASSWORD not in browser.page.text
