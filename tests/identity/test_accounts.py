"""Accounts, links and sessions: what an owner, an attacker and a clock can do."""

from __future__ import annotations

import pytest
from sqlalchemy import select, update

from subscription_services.identity import model, queries
from subscription_services.identity.configured import configure, rules
from subscription_services.identity.errors import (
    BadAddress,
    LinkExpired,
    LinkInvalid,
    LinkUsed,
    NotTheBeginner,
    NotVerified,
    WrongCredentials,
)  # fmt: skip
from subscription_services.identity.known import BEGUN, device_of
from subscription_services.identity.operations.devices import ChooseIdle, EndOtherSessions, ListDevices
from subscription_services.identity.operations.profile import ChangePassword, CloseAccount, ShowActivity, ShowProfile
from subscription_services.identity.operations.sign_in import SignIn, TouchSession
from subscription_services.identity.operations.sign_up import IssueLink, SignUp, VerifyAddress
from subscription_services.identity.settings import IdentitySettings
from subscription_services.identity.tokens import digest
from subscription_services.kernel.actors import Anonymous, System
from subscription_services.kernel.errors import Invalid, NotSignedIn, StepUpNeeded
from subscription_services.kernel.tokens import PROGRAM_SESSION, well_formed
from subscription_services.testing import World
from subscription_services.testing.people import PASSWORD, sign_in_subscriber

STRANGER = Anonymous()
EMAIL = "ada@example.org"


def link(world: World, account: str) -> str:
    return str(
        world.do("identity.issue_link", System("identity.letters"), IssueLink(account, model.Purpose.VERIFY)).token
    )


def sign_up(world: World, email: str = EMAIL) -> str:
    world.do("identity.sign_up", STRANGER, SignUp(email, "Ada", PASSWORD))
    return world.account(email)


def test_an_address_is_proved_once_and_in_time(world: World) -> None:
    account = sign_up(world)
    with pytest.raises(NotVerified):
        world.do("identity.sign_in", STRANGER, SignIn(EMAIL, PASSWORD))
    late, good = link(world, account), ""
    world.clock.advance(hours=25)
    with pytest.raises(LinkExpired):
        world.do("identity.verify_address", STRANGER, VerifyAddress(late, password=PASSWORD))
    good = link(world, account)
    world.do("identity.verify_address", STRANGER, VerifyAddress(good, password=PASSWORD))
    for used in (good, late):
        with pytest.raises(LinkUsed):
            world.do("identity.verify_address", STRANGER, VerifyAddress(used, password=PASSWORD))
    with pytest.raises(LinkInvalid):
        world.do("identity.verify_address", STRANGER, VerifyAddress("A" * 43, password=PASSWORD))
    assert world.do("identity.sign_in", STRANGER, SignIn(EMAIL.upper(), PASSWORD)).token


def test_signing_up_twice_says_the_same_and_writes_to_the_owner(world: World) -> None:
    world.subscriber(EMAIL)
    before = len(world.events("identity.sign_up"))
    known = world.do("identity.sign_up", STRANGER, SignUp(EMAIL, "Mallory", PASSWORD))
    unknown = world.do("identity.sign_up", STRANGER, SignUp("new@example.org", "Mallory", PASSWORD))
    assert known.next == unknown.next and len(known.browser) == len(unknown.browser) > 0
    assert len(world.events("identity.sign_up")) == before + 2


def test_the_newest_sign_up_of_an_unproved_address_ends_earlier_links(world: World) -> None:
    first = link(world, sign_up(world))
    sign_up(world)
    with pytest.raises(LinkUsed):
        world.do("identity.verify_address", STRANGER, VerifyAddress(first, password=PASSWORD))


def test_wrong_password_and_unknown_address_look_alike(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    from subscription_services.identity import passwords

    world.subscriber(EMAIL)
    checked: list[int] = []
    real = passwords.matches

    def counting(pepper: bytes, password: str, verifier: bytes) -> bool:
        checked.append(passwords.cost_of(verifier))
        return real(pepper, password, verifier)

    monkeypatch.setattr(passwords, "matches", counting)
    texts = []
    for email in (EMAIL, "nobody@example.org"):
        with pytest.raises(WrongCredentials) as caught:
            world.do("identity.sign_in", STRANGER, SignIn(email, "not the password at all"))
        texts.append(caught.value.text)
    assert texts[0] == texts[1]
    assert checked == [4, 4]


def test_addresses_are_checked(world: World) -> None:
    for bad in ("no-at", "ada@", "a@b c.org", "@example.org", "a@@example.org"):
        with pytest.raises(Invalid, match="email"):
            world.do("identity.sign_up", STRANGER, SignUp(bad, "Ada", PASSWORD))
    for bad in ("ada@example..org", ".ada@example.org", "ada@-example.org"):
        with pytest.raises(BadAddress) as caught:
            world.do("identity.sign_up", STRANGER, SignUp(bad, "Ada", PASSWORD))
        assert "email" in caught.value.fields


def test_spaces_around_an_address_give_no_counter_of_their_own(world: World) -> None:
    world.subscriber(EMAIL)
    for typed in (f" {EMAIL}", f"{EMAIL} ", f"{EMAIL}\t"):
        with pytest.raises(Invalid):
            world.do("identity.sign_in", STRANGER, SignIn(typed, PASSWORD))


def test_the_work_factor_rises_at_the_next_sign_in(world: World) -> None:
    account = world.subscriber(EMAIL).id
    configure(IdentitySettings(bcrypt_cost=5), sandbox=True)
    assert world.do("identity.sign_in", STRANGER, SignIn(EMAIL, PASSWORD)).token
    with world.house.store.reading() as connection:
        verifier = connection.execute(
            select(model.account.c.verifier).where(model.account.c.id == account)
        ).scalar_one()
    assert verifier.startswith(b"v1$2b$05$")
    assert world.do("identity.sign_in", STRANGER, SignIn(EMAIL, PASSWORD)).token


def test_sessions_end_without_use_and_in_any_case(world: World) -> None:
    actor = world.subscriber()
    world.clock.advance(minutes=29)
    world.do("identity.profile", actor, ShowProfile())
    world.clock.advance(minutes=2)
    with pytest.raises(NotSignedIn):
        world.do("identity.profile", actor, ShowProfile())
    again = sign_in_subscriber(world, "person1@example.org")
    for _ in range(12 * 60 // 20):
        world.clock.advance(minutes=20)
        touched = update(model.session).where(model.session.c.id == again.session)
        world.write(lambda c, t=touched: c.execute(t.values(last_used_at=world.clock())))
    with pytest.raises(NotSignedIn):
        world.do("identity.profile", again, ShowProfile())


def test_a_token_is_stored_as_a_digest_and_found_by_it(world: World) -> None:
    world.subscriber(EMAIL)
    token = world.do("identity.sign_in", STRANGER, SignIn(EMAIL, PASSWORD)).token
    assert well_formed(token, PROGRAM_SESSION)
    keys = world.house.ring.for_caller("identity")
    with world.house.store.reading() as connection:
        digests = set(connection.execute(select(model.session.c.digest)).scalars())
        found = queries.resolve_session(connection, keys, token, world.clock())
        wrong = queries.resolve_session(connection, keys, token[:-1] + "A", world.clock() + rules().idle * 0)
    assert digest(token) in digests
    assert token.encode() not in digests
    assert found is not None
    assert found.email == EMAIL
    assert wrong is None or token.endswith("A")


def test_ending_sessions_and_changing_the_password(world: World) -> None:
    here = world.subscriber(EMAIL)
    there = sign_in_subscriber(world, EMAIL)
    assert [d.here for d in world.do("identity.devices", here, ListDevices())].count(True) == 1
    world.do("identity.end_other_sessions", here, EndOtherSessions())
    with pytest.raises(NotSignedIn):
        world.do("identity.profile", there, ShowProfile())
    there = sign_in_subscriber(world, EMAIL)
    world.do("identity.change_password", here, ChangePassword(PASSWORD, "a different passphrase 3"))
    with pytest.raises(NotSignedIn):
        world.do("identity.profile", there, ShowProfile())
    with pytest.raises(WrongCredentials):
        world.do("identity.sign_in", STRANGER, SignIn(EMAIL, PASSWORD))


def test_what_is_sensitive_needs_a_fresh_sign_in(world: World) -> None:
    actor = world.subscriber(EMAIL)
    world.clock.advance(minutes=16)
    with pytest.raises(StepUpNeeded):
        world.do("identity.close_account", actor, CloseAccount())


def test_a_closed_account_frees_its_address(world: World) -> None:
    actor = world.subscriber(EMAIL)
    world.do("identity.close_account", actor, CloseAccount())
    with pytest.raises(NotSignedIn):
        world.do("identity.profile", actor, ShowProfile())
    with pytest.raises(WrongCredentials):
        world.do("identity.sign_in", STRANGER, SignIn(EMAIL, PASSWORD))
    assert world.subscriber(EMAIL).id != actor.id


def test_activity_shows_what_others_did_as_well(world: World) -> None:
    from subscription_services.identity.operations.people import FindPerson
    from subscription_services.kernel.actors import Role

    actor = world.subscriber(EMAIL)
    world.do("identity.find_person", world.team(Role.SUPPORT), FindPerson(EMAIL, "asked for help"))
    entries = world.do("identity.activity", actor, ShowActivity()).entries
    seen = {entry.action: entry for entry in entries}
    assert seen["identity.find_person"].by_me is False
    assert seen["identity.sign_in"].by_me is True
    assert seen["identity.sign_in"].address == "127.0.0.9"
    other = world.subscriber()
    assert all(e.action != "identity.find_person" for e in world.do("identity.activity", other, ShowActivity()).entries)


def test_nobody_finishes_an_account_that_a_stranger_began_with_their_address(world: World) -> None:
    """The stranger chose the password; the owner of the address has only the link."""
    world.do("identity.sign_up", STRANGER, SignUp(EMAIL, "Eve", "the stranger chose this 5"))
    token = link(world, world.account(EMAIL))
    other = world.do("identity.sign_up", STRANGER, SignUp("other@example.org", "Eve", PASSWORD)).browser
    for attempt in (VerifyAddress(token), VerifyAddress(token, other), VerifyAddress(token, password=PASSWORD)):
        with pytest.raises(NotTheBeginner):
            world.do("identity.verify_address", STRANGER, attempt)
    mine = world.do("identity.sign_up", STRANGER, SignUp(EMAIL, "Ada", PASSWORD)).browser
    token = link(world, world.account(EMAIL))
    world.do("identity.verify_address", STRANGER, VerifyAddress(token, mine))
    with pytest.raises(WrongCredentials):
        world.do("identity.sign_in", STRANGER, SignIn(EMAIL, "the stranger chose this 5"))
    assert world.do("identity.sign_in", STRANGER, SignIn(EMAIL, PASSWORD)).token


def test_a_browser_that_began_an_account_is_not_one_that_signed_in(world: World) -> None:
    """Or beginning an account again with somebody's address would give tries of one's own."""
    world.subscriber(EMAIL)
    begun = world.do("identity.sign_up", STRANGER, SignUp(EMAIL, "Eve", PASSWORD)).browser
    keys = world.house.ring.for_caller("identity")
    assert device_of(keys, EMAIL, begun, BEGUN) and not device_of(keys, EMAIL, begun)


def test_owners_choose_a_shorter_time_without_use_within_the_operators_bound(world: World) -> None:
    ada = world.subscriber(EMAIL)
    with pytest.raises(Invalid, match="30 minutes or less"):
        world.do("identity.choose_idle", ada, ChooseIdle(31))
    world.do("identity.choose_idle", ada, ChooseIdle(5))
    assert world.do("identity.profile", ada, ShowProfile()).idle_minutes == 5
    world.clock.advance(minutes=4)
    world.do("identity.touch_session", System("identity.sessions"), TouchSession(ada.session))
    world.clock.advance(minutes=4)
    world.do("identity.profile", ada, ShowProfile())
    world.clock.advance(minutes=1)
    with pytest.raises(NotSignedIn):
        world.do("identity.profile", ada, ShowProfile())
    again = world.do("identity.sign_in", STRANGER, SignIn(EMAIL, PASSWORD))
    world.clock.advance(minutes=5)
    with world.house.store.reading() as connection:
        assert queries.session_facts(connection, again.id, world.clock()) is None
