"""Guesses spread thin are recognised, recorded and come to nothing; owners do not notice."""

from __future__ import annotations

import pytest

from subscription_services.identity.errors import WrongCredentials
from subscription_services.identity.known import (
    ACCOUNTS_OF_A_SOURCE,
    MANY_ACCOUNTS,
    ONE_PASSWORD,
    PLACES_OF_A_PASSWORD,
    SPREAD_OVER,
)
from subscription_services.identity.model import Purpose
from subscription_services.identity.operations.reset import ResetPassword
from subscription_services.identity.operations.sign_in import SignIn
from subscription_services.identity.operations.sign_up import IssueLink
from subscription_services.kernel.context import Origin
from subscription_services.testing import World
from subscription_services.testing.people import PASSWORD
from subscription_services.testing.stuffing import Plan, people, simulate
from tests.identity.cases import LETTERS, NEW, STRANGER

EMAIL = "ada@example.org"
THEIRS = Origin("203.0.113.7", "attacker")
RECOGNISED = "identity.stuffing_recognised"


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres), "valkey"])
def engine(request: pytest.FixtureRequest) -> str:
    """The same wherever tries are counted."""
    return str(request.param)


def enter(world: World, password: str, origin: Origin = THEIRS, email: str = EMAIL, device: str = "") -> str:
    """The cookie that the browser got, or nothing when the credentials were called wrong."""
    try:
        return str(world.do("identity.sign_in", STRANGER, SignIn(email, password, device), origin=origin).device)
    except WrongCredentials as error:
        assert (error.text, error.fields) == (WrongCredentials.message, {})
        return ""


def stuff(world: World, count: int) -> None:
    for number in range(count):
        assert not enter(world, f"leaked elsewhere {number}", email=f"victim{number}@example.org")


def test_many_accounts_from_one_source(world: World) -> None:
    world.subscriber(EMAIL)
    mine = enter(world, PASSWORD, Origin("192.0.2.1"))
    stuff(world, ACCOUNTS_OF_A_SOURCE)
    assert enter(world, PASSWORD), "not one too many yet"
    assert not world.events(RECOGNISED)
    stuff(world, ACCOUNTS_OF_A_SOURCE + 4)
    (event,) = world.events(RECOGNISED)
    assert event.details["recognised"] == MANY_ACCOUNTS and event.sealed["address"] and event.origin_index
    assert not event.subject and event.reason == "spread-guesses"

    assert not enter(world, PASSWORD), "the right password is answered like a wrong one"
    assert enter(world, PASSWORD, Origin("203.0.113.8")), "others are not touched"
    assert enter(world, PASSWORD, THEIRS, device=mine) == mine, "nor is a browser that the account knows"
    declined = [event for event in world.events("identity.sign_in") if "recognised" in event.details]
    assert [event.details["password_right"] for event in declined][-1] is True

    token = world.do("identity.issue_link", LETTERS, IssueLink(world.account(EMAIL), Purpose.RESET)).token
    device = world.do("identity.reset_password", STRANGER, ResetPassword(token, NEW)).device
    assert enter(world, NEW, THEIRS, device=device), "the letter leads in from behind that address as well"

    world.clock.advance(seconds=SPREAD_OVER + 1)
    assert enter(world, NEW), "it ends when nothing new comes"


def test_one_password_in_many_places(world: World) -> None:
    world.subscriber(EMAIL)
    mine = enter(world, PASSWORD, Origin("192.0.2.1"))
    for number in range(PLACES_OF_A_PASSWORD + 1):
        assert not enter(world, PASSWORD, Origin(f"198.51.{number}.7"), f"victim{number}@example.org")
    (event,) = world.events(RECOGNISED)
    assert event.details["recognised"] == ONE_PASSWORD
    assert PASSWORD not in str(event) and "victim" not in str(event)
    assert not enter(world, PASSWORD, Origin("192.0.2.200"))
    assert enter(world, PASSWORD, Origin("192.0.2.200"), device=mine) == mine
    world.clock.advance(seconds=SPREAD_OVER + 1)
    assert enter(world, PASSWORD, Origin("192.0.2.200"))


def test_an_office_behind_one_address_is_not_taken_for_an_attack(world: World) -> None:
    """Everybody mistypes once and gets in then: no more people stand against the office than gave up."""
    staff = ACCOUNTS_OF_A_SOURCE + 5
    people(world, staff)
    office = Origin("192.0.2.77", "office")
    for number in range(staff):
        email = f"person{number}@example.org"
        assert not enter(world, "mistyped and long enough", office, email)
        assert enter(world, f"horse {number} battery staple 7", office, email)
        world.clock.advance(seconds=60)
    assert [event.details["recognised"] for event in world.events(RECOGNISED)] in ([], [ONE_PASSWORD])
    assert enter(world, "horse 1 battery staple 7", office, "person1@example.org")


def test_a_small_attack_with_the_limits_that_ship(world: World) -> None:
    """The whole one, with passwords at their real cost, is `python -m bench stuffing`."""
    plan = Plan(tries=48, accounts=24, sources=2, leaked=8, owners=16)
    known = people(world, plan.accounts)
    report = simulate(world, plan, known)
    told = "\n".join(report.lines())
    assert report.owners_refused == 0 and report.owners == 13, told
    assert report.looked_at - report.let_through <= plan.sources * (ACCOUNTS_OF_A_SOURCE + 1), told
    assert 0 < report.let_through < report.right_in_the_list, told
    assert report.held > plan.tries // 4 and report.recognised == [MANY_ACCOUNTS] * plan.sources, told
