"""A forgotten password: to proved addresses only, once, in time; every session ends and the second factor stays."""

from __future__ import annotations

import pyotp
import pytest
from sqlalchemy import func, select

from subscription_services.identity.errors import LinkExpired, LinkInvalid, LinkUsed, WeakPassword, WrongCredentials
from subscription_services.identity.model import Purpose
from subscription_services.identity.operations.profile import CloseAccount, ShowProfile
from subscription_services.identity.operations.reset import AskReset, ResetPassword
from subscription_services.identity.operations.sign_in import SignIn, SignInCode
from subscription_services.identity.operations.sign_up import IssueLink, ResendVerification, SignUp
from subscription_services.jobs.model import job
from subscription_services.kernel.errors import NotSignedIn
from subscription_services.testing import World
from subscription_services.testing.people import PASSWORD
from tests.identity.browsing import Browser
from tests.identity.cases import LETTERS, NEW, STRANGER, with_totp


def link(world: World, account: str) -> str:
    return str(world.do("identity.issue_link", LETTERS, IssueLink(account, Purpose.RESET)).token)


def test_a_link_sets_a_password_once_and_ends_every_session(world: World) -> None:
    ada = world.subscriber("ada@example.org")
    token, spare = link(world, ada.id), link(world, ada.id)
    world.do("identity.reset_password", STRANGER, ResetPassword(token, NEW))
    for used in (token, spare):
        with pytest.raises(LinkUsed):
            world.do("identity.reset_password", STRANGER, ResetPassword(used, "yet another good one 1"))
    with pytest.raises(NotSignedIn):
        world.do("identity.profile", ada, ShowProfile())
    with pytest.raises(WrongCredentials):
        world.do("identity.sign_in", STRANGER, SignIn("ada@example.org", PASSWORD))
    assert world.do("identity.sign_in", STRANGER, SignIn("ada@example.org", NEW)).token


def test_late_links_wrong_links_and_weak_passwords_change_nothing(world: World) -> None:
    ada = world.subscriber("ada@example.org")
    token = link(world, ada.id)
    with pytest.raises(WeakPassword):
        world.do("identity.reset_password", STRANGER, ResetPassword(token, "password1234"))
    with pytest.raises(LinkInvalid):
        world.do("identity.reset_password", STRANGER, ResetPassword("x" * 43, NEW))
    world.clock.advance(minutes=30)
    with pytest.raises(LinkExpired):
        world.do("identity.reset_password", STRANGER, ResetPassword(token, NEW))
    assert world.do("identity.sign_in", STRANGER, SignIn("ada@example.org", PASSWORD)).token


def test_a_second_factor_is_asked_for_after_a_reset_as_before(world: World) -> None:
    two, secret = with_totp(world)
    begun = world.do("identity.sign_in", STRANGER, SignIn("two@example.org", PASSWORD)).challenge
    world.do("identity.reset_password", STRANGER, ResetPassword(link(world, two.id), NEW))
    answer = world.do("identity.sign_in", STRANGER, SignIn("two@example.org", NEW))
    assert answer.challenge and not answer.token
    with pytest.raises(Exception, match="Start again"):  # the sign-in begun with the old password has ended
        world.do("identity.sign_in_code", STRANGER, SignInCode(begun, pyotp.TOTP(secret).at(world.clock())))


def test_a_closed_account_has_no_way_back_through_a_link(world: World) -> None:
    ada = world.subscriber("ada@example.org")
    token = link(world, ada.id)
    world.do("identity.close_account", ada, CloseAccount())
    with pytest.raises(LinkUsed):
        world.do("identity.reset_password", STRANGER, ResetPassword(token, NEW))


@pytest.mark.parametrize("operation", ["identity.ask_reset", "identity.resend_verification"])
def test_the_same_answer_and_the_same_work_for_any_address(world: World, operation: str) -> None:
    world.subscriber("ada@example.org")
    world.do("identity.sign_up", STRANGER, SignUp("new@example.org", "New", PASSWORD))
    request = {"identity.ask_reset": AskReset, "identity.resend_verification": ResendVerification}[operation]

    def rows() -> int:
        with world.house.store.reading() as connection:
            return connection.execute(select(func.count()).select_from(job)).scalar_one()

    seen = set()
    for address in ("ada@example.org", "new@example.org", "nobody@example.org"):
        before, events = rows(), len(world.events(operation))
        answer = world.do(operation, STRANGER, request(address))
        seen.add((answer, rows() - before, len(world.events(operation)) - events))
    assert len(seen) == 1 and next(iter(seen))[1:] == (1, 1)


def test_only_a_proved_address_gets_the_letter(world: World) -> None:
    world.subscriber("ada@example.org")
    world.do("identity.sign_up", STRANGER, SignUp("new@example.org", "New", PASSWORD))
    world.run_jobs()
    for address in ("ada@example.org", "new@example.org", "nobody@example.org"):
        world.do("identity.ask_reset", STRANGER, AskReset(address))
    world.run_jobs()
    made = [event for event in world.events("identity.issue_link") if event.details.get("purpose") == "reset"]
    assert len(made) == 1 and made[0].subject == world.account("ada@example.org")


def test_the_pages_lead_from_forgotten_to_signed_in(world: World) -> None:
    ada, browser = world.subscriber("ada@example.org"), Browser(world)
    browser.get("/sign-in")
    assert "/forgot" in browser.page.text
    browser.get("/forgot")
    assert browser.press("/forgot", email="not an address").status_code == 422
    assert browser.press("/forgot", email="ada@example.org").headers["location"] == "/forgot/sent"
    token = link(world, ada.id)
    browser.get(f"/reset?token={token}")
    assert browser.press("/reset", password="short").status_code == 422
    assert token in browser.page.text
    assert browser.press("/reset", password=NEW).headers["location"] == "/sign-in"
    browser.get(f"/reset?token={token}")
    again = browser.press("/reset", password=NEW)
    assert again.status_code in (403, 409, 410) and "was used already" in again.text and "/forgot" in again.text
    world.clock.advance(minutes=1)
    browser.get("/sign-in")
    assert browser.press("/sign-in", email="ada@example.org", password=NEW).headers["location"] == "/account"
