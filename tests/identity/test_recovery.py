"""Every second factor lost: days of notices, the team's approval, and only then a link that removes them."""

from __future__ import annotations

import pyotp
import pytest
from sqlalchemy import func, select

from subscription_services.identity import model
from subscription_services.identity.errors import (
    ChallengeEnded,
    LinkExpired,
    LinkUsed,
    NothingLost,
    OtherRecovery,
    OwnRecovery,
    RecoveryOver,
    TooEarly,
)
from subscription_services.identity.jobs import KeepRecoveries, keep_recoveries
from subscription_services.identity.operations.email import ChangeLink
from subscription_services.identity.operations.profile import CloseAccount, ShowActivity, ShowProfile
from subscription_services.identity.operations.recovery import AskRecoveryLetter, StopRecovery
from subscription_services.identity.operations.recovery_review import DecideRecovery, ListRecoveries, ShowRecovery
from subscription_services.identity.operations.second_factor import ConfirmTotp, Nothing
from subscription_services.identity.operations.sign_in import ConfirmItIsMe, SignIn, SignInCode
from subscription_services.identity.recovery_model import RecoveryState, Step, recovery
from subscription_services.jobs.model import job
from subscription_services.kernel.actors import Role, TeamMember
from subscription_services.kernel.context import Origin
from subscription_services.kernel.errors import NotFound, NotSignedIn, Refusal, SecondFactorNeeded, TooMany
from subscription_services.testing import World
from subscription_services.testing.people import PASSWORD
from tests.identity.cases import with_totp
from tests.identity.letters_sent import letters_to
from tests.identity.slowly import DECIDE, STRANGER, approved, ask_recovery, link, password_right, state_of

EMAIL = "two@example.org"


def finish(world: World, token: ChangeLink) -> None:
    world.do("identity.finish_recovery", STRANGER, token)


def factors(world: World, account: str) -> int:
    tables = (model.totp, model.recovery_code)
    with world.house.store.reading() as connection:
        counts = [select(func.count()).select_from(table).where(table.c.account == account) for table in tables]
        return sum(int(connection.execute(count).scalar_one()) for count in counts)


def round_of_jobs(world: World) -> None:
    world.run(keep_recoveries(world.house.kernel, KeepRecoveries()))


def test_only_approval_and_time_together_remove_what_was_lost(world: World) -> None:
    two, _ = with_totp(world)
    identifier = ask_recovery(world)
    reviewer = world.team(Role.SUPPORT)
    approved(world, identifier, reviewer)
    with pytest.raises(NotFound):  # no letter can carry a link before its time
        link(world, identifier, Step.FINISH)
    world.clock.advance(days=2, hours=23)
    round_of_jobs(world)
    assert not [item for item in letters_to(world, EMAIL) if "/recover/finish" in item.text]
    world.clock.advance(hours=1)
    round_of_jobs(world)
    world.clock.advance(days=1)
    round_of_jobs(world)
    assert [item for item in letters_to(world, EMAIL) if "/recover/finish" in item.text]
    token = link(world, identifier, Step.FINISH)
    assert factors(world, two.id) == 11
    finish(world, token)
    assert factors(world, two.id) == 0 and state_of(world, identifier) == RecoveryState.USED
    with pytest.raises(LinkUsed):
        finish(world, token)
    with pytest.raises(NotSignedIn):
        world.do("identity.profile", two, ShowProfile())
    assert world.do("identity.sign_in", STRANGER, SignIn(EMAIL, PASSWORD)).token  # the password stays
    assert any("was removed" in item.subject for item in letters_to(world, EMAIL))


def test_time_alone_is_not_enough_and_a_late_approval_writes_at_once(world: World) -> None:
    with_totp(world)
    identifier = ask_recovery(world)
    world.clock.advance(days=4)
    with pytest.raises(NotFound):
        link(world, identifier, Step.FINISH)
    assert not [item for item in letters_to(world, EMAIL) if "/recover/finish" in item.text]
    approved(world, identifier)
    assert [item for item in letters_to(world, EMAIL) if "/recover/finish" in item.text]


def test_a_link_does_nothing_when_the_approval_or_the_time_is_not_there(world: World) -> None:
    """Whatever minted it: the link asks again for both."""
    with_totp(world)
    identifier = ask_recovery(world)
    approved(world, identifier)
    world.clock.advance(days=3)
    token = link(world, identifier, Step.FINISH)
    due = {"wait_until": world.clock(), "state": RecoveryState.APPROVED}
    for wrong in ({"wait_until": world.clock().replace(year=2100)}, {"state": RecoveryState.OPEN}):
        values = due | wrong
        world.write(lambda c, values=values: c.execute(recovery.update().values(values)))
        with pytest.raises(TooEarly):
            finish(world, token)


def test_notices_go_at_once_and_each_day_and_each_of_them_stops_it(world: World) -> None:
    two, _ = with_totp(world)
    identifier = ask_recovery(world)
    for day in range(1, 4):
        round_of_jobs(world)
        round_of_jobs(world)
        notices = [item for item in letters_to(world, EMAIL) if "/recover/stop?token=" in item.text]
        assert len(notices) == day
        world.clock.advance(days=1)
    first = next(item.text for item in letters_to(world, EMAIL) if "/recover/stop?token=" in item.text)
    token = first.partition("/recover/stop?token=")[2].split()[0]
    approved(world, identifier)
    ready = link(world, identifier, Step.FINISH)
    world.do("identity.stop_recovery_by_link", STRANGER, ChangeLink(token))
    assert world.events("identity.stop_recovery_by_link")[-1].details["security"] is True
    with pytest.raises(LinkUsed):
        finish(world, ready)
    assert state_of(world, identifier) == RecoveryState.STOPPED and factors(world, two.id) == 11


def test_stopped_after_it_was_used_everybody_is_locked_out(world: World) -> None:
    with_totp(world)
    identifier = ask_recovery(world)
    approved(world, identifier)
    world.clock.advance(days=3)
    stop = link(world, identifier, Step.STOP)
    finish(world, link(world, identifier, Step.FINISH))
    assert world.do("identity.sign_in", STRANGER, SignIn(EMAIL, PASSWORD)).token
    assert world.do("identity.stop_recovery_by_link", STRANGER, stop).too_late
    with pytest.raises(Refusal):
        world.do("identity.sign_in", STRANGER, SignIn(EMAIL, PASSWORD))
    assert any("/reset?token=" in item.text for item in letters_to(world, EMAIL))


@pytest.mark.parametrize("how", ["signing in", "confirming", "the button"])
def test_whoever_has_a_factor_or_a_session_stops_it(world: World, how: str) -> None:
    two, secret = with_totp(world)
    identifier = ask_recovery(world)
    code = pyotp.TOTP(secret).at(world.clock())
    if how == "signing in":
        challenge = password_right(world).challenge
        world.do("identity.sign_in_code", STRANGER, SignInCode(challenge, code))
    elif how == "confirming":
        world.do("identity.confirm_it_is_me", two, ConfirmItIsMe(PASSWORD, code))
    else:
        world.do("identity.stop_recovery", two, StopRecovery())
        with pytest.raises(NotFound):
            world.do("identity.stop_recovery", two, StopRecovery())
    assert state_of(world, identifier) == RecoveryState.STOPPED


def test_nobody_opens_one_without_password_or_letter(world: World) -> None:
    two, _ = with_totp(world)
    request = password_right(world)
    world.clock.advance(minutes=10)
    with pytest.raises(ChallengeEnded):
        world.do("identity.ask_recovery", STRANGER, request)
    token = link(world, two.id, Step.RECOVER)
    world.do("identity.open_recovery", STRANGER, token)
    with pytest.raises(LinkUsed):
        world.do("identity.open_recovery", STRANGER, token)
    late = link(world, two.id, Step.RECOVER)
    world.clock.advance(minutes=30)
    with pytest.raises(LinkExpired):
        world.do("identity.open_recovery", STRANGER, late)


def test_asking_again_changes_nothing_and_too_often_is_refused(world: World) -> None:
    with_totp(world)
    first = ask_recovery(world)
    world.clock.advance(hours=1)
    assert ask_recovery(world) == first
    assert len([item for item in letters_to(world, EMAIL) if "/recover/stop" in item.text]) == 1
    for _ in range(2):
        world.do("identity.stop_recovery_by_link", STRANGER, link(world, ask_recovery(world), Step.STOP))
    world.do("identity.stop_recovery_by_link", STRANGER, link(world, ask_recovery(world), Step.STOP))
    with pytest.raises(TooMany):
        ask_recovery(world)


def test_the_letter_is_asked_for_alike_for_any_address(world: World) -> None:
    with_totp(world)
    world.subscriber("plain@example.org")

    def asked(email: str) -> tuple[object, int, int]:
        def rows() -> int:
            with world.house.store.reading() as connection:
                return int(connection.execute(select(func.count()).select_from(job)).scalar_one())

        before, events = rows(), len(world.events("identity.ask_recovery_letter"))
        answer = world.do("identity.ask_recovery_letter", STRANGER, AskRecoveryLetter(email))
        return answer, rows() - before, len(world.events("identity.ask_recovery_letter")) - events

    assert len({asked(email) for email in (EMAIL, "plain@example.org", "nobody@example.org")}) == 1
    assert any("/recover/open?token=" in item.text for item in letters_to(world, EMAIL))
    plain = [item for item in letters_to(world, "plain@example.org") if "Getting back" in item.subject]
    assert len(plain) == 1 and "/forgot" in plain[0].text and "token" not in plain[0].text
    with pytest.raises(NothingLost):
        account = world.account("plain@example.org")
        world.do("identity.open_recovery", STRANGER, link(world, account, Step.RECOVER))


def test_a_team_members_account_needs_another_administrator(world: World) -> None:
    boss, other, support = world.team(Role.ADMINISTRATOR), world.team(Role.ADMINISTRATOR), world.team(Role.SUPPORT)
    identifier = ask_recovery(world, "team1@example.org")
    decide = DecideRecovery(identifier, "spoke on the phone")
    with pytest.raises(OwnRecovery):
        world.do("identity.approve_team_recovery", boss, decide)
    with pytest.raises(OtherRecovery):
        world.do(DECIDE["approve"], support, decide)
    with pytest.raises(Refusal):
        world.do(DECIDE["approve"], other, decide)
    world.do("identity.approve_team_recovery", other, decide)
    world.clock.advance(days=3)
    finish(world, link(world, identifier, Step.FINISH))
    signed = world.do("identity.sign_in", STRANGER, SignIn("team1@example.org", PASSWORD))
    bare = TeamMember(boss.id, signed.id, world.clock(), frozenset({Role.ADMINISTRATOR}), False)
    with pytest.raises(SecondFactorNeeded):  # the console stays shut
        world.do("identity.recoveries", bare, ListRecoveries())
    secret = world.do("identity.start_totp", bare, Nothing()).secret
    world.do("identity.confirm_totp", bare, ConfirmTotp(pyotp.TOTP(secret).at(world.clock())))
    back = TeamMember(boss.id, signed.id, world.clock(), frozenset({Role.ADMINISTRATOR}), True)
    assert world.do("identity.recoveries", back, ListRecoveries()).waiting == []


def test_a_decision_is_made_once_with_its_reason_and_ends_a_refused_one(world: World) -> None:
    with_totp(world)
    identifier = ask_recovery(world)
    support = world.team(Role.SUPPORT)
    world.do(DECIDE["refuse"], support, DecideRecovery(identifier, "knew nothing of the account"))
    for name in DECIDE.values():
        with pytest.raises(RecoveryOver):
            world.do(name, support, DecideRecovery(identifier, "changed my mind"))
    assert any("was refused" in item.subject for item in letters_to(world, EMAIL))
    assert "knew nothing" not in str(world.events(DECIDE["refuse"]))
    assert state_of(world, identifier) == RecoveryState.REFUSED


def test_a_reviewer_sees_facts_with_addresses_masked_and_the_owner_sees_the_reviewer(world: World) -> None:
    two, _ = with_totp(world)
    request = password_right(world)
    made = world.do(
        "identity.ask_recovery", STRANGER, request, origin=Origin("203.0.113.77", "Mozilla/5.0 Firefox/128.0", "page")
    )
    support = world.team(Role.SUPPORT)
    (listed,) = world.do("identity.recoveries", support, ListRecoveries()).waiting
    facts = world.do("identity.recovery", support, ShowRecovery(made.id))
    assert (listed.email, facts.address, facts.proved_by, facts.team) == (
        "t…@e….org",
        "203.0.…",
        "password",
        False,
    )
    assert facts.sign_ins and "127.0.0.9" not in str(facts) and "203.0.113" not in str(facts)
    seen = world.do("identity.activity", two, ShowActivity()).entries
    assert any(entry.action == "identity.recovery" and entry.actor_kind == "team-member" for entry in seen)


def test_undecided_ones_lapse_and_a_closed_account_has_none(world: World) -> None:
    two, _ = with_totp(world)
    identifier = ask_recovery(world)
    world.clock.advance(days=17)
    round_of_jobs(world)
    assert state_of(world, identifier) == RecoveryState.LAPSED
    again = ask_recovery(world)
    signed = world.do("identity.sign_in", STRANGER, SignIn(EMAIL, PASSWORD)).challenge
    assert signed and two
    approved(world, again)
    world.clock.advance(days=3)
    stop, ready = link(world, again, Step.STOP), link(world, again, Step.FINISH)
    three, _ = with_totp(world, "three@example.org")
    mine = ask_recovery(world, "three@example.org")
    world.do("identity.close_account", three, CloseAccount())
    assert state_of(world, mine) == RecoveryState.STOPPED
    finish(world, ready)
    world.do("identity.stop_recovery_by_link", STRANGER, stop)
