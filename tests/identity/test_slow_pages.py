"""Pages of changing an address and of getting back in, through the whole application."""

from __future__ import annotations

import pytest

from subscription_services.identity.recovery_model import Step
from subscription_services.kernel.actors import Role
from subscription_services.testing import World
from subscription_services.testing.people import PASSWORD
from tests.identity.browsing import Browser, link_of, words_of
from tests.identity.letters_sent import letters_to
from tests.identity.slowly import approved, link

ADA, NEW = "ada@example.org", "new@example.org"


@pytest.fixture
def browser(world: World) -> Browser:
    opened = Browser(world)
    opened.join(ADA)
    return opened


def link_in(world: World, address: str, path: str) -> str:
    """The link of the newest letter to the address that leads to the path, as a path."""
    text = next(item.text for item in letters_to(world, address) if f"{path}?token=" in item.text)
    return f"{path}?token={text.partition(f'{path}?token=')[2].split()[0]}"


def waiting(world: World) -> str:
    """The recovery that waits."""
    from sqlalchemy import select

    from subscription_services.identity.recovery_model import LIVE, recovery

    with world.house.store.reading() as connection:
        return str(connection.execute(select(recovery.c.id).where(recovery.c.state.in_(LIVE))).scalar_one())


def test_an_address_changes_and_comes_back(browser: Browser, world: World) -> None:
    browser.get("/account/profile")
    assert "/account/email" in browser.page.text
    browser.get("/account/email")
    assert browser.press("/account/email", email="nonsense").status_code == 422
    assert 'value="nonsense"' in browser.page.text and 'id="f-email-error"' in browser.page.text
    assert browser.press("/account/email", email="ADA@example.org").status_code == 422
    assert "your address already" in words_of(browser.page)
    assert browser.press("/account/email", email=NEW).headers["location"] == "/account/email"
    assert "A new address waits" in words_of(browser.follow())
    assert f"A new address waits: {NEW}" in words_of(browser.get("/account/profile"))
    phone = Browser(world)
    phone.sign_in(ADA)
    mail = Browser(world)  # letters are read elsewhere
    mail.get(link_in(world, NEW, "/email/confirm"))
    assert "Confirmed at this end" in words_of(mail.press("/email/confirm"))
    mail.get(link_in(world, NEW, "/email/confirm"))
    assert "used already" in words_of(mail.press("/email/confirm"))
    mail.get(link_in(world, ADA, "/email/confirm"))
    assert "Your new address holds" in words_of(mail.press("/email/confirm"))
    assert NEW in words_of(browser.get("/account/profile"))
    assert phone.get("/account").status_code == 303
    mail.get(link_in(world, ADA, "/email/revert"))
    assert "Put the old address back" in words_of(mail.page)
    assert "The old address is back" in words_of(mail.press("/email/revert"))
    assert browser.get("/account").status_code == 303
    assert mail.sign_in(ADA).status_code == 403
    mail.get(f"/reset?token={link_of(world, ADA, 'reset')}")
    mail.press("/reset", password=PASSWORD)
    assert mail.sign_in(ADA).headers["location"] == "/account"


def test_a_change_is_stopped_from_the_profile_and_from_a_letter(browser: Browser, world: World) -> None:
    browser.get("/account/email")
    browser.press("/account/email", email=NEW)
    browser.get("/account/profile")
    assert browser.press("/account/email/stop").headers["location"] == "/account/profile"
    assert "The change is stopped" in words_of(browser.follow())
    browser.get("/account/email")
    browser.press("/account/email", email="other@example.org")
    mail = Browser(world)
    mail.get(link_in(world, "other@example.org", "/email/confirm"))
    assert "The change is stopped" in words_of(mail.press("/email/stop"))
    assert mail.get("/email/confirm").status_code == 403
    world.clock.advance(minutes=10)
    browser.get("/account")
    world.clock.advance(minutes=6)
    assert browser.get("/account/email").headers["location"] == "/confirm?next=/account/email"


def test_getting_back_in_without_any_factor(browser: Browser, world: World) -> None:
    browser.turn_on_two_factor()
    lost = Browser(world)
    lost.sign_in(ADA)
    assert "/recover" in lost.follow().text
    lost.get("/recover")
    assert "Your request waits" in words_of(lost.press("/recover"))
    alarmed = words_of(browser.get("/account/devices"))
    assert "Somebody asked to get into your account" in alarmed and "Stop it" in alarmed
    approved(world, waiting(world), world.team(Role.SECURITY))
    identifier = waiting(world)
    world.clock.advance(days=3)
    lost.get(f"/recover/finish?token={link(world, identifier, Step.FINISH).token}")
    assert lost.press("/recover/finish").headers["location"] == "/sign-in"
    assert "lost second factor is removed" in words_of(lost.follow())
    assert lost.sign_in(ADA).headers["location"] == "/account"
    assert "Turn on two-factor sign-in" in words_of(lost.follow())


def test_the_button_on_every_page_and_the_link_in_the_notice_stop_it(browser: Browser, world: World) -> None:
    browser.turn_on_two_factor()
    lost = Browser(world)
    for stop in ("button", "letter"):
        lost.sign_in(ADA)
        lost.get("/recover")
        lost.press("/recover")
        if stop == "button":
            browser.get("/account")
            assert browser.press("/account/recovery/stop").headers["location"] == "/account/profile"
            assert "The request is stopped" in words_of(browser.follow())
        else:
            mail = Browser(world)
            mail.get(f"/recover/stop?token={link(world, waiting(world), Step.STOP).token}")
            assert "The request is stopped" in words_of(mail.press("/recover/stop"))
        assert "Somebody asked to get into" not in words_of(browser.get("/account"))


def test_the_way_by_letter_says_the_same_to_everybody(browser: Browser, world: World) -> None:
    browser.turn_on_two_factor()
    lost = Browser(world)
    pages = set()
    for address in (ADA, "nobody@example.org"):
        lost.get("/recover")
        assert lost.press("/recover/letter", email=address).headers["location"] == "/recover/sent"
        pages.add(words_of(lost.follow()))
    assert len(pages) == 1
    lost.get(link_in(world, ADA, "/recover/open"))
    assert "Your request waits" in words_of(lost.press("/recover/open"))
    lost.get("/recover")
    assert lost.press("/recover/letter", email="nonsense").status_code == 422
    assert lost.get("/recover/open").status_code == 403
