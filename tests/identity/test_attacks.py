"""What attackers do at the door and with what they have got hold of, through the whole service with its edge."""

from __future__ import annotations

import pyotp
import pytest
from sqlalchemy import select

from subscription_services.identity import model
from subscription_services.identity.errors import ChallengeEnded, LinkUsed, WrongCode, WrongCredentials
from subscription_services.identity.known import FREE
from subscription_services.identity.model import Purpose
from subscription_services.identity.operations.devices import ChooseHours, ChooseIdle, ListDevices
from subscription_services.identity.operations.profile import ChangePassword
from subscription_services.identity.operations.reset import AskReset, ResetPassword
from subscription_services.identity.operations.second_factor import Nothing
from subscription_services.identity.operations.sign_in import ConfirmItIsMe, SignIn, SignInCode
from subscription_services.identity.operations.sign_up import IssueLink, SignUp
from subscription_services.identity.tokens import digest
from subscription_services.kernel.actors import Anonymous
from subscription_services.kernel.context import Origin
from subscription_services.kernel.errors import TooMany
from subscription_services.kernel.model import metadata
from subscription_services.testing import World
from subscription_services.testing.people import PASSWORD
from tests.identity.browsing import Browser, Form, set_cookies
from tests.identity.cases import LETTERS, NEW, with_totp
from tests.identity.test_binding import _device

ADA = "ada@example.org"
STRANGER = Anonymous()


def test_a_session_that_ran_out_does_not_come_back_with_a_longer_time(world: World) -> None:
    ada = world.subscriber(ADA)
    world.do("identity.choose_idle", ada, ChooseIdle(5))
    world.do("identity.choose_hours", ada, ChooseHours(1))
    left = world.do("identity.sign_in", STRANGER, SignIn(ADA, PASSWORD)).id
    world.clock.advance(minutes=4)
    world.do("identity.choose_hours", ada, ChooseHours(1))
    here = world.do("identity.sign_in", STRANGER, SignIn(ADA, PASSWORD))
    world.clock.advance(minutes=2)
    me = type(ada)(ada.id, here.id, world.clock(), False)
    world.do("identity.choose_idle", me, ChooseIdle(30))
    world.do("identity.choose_hours", me, ChooseHours(12))
    assert left not in {item.id for item in world.do("identity.devices", me, ListDevices())}


def tokens(browser: Browser) -> str:
    return browser.cookie("__Host-session")


def test_a_planted_session_is_not_kept_and_every_step_up_gets_a_new_token(world: World) -> None:
    victim, attacker = Browser(world), Browser(world)
    world.subscriber(ADA)
    attacker.join("eve@example.org")
    planted = tokens(attacker)
    for cookie in (planted, "p" * 43):
        victim.client.cookies.clear()
        victim.client.cookies.set("__Host-session", cookie, domain="localhost.local", path="/")
        victim.get("/plans")
        victim.get("/forgot")
        form = Form("/sign-in", {"csrf_token": victim.form("/forgot").fields["csrf_token"]})
        assert victim.send(form, email=ADA, password=PASSWORD).status_code == 303
        assert set_cookies(victim.page)["__Host-session"][""] not in ("", cookie)
    # whoever knew the planted one has nothing: it was not taken over, and it has ended
    assert attacker.get("/account").headers["location"] == "/sign-in?next=/account"


def test_a_token_is_new_after_each_change_of_privilege_and_the_old_one_is_dead(world: World) -> None:
    browser = Browser(world)
    browser.join(ADA)
    seen = [tokens(browser)]

    def renewed() -> None:
        assert tokens(browser) not in seen
        thief = Browser(world)
        thief.client.cookies.set("__Host-session", seen[-1], domain="localhost.local", path="/")
        assert thief.get("/account").headers["location"] == "/sign-in?next=/account"
        assert browser.get("/account").status_code == 200
        seen.append(tokens(browser))

    browser.get("/confirm")
    browser.press("/confirm", password=PASSWORD)
    renewed()
    totp = browser.turn_on_two_factor()
    renewed()
    browser.get("/account/password")
    browser.press("/account/password", current=PASSWORD, password=NEW)
    renewed()
    world.clock.advance(seconds=60)
    browser.get("/forgot")
    form = Form("/sign-in", {"csrf_token": browser.form("/forgot").fields["csrf_token"]})
    browser.send(form, email=ADA, password=NEW)
    browser.follow()
    browser.press("/sign-in/code", code=totp.at(world.clock()))
    renewed()


def test_signing_in_ends_the_session_that_the_browser_had(world: World) -> None:
    ada = world.subscriber(ADA)
    browser = Browser(world)
    browser.sign_in(ADA)
    before = tokens(browser)
    world.clock.advance(minutes=20)  # too long for a browser without a key; the row itself is still open
    browser.sign_in(ADA)
    with world.house.store.reading() as connection:
        row = connection.execute(select(model.session).where(model.session.c.digest == digest(before))).one()
    assert row.end_reason == "signed in anew"
    assert len(world.do("identity.devices", ada, ListDevices())) == 2


def test_guesses_at_the_step_up_wait_as_at_the_door(world: World) -> None:
    """Whoever came by a session and wants the password, or has that too and wants the code."""
    actor, _ = with_totp(world)
    for number in range(FREE):
        with pytest.raises((WrongCredentials, WrongCode)):
            asked = ConfirmItIsMe(PASSWORD, "123456") if number % 2 else ConfirmItIsMe(f"guess {number}")
            world.do("identity.confirm_it_is_me", actor, asked)
    with pytest.raises(TooMany):
        world.do("identity.confirm_it_is_me", actor, ConfirmItIsMe(PASSWORD, "123456"))


def test_codes_and_passwords_have_counters_of_their_own(world: World) -> None:
    """Only somebody with the password gets to guess codes; that must not cost the owner their tries at the password."""
    _, secret = with_totp(world)
    origin = Origin("192.0.2.1")

    def begin(password: str = PASSWORD) -> str:
        return str(world.do("identity.sign_in", STRANGER, SignIn("two@example.org", password), origin=origin).challenge)

    challenge = begin()
    for _ in range(FREE - 1):
        with pytest.raises(WrongCredentials):
            begin("wrong and long enough")
    for _ in range(4):
        with pytest.raises(WrongCode):
            world.do("identity.sign_in_code", STRANGER, SignInCode(challenge, "000000"), origin=origin)
    code = pyotp.TOTP(secret).at(world.clock())
    done = world.do("identity.sign_in_code", STRANGER, SignInCode(challenge, code), origin=origin)
    assert done.token  # wrong passwords meanwhile took no try at the code
    with pytest.raises(ChallengeEnded):  # and a sign-in is finished once
        world.do("identity.sign_in_code", STRANGER, SignInCode(challenge, code), origin=origin)
    assert begin()  # nor the other way: the fifth try at the password is still there


def test_one_mailbox_gets_no_more_letters_for_being_written_in_many_ways(world: World) -> None:
    world.do("identity.sign_up", STRANGER, SignUp("ada@exämple.org", "Ada", PASSWORD))
    ways = ["ada@exämple.org", "ADA@EXÄMPLE.ORG", "ada@xn--exmple-cua.org", "ada@exämple。org", "ada@ｅxämple.org"]
    for number, way in enumerate([*ways, ways[2], ways[4]]):
        origin = Origin(f"198.51.{number}.7")
        if number < 5:
            world.do("identity.ask_reset", STRANGER, AskReset(way), origin=origin)
        else:
            with pytest.raises(TooMany):
                world.do("identity.ask_reset", STRANGER, AskReset(way), origin=origin)


def test_a_browser_that_signed_in_before_the_password_was_replaced_is_a_stranger_after(world: World) -> None:
    ada = world.subscriber(ADA)
    thief = world.do("identity.sign_in", STRANGER, SignIn(ADA, PASSWORD)).device
    world.clock.advance(minutes=5)
    token = world.do("identity.issue_link", LETTERS, IssueLink(ada.id, Purpose.RESET)).token
    world.do("identity.reset_password", STRANGER, ResetPassword(token, NEW))

    def letter_of(device: str) -> tuple[str, bool]:
        answer = world.do("identity.sign_in", STRANGER, SignIn(ADA, NEW, device)).device
        return answer, not world.events("identity.sign_in")[-1].details["known_browser"]

    fresh, told = letter_of(thief)
    assert told and fresh != thief
    assert letter_of(fresh) == (fresh, False)


def test_a_link_asked_for_before_the_password_was_changed_ends_with_it(world: World) -> None:
    ada = world.subscriber(ADA)
    token = world.do("identity.issue_link", LETTERS, IssueLink(ada.id, Purpose.RESET)).token
    world.do("identity.change_password", ada, ChangePassword(PASSWORD, NEW))
    with pytest.raises(LinkUsed):
        world.do("identity.reset_password", STRANGER, ResetPassword(token, "yet another good one 1"))


def test_no_secret_that_a_person_carries_stands_in_the_database(world: World) -> None:
    actor, secret = with_totp(world)
    owner = _device(world)
    challenge = world.do("identity.sign_in", STRANGER, SignIn("two@example.org", PASSWORD)).challenge
    codes = world.do("identity.new_recovery_codes", actor, Nothing()).codes
    link = world.do("identity.issue_link", LETTERS, IssueLink(actor.id, Purpose.RESET)).token
    device = world.do("identity.sign_in", STRANGER, SignIn(ADA, PASSWORD)).device
    carried = [tokens(owner), owner.cookie("__Host-bound"), challenge, link, secret, device, PASSWORD, *codes]
    carried += [code.replace("-", "") for code in codes]
    with world.house.store.reading() as connection:
        rows = [repr(connection.execute(select(table)).all()) for table in metadata.sorted_tables]
    whole = "\n".join(rows)
    assert actor.id in whole and all(len(text) > 15 for text in carried)
    assert [text for text in carried if text in whole] == []


def test_an_overloaded_refresh_says_later_and_keeps_the_session(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A 4xx would make the browser forget its session: whoever shares an address could end those of all others."""
    owner = _device(world)

    async def spent(*given: object) -> None:
        raise TooMany()

    for proof in ("", "garbage"):
        with monkeypatch.context() as patch:
            patch.setattr(type(world.house.kernel.limiter), "spend", spent)
            assert owner.sends("/session/refresh", proof, owner.session).status_code == 503
            assert owner.sends("/session/register", proof).status_code == 503
    assert owner.refreshes().status_code == 200 and owner.get("/account").status_code == 200
