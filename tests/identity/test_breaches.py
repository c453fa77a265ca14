"""Breached passwords: five digits leave the house, and an outage keeps nobody out."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from subscription_services.identity import breaches
from subscription_services.identity.breaches import FOUND, NOT_FOUND, UNREACHABLE, checked_url, look_up
from subscription_services.identity.configured import configure
from subscription_services.identity.errors import WeakPassword
from subscription_services.identity.model import Purpose
from subscription_services.identity.operations.people import Enrol
from subscription_services.identity.operations.profile import ChangePassword
from subscription_services.identity.operations.reset import ResetPassword
from subscription_services.identity.operations.sign_up import IssueLink, SignUp
from subscription_services.identity.settings import IdentitySettings
from subscription_services.kernel.errors import SettingsError
from subscription_services.testing import World
from subscription_services.testing.people import PASSWORD
from tests.identity.browsing import Browser, words_of
from tests.identity.range_server import RangeServer, range_server
from tests.identity.slowly import LETTERS, STRANGER

STOLEN, FINE = "violet harbour lantern 58", "quiet meadow bicycle 31"


@pytest.fixture
def server() -> Iterator[RangeServer]:
    with range_server() as running:
        running.breached.add(STOLEN)
        yield running


@pytest.fixture
def asking(server: RangeServer, sqlite_template: Path, tmp_path: Path) -> Iterator[World]:
    """A house whose operator switched the look-up on."""
    data = tmp_path / "data"
    shutil.copytree(sqlite_template, data)
    try:
        with World.open(data, SUBS_IDENTITY_BREACH_RANGE_URL=server.url) as world:
            yield world
    finally:
        configure(IdentitySettings(bcrypt_cost=4), sandbox=True)


def test_only_five_digits_of_the_hash_leave_and_padding_counts_for_nothing(server: RangeServer) -> None:
    hashed = hashlib.sha1(FINE.encode(), usedforsecurity=False).hexdigest().upper()
    assert (look_up(server.url, STOLEN), look_up(server.url, FINE)) == (FOUND, NOT_FOUND)
    assert server.asked[1] == (f"/range/{hashed[:5]}", "true")
    server.body = f"{hashed[5:]}:0\r\n".encode()  # only padding has this ending
    assert look_up(server.url, FINE) == NOT_FOUND
    server.body = f"{hashed[5:]}:1".encode()
    assert look_up(server.url, FINE) == FOUND


@pytest.mark.parametrize(
    ("status", "body"),
    [(503, b""), (301, b""), (200, b"<html>"), (200, b"\xff\xfe"), (200, b"0" * 35 + b":x"), (200, b"x" * 1_100_000)],
)
def test_what_is_no_answer_counts_as_unreachable_and_is_not_asked_again_at_once(
    server: RangeServer, status: int, body: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.status, server.body = status, body
    assert look_up(server.url, FINE) == UNREACHABLE
    server.status, server.body = 200, None
    assert look_up(server.url, STOLEN) == UNREACHABLE
    assert len(server.asked) == 1
    monkeypatch.setattr(breaches, "_resting", breaches._Resting())
    assert look_up(server.url, STOLEN) == FOUND


def test_a_stolen_password_is_refused_wherever_one_is_chosen(asking: World, server: RangeServer) -> None:
    with pytest.raises(WeakPassword, match="stolen"):
        asking.do("identity.sign_up", STRANGER, SignUp("eve@example.org", "Eve", STOLEN))
    ada = asking.subscriber("ada@example.org")
    assert asking.events("identity.sign_up")[-1].details["breach_list"] == NOT_FOUND
    with pytest.raises(WeakPassword, match="stolen"):
        asking.do("identity.change_password", ada, ChangePassword(PASSWORD, STOLEN))
    token = asking.do("identity.issue_link", LETTERS, IssueLink(ada.id, Purpose.RESET)).token
    with pytest.raises(WeakPassword, match="stolen"):
        asking.do("identity.reset_password", STRANGER, ResetPassword(token, STOLEN))
    asking.do("identity.reset_password", STRANGER, ResetPassword(token, FINE))
    assert asking.events("identity.reset_password")[-1].details["breach_list"] == NOT_FOUND
    enrol = asking.do("identity.issue_link", LETTERS, IssueLink(ada.id, Purpose.ENROL)).token
    with pytest.raises(WeakPassword, match="stolen"):
        asking.do("identity.enrol", STRANGER, Enrol(enrol, STOLEN))
    sent = " ".join(path for path, _ in server.asked)
    assert "violet" not in sent and all(len(path) == len("/range/") + 5 for path, _ in server.asked)


def test_an_outage_keeps_nobody_out_and_the_log_says_so(asking: World, server: RangeServer) -> None:
    server.status = 500
    asking.do("identity.sign_up", STRANGER, SignUp("ada@example.org", "Ada", STOLEN))
    assert asking.events("identity.sign_up")[-1].details["breach_list"] == UNREACHABLE
    with pytest.raises(WeakPassword):  # the offline list still holds
        asking.do("identity.sign_up", STRANGER, SignUp("bob@example.org", "Bob", "password1234"))


def test_nobody_is_asked_unless_the_operator_says_whom(world: World) -> None:
    world.do("identity.sign_up", STRANGER, SignUp("ada@example.org", "Ada", STOLEN))
    assert "breach_list" not in world.events("identity.sign_up")[-1].details


@pytest.mark.parametrize(
    "bad",
    ["http://api.example.org/range/", "ftp://x/", "https://", "api.example.org", "https://u@x/", "https://x/?a=b"],
)
def test_only_https_is_accepted_but_for_this_machine(bad: str) -> None:
    with pytest.raises(SettingsError, match="BREACH_RANGE_URL"):
        checked_url(bad)
    assert checked_url("https://api.pwnedpasswords.com/range") == "https://api.pwnedpasswords.com/range/"
    assert checked_url("http://127.0.0.1:9/range/") and checked_url("") == ""


def test_a_refused_password_is_shown_with_its_strength_and_advice_in_words(world: World) -> None:
    browser = Browser(world)
    browser.get("/sign-up")
    browser.press("/sign-up", name="Ada", email="ada@example.org", password="qwertyuiop12")
    assert browser.page.status_code == 422
    shown = words_of(browser.page)
    assert "How strong it looked" in shown and "weak" in shown
    assert "similar to a commonly used password" in shown and "qwertyuiop12" not in browser.page.text
    browser.join("ada@example.org")
    browser.get("/account/password")
    assert "How strong" not in browser.page.text
    browser.press("/account/password", current=PASSWORD, password="January 2024!")
    assert "Your password is changed" in words_of(browser.follow())
