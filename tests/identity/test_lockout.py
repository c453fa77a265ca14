"""Wrong passwords: whoever tries them waits longer and longer, nobody else can lock the owner out, nothing tells."""

from __future__ import annotations

import pytest

from subscription_services.identity.errors import WrongCode, WrongCredentials
from subscription_services.identity.known import FREE, STRANGERS, WAITS
from subscription_services.identity.model import Purpose
from subscription_services.identity.operations.sign_in import WRONG_CODES_AN_HOUR, SignIn, SignInCode
from subscription_services.identity.operations.sign_up import IssueLink
from subscription_services.identity.operations.unlock import Unlock
from subscription_services.kernel.context import Origin
from subscription_services.kernel.errors import TooMany
from subscription_services.kernel.limits import source_of
from subscription_services.testing import World
from subscription_services.testing.people import PASSWORD
from tests.identity.browsing import Browser
from tests.identity.cases import LETTERS, STRANGER, with_totp

EMAIL = "ada@example.org"


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres), "valkey"])
def engine(request: pytest.FixtureRequest) -> str:
    """The same wherever tries are counted."""
    return str(request.param)


def wrong(world: World, address: str, email: str = EMAIL, device: str = "") -> int:
    """Seconds to wait, or 0 when the password was looked at."""
    request = SignIn(email, "wrong and long enough", device)
    with pytest.raises((WrongCredentials, TooMany)) as refused:
        world.do("identity.sign_in", STRANGER, request, origin=Origin(address))
    return refused.value.retry_after if isinstance(refused.value, TooMany) else 0


def right(world: World, address: str, device: str = "") -> str:
    return str(world.do("identity.sign_in", STRANGER, SignIn(EMAIL, PASSWORD, device), origin=Origin(address)).device)


def test_waits_grow_until_the_lock_and_the_right_password_waits_too(world: World) -> None:
    world.subscriber(EMAIL)
    assert [wrong(world, "192.0.2.1") for _ in range(FREE)] == [0] * FREE
    for wait in WAITS:
        assert wrong(world, "192.0.2.1") == wait
        with pytest.raises(TooMany):
            right(world, "192.0.2.1")
        world.clock.advance(seconds=wait)
        assert wrong(world, "192.0.2.1") == 0
    assert wrong(world, "192.0.2.1") == WAITS[-1]


def test_success_and_a_quiet_hour_forget(world: World) -> None:
    world.subscriber(EMAIL)
    for _ in range(2):
        assert [wrong(world, "192.0.2.1") for _ in range(FREE - 1)] == [0] * (FREE - 1)
        right(world, "192.0.2.1")
    assert [wrong(world, "192.0.2.1") for _ in range(FREE)] == [0] * FREE
    world.clock.advance(hours=2)
    assert [wrong(world, "192.0.2.1") for _ in range(FREE)] == [0] * FREE


def test_many_sources_are_slowed_down_and_the_owners_browser_is_not(world: World) -> None:
    world.subscriber(EMAIL)
    device = right(world, "192.0.2.1")
    tried = [wrong(world, f"198.51.{number}.7") for number in range(STRANGERS + 10)]
    assert tried[:STRANGERS] == [0] * STRANGERS and all(tried[STRANGERS:])
    with pytest.raises(TooMany):
        right(world, "203.0.113.9")
    assert right(world, "203.0.113.9", device) == device


def test_a_known_browser_has_a_counter_of_its_own_and_is_locked_by_its_own_tries(world: World) -> None:
    world.subscriber(EMAIL)
    device = right(world, "192.0.2.1")
    assert [wrong(world, "192.0.2.1", device=device) for _ in range(FREE)] == [0] * FREE
    assert wrong(world, "198.51.100.1", device=device) == WAITS[0]  # wherever it is
    assert right(world, "192.0.2.1")  # the address itself did nothing wrong


def test_a_cookie_of_somebody_else_or_a_made_up_one_is_nobodys(world: World) -> None:
    world.subscriber(EMAIL)
    world.subscriber("eve@example.org")
    eves = world.do("identity.sign_in", STRANGER, SignIn("eve@example.org", PASSWORD)).device
    nonce, _, mac = eves.partition(".")
    for number, device in enumerate((eves, "x", ".", f"{nonce}.", f".{mac}", f"{nonce}.{mac[:-1]}x", "ü.ß")):
        wrong(world, "192.0.2.1", device=device)
        assert (wrong(world, "192.0.2.1", device=device) > 0) is (number * 2 + 2 > FREE), device


def test_an_unknown_address_is_locked_alike(world: World) -> None:
    world.subscriber(EMAIL)
    known, unknown = (
        [wrong(world, "192.0.2.1", email) for _ in range(FREE + 2)] for email in (EMAIL, "no@example.org")
    )
    assert known == unknown


def test_the_letter_lets_the_owner_in_at_once(world: World) -> None:
    ada, browser = world.subscriber(EMAIL), Browser(world)
    for _ in range(FREE + 1):
        browser.sign_in(EMAIL, "wrong and long enough")
    assert browser.page.status_code == 429
    browser.get("/locked")
    assert browser.press("/locked", email=EMAIL).headers["location"] == "/locked/sent"
    token = world.do("identity.issue_link", LETTERS, IssueLink(ada.id, Purpose.UNLOCK)).token
    browser.get(f"/unlock?token={token}")
    assert browser.press("/unlock").headers["location"] == "/sign-in"
    assert browser.sign_in(EMAIL, PASSWORD).headers["location"] == "/account"
    with pytest.raises(Exception, match="used already"):
        world.do("identity.unlock", STRANGER, Unlock(token))


def test_a_locked_second_factor_ends_what_was_begun_and_tells_the_owner(world: World) -> None:
    with_totp(world)

    def begin() -> str:
        return str(world.do("identity.sign_in", STRANGER, SignIn("two@example.org", PASSWORD)).challenge)

    letters = len(world.events("mail.record_sent"))
    spare, tries = begin(), 0
    while tries < WRONG_CODES_AN_HOUR:
        challenge = begin()
        for _ in range(5):
            with pytest.raises(WrongCode):
                world.do("identity.sign_in_code", STRANGER, SignInCode(challenge, "not-a-code"))
            tries += 1
    for challenge in (begin(), spare):
        with pytest.raises(Exception, match=r"Too many wrong codes|Start again"):
            world.do("identity.sign_in_code", STRANGER, SignInCode(challenge, "not-a-code"))
    world.run_jobs()
    assert len(world.events("mail.record_sent")) >= letters


@pytest.mark.parametrize(
    ("address", "counted"),
    [("192.0.2.7", "192.0.2.7/32"), ("2001:db8::1", "2001:db8::/64"), ("2001:db8::ffff", "2001:db8::/64"), ("", "")],
)
def test_an_ipv6_site_is_one_source(address: str, counted: str) -> None:
    assert source_of(address) == counted
