"""Another address: both ends confirm, the old one can take it back, and nobody learns who has an account."""

from __future__ import annotations

import pytest
from sqlalchemy import Table, func, select

from subscription_services.identity import create_team_account
from subscription_services.identity.errors import (
    AddressTaken,
    ChangeOver,
    ConfirmNewFirst,
    LinkExpired,
    LinkInvalid,
    LinkUsed,
    RecoveryOver,
    SameAddress,
    WrongCredentials,
)
from subscription_services.identity.model import Purpose
from subscription_services.identity.operations.email import AskEmailChange, ShowEmailChange, StopEmailChange
from subscription_services.identity.operations.profile import CloseAccount, ShowProfile
from subscription_services.identity.operations.recovery import AskAddressRecovery, KeepRecovery, StopRecovery
from subscription_services.identity.operations.reset import ResetPassword
from subscription_services.identity.operations.sign_in import SignIn
from subscription_services.identity.operations.sign_up import IssueLink, SignUp
from subscription_services.identity.recovery_model import ChangeState, Step, change_link, email_change
from subscription_services.jobs.model import job
from subscription_services.kernel.actors import Role, System
from subscription_services.kernel.errors import NotSignedIn, SubjectErased
from subscription_services.kernel.transaction import BoundOutbox, Transaction
from subscription_services.testing import World
from subscription_services.testing.people import PASSWORD, sign_in_subscriber
from tests.identity.cases import NEW
from tests.identity.letters_sent import letters_to
from tests.identity.slowly import (
    KEEPING,
    LETTERS,
    STRANGER,
    approved,
    ask_change,
    change_address,
    confirm,
    link,
    state_of,
)

OLD, WANTED = "ada@example.org", "new@example.org"


def address(world: World, email: str, password: str = PASSWORD) -> bool:
    """Whether somebody can sign in with this address and password."""
    try:
        world.do("identity.sign_in", STRANGER, SignIn(email, password))
    except WrongCredentials:
        return False
    return True


def test_it_holds_when_both_ends_confirmed_and_other_sessions_end(world: World) -> None:
    ada = world.subscriber(OLD)
    phone = sign_in_subscriber(world, OLD)
    reset = world.do("identity.issue_link", LETTERS, IssueLink(ada.id, Purpose.RESET)).token
    change = ask_change(world, ada)
    assert not confirm(world, change, Step.CONFIRM_NEW).done
    assert (address(world, OLD), address(world, WANTED)) == (True, False)
    shown = world.do("identity.email_change", ada, ShowEmailChange()).pending
    assert (shown.email, shown.old_confirmed, shown.new_confirmed) == (WANTED, False, True)
    assert confirm(world, change, Step.CONFIRM_OLD).done
    assert (address(world, OLD), address(world, WANTED)) == (False, True)
    assert world.do("identity.profile", ada, ShowProfile()).email == WANTED
    with pytest.raises(NotSignedIn):
        world.do("identity.profile", phone, ShowProfile())
    with pytest.raises(LinkUsed):  # what was sent to the old address sets no password any more
        world.do("identity.reset_password", STRANGER, ResetPassword(reset, NEW))


def test_the_letters_carry_the_links_of_our_own_host(world: World) -> None:
    ada = world.subscriber(OLD)
    ask_change(world, ada)
    (old,), (new,) = letters_to(world, OLD), letters_to(world, WANTED)
    assert "Confirm or stop" in old.subject and WANTED in old.text
    assert all("\n\nhttps://localhost:8443/email/confirm?token=" in item.text for item in (old, new))
    assert "Ada" not in new.text


def test_a_team_member_can_do_it_too(world: World) -> None:
    tess = world.team(Role.SUPPORT)
    change_address(world, tess)
    assert world.do("identity.profile", tess, ShowProfile()).email == WANTED


def test_links_work_once_in_time_and_for_their_step_only(world: World) -> None:
    ada = world.subscriber(OLD)
    change = ask_change(world, ada)
    used, late, wrong = (link(world, change, Step.CONFIRM_NEW) for _ in range(3))
    world.do("identity.confirm_email_change", STRANGER, used)
    with pytest.raises(LinkUsed):
        world.do("identity.confirm_email_change", STRANGER, used)
    with pytest.raises(LinkInvalid):
        world.do("identity.revert_email_change", STRANGER, wrong)
    world.clock.advance(hours=48)
    with pytest.raises(LinkExpired):
        world.do("identity.confirm_email_change", STRANGER, late)
    assert not address(world, WANTED)
    with world.house.store.reading() as connection:
        stored = str(list(connection.execute(select(email_change))))
    assert used.token not in stored and WANTED not in stored


@pytest.mark.parametrize("side", [Step.CONFIRM_OLD, Step.CONFIRM_NEW])
def test_either_letter_stops_it_and_so_does_the_owner(world: World, side: Step) -> None:
    ada = world.subscriber(OLD)
    change = ask_change(world, ada)
    spare = link(world, change, Step.CONFIRM_OLD)
    world.do("identity.stop_email_change_by_link", STRANGER, link(world, change, side))
    with pytest.raises(LinkUsed):
        world.do("identity.confirm_email_change", STRANGER, spare)
    again = ask_change(world, ada)
    world.do("identity.stop_email_change", ada, StopEmailChange())
    assert (state_of(world, change), state_of(world, again)) == (ChangeState.STOPPED, ChangeState.STOPPED)


def test_a_taken_address_is_treated_alike_and_nothing_comes_of_it(world: World) -> None:
    ada = world.subscriber(OLD)
    world.subscriber("bob@example.org")

    def rows(table: Table) -> int:
        with world.house.store.reading() as connection:
            return int(connection.execute(select(func.count()).select_from(table)).scalar_one())

    def counted() -> list[int]:
        tables = (job, email_change, change_link)
        return [*(rows(table) for table in tables), len(world.events())]

    def asked(email: str) -> tuple[list[int], list[int]]:
        """What is written when it is asked for, and when the letters are."""
        before = counted()
        world.do("identity.ask_email_change", ada, AskEmailChange(email))
        between = counted()
        assert letters_to(world, email)
        after = counted()
        return (
            [new - old for new, old in zip(between, before, strict=True)],
            [new - old for new, old in zip(after, between, strict=True)],
        )

    letters_to(world, OLD)
    assert asked("bob@example.org") == asked("free@example.org") == ([2, 1, 0, 1], [0, 0, 2, 2])
    (bobs,) = letters_to(world, "bob@example.org")
    assert "already has an account" in bobs.text and "token" not in bobs.text


def test_an_address_taken_meanwhile_stays_with_whoever_proved_it(world: World) -> None:
    ada = world.subscriber(OLD)
    change = ask_change(world, ada)
    confirm(world, change, Step.CONFIRM_NEW)
    bob = world.subscriber(WANTED)
    with pytest.raises(AddressTaken):
        confirm(world, change, Step.CONFIRM_OLD)
    assert state_of(world, change) == ChangeState.TAKEN
    assert world.do("identity.profile", bob, ShowProfile()).email == WANTED
    assert world.do("identity.profile", ada, ShowProfile()).email == OLD


def test_an_unproved_sign_up_does_not_hold_the_address(world: World) -> None:
    ada = world.subscriber(OLD)
    world.do("identity.sign_up", STRANGER, SignUp(WANTED, "Squatter", PASSWORD))
    change_address(world, ada)
    assert world.account(WANTED) == ada.id


def test_a_second_wish_replaces_the_first(world: World) -> None:
    ada = world.subscriber(OLD)
    first = ask_change(world, ada, "one@example.org")
    spare = link(world, first, Step.CONFIRM_NEW)
    second = ask_change(world, ada, "two@example.org")
    with pytest.raises((ChangeOver, LinkUsed)):
        world.do("identity.confirm_email_change", STRANGER, spare)
    confirm(world, second, Step.CONFIRM_OLD)
    assert confirm(world, second, Step.CONFIRM_NEW).done
    with pytest.raises(SameAddress):
        ask_change(world, ada, "TWO@example.org")


def test_two_wishes_for_one_address_leave_it_to_the_first_that_is_confirmed(world: World) -> None:
    ada, bob = world.subscriber(OLD), world.subscriber("bob@example.org")
    hers, his = ask_change(world, ada), ask_change(world, bob)
    for change in (hers, his):
        confirm(world, change, Step.CONFIRM_NEW)
    assert confirm(world, his, Step.CONFIRM_OLD).done
    with pytest.raises(AddressTaken):
        confirm(world, hers, Step.CONFIRM_OLD)
    assert world.account(WANTED) == bob.id


def test_the_old_address_takes_it_back(world: World) -> None:
    ada = world.subscriber(OLD)
    change = change_address(world, ada)
    thief = sign_in_subscriber(world, WANTED)
    reset = world.do("identity.issue_link", LETTERS, IssueLink(ada.id, Purpose.RESET)).token
    token = next(item.text for item in letters_to(world, OLD) if "/email/revert?token=" in item.text)
    assert token
    world.do("identity.revert_email_change", STRANGER, link(world, change, Step.REVERT))
    for actor in (ada, thief):
        with pytest.raises(NotSignedIn):
            world.do("identity.profile", actor, ShowProfile())
    with pytest.raises(LinkUsed):
        world.do("identity.reset_password", STRANGER, ResetPassword(reset, NEW))
    assert not address(world, OLD) and not address(world, WANTED)  # the password is known to somebody else
    assert any("/reset?token=" in item.text for item in letters_to(world, OLD))
    mine = world.do("identity.issue_link", LETTERS, IssueLink(ada.id, Purpose.RESET)).token
    world.do("identity.reset_password", STRANGER, ResetPassword(mine, NEW))
    assert address(world, OLD, NEW)


def test_it_can_be_taken_back_for_some_days_only(world: World) -> None:
    change = change_address(world, world.subscriber(OLD))
    token = link(world, change, Step.REVERT)
    world.clock.advance(days=7)
    with pytest.raises(LinkExpired):
        world.do("identity.revert_email_change", STRANGER, token)


def test_taking_back_the_first_of_two_changes_refuses_the_second_too(world: World) -> None:
    ada = world.subscriber(OLD)
    first = change_address(world, ada, "thief@example.org")
    world.clock.advance(minutes=5)
    second = change_address(world, ada, "thief2@example.org")
    spare = link(world, second, Step.REVERT)
    world.clock.advance(minutes=5)
    waiting = ask_change(world, ada, "thief3@example.org")
    world.do("identity.revert_email_change", STRANGER, link(world, first, Step.REVERT))
    with pytest.raises(ChangeOver):
        world.do("identity.revert_email_change", STRANGER, spare)
    assert world.account(OLD) == ada.id
    assert state_of(world, waiting) == ChangeState.SUPERSEDED


def test_nobody_else_gets_the_old_address_meanwhile(world: World) -> None:
    ada = world.subscriber(OLD)
    change_address(world, ada)
    world.do("identity.sign_up", STRANGER, SignUp(OLD, "Squatter", PASSWORD))
    assert any("is kept for that" in item.text for item in letters_to(world, OLD))
    bob = world.subscriber("bob@example.org")
    his = ask_change(world, bob, OLD)
    assert any("already has an account" in item.text for item in letters_to(world, OLD))
    confirm(world, his, Step.CONFIRM_NEW)
    with pytest.raises(AddressTaken):
        confirm(world, his, Step.CONFIRM_OLD)
    ctx = world.house.kernel.context(System("testing"))

    def invite(connection: object) -> None:
        outbox = BoundOutbox(connection, world.house.outbox, ctx.now)  # type: ignore[arg-type]
        tx = Transaction(connection, world.house.ring.for_caller("identity"), outbox)  # type: ignore[arg-type]
        create_team_account(tx, ctx, OLD, "Tess")

    with pytest.raises(AddressTaken):
        world.write(invite)
    world.clock.advance(days=7)
    assert world.subscriber(OLD).id != ada.id


def test_a_closed_account_frees_both_addresses(world: World) -> None:
    ada = world.subscriber(OLD)
    change = change_address(world, ada)
    spare = link(world, change, Step.REVERT)
    world.do("identity.close_account", ada, CloseAccount())
    with pytest.raises(LinkInvalid):
        world.do("identity.revert_email_change", STRANGER, spare)
    assert world.subscriber(OLD).id != ada.id
    bob = world.subscriber("bob@example.org")
    waits = ask_change(world, bob, "bob2@example.org")
    spare = link(world, waits, Step.CONFIRM_NEW)
    world.do("identity.close_account", bob, CloseAccount())
    with pytest.raises(ChangeOver):
        world.do("identity.confirm_email_change", STRANGER, spare)


def test_nothing_changes_for_somebody_erased(world: World) -> None:
    ada = world.subscriber(OLD)
    change = ask_change(world, ada)
    confirm(world, change, Step.CONFIRM_NEW)
    spare = link(world, change, Step.CONFIRM_OLD)
    world.house.ring.for_caller("privacy").destroy_subject(ada.id, "asked for by the person")
    with pytest.raises(SubjectErased):
        world.do("identity.confirm_email_change", STRANGER, spare)
    assert state_of(world, change) == ChangeState.OPEN
    assert letters_to(world, WANTED) == []


def test_a_browser_known_to_the_old_address_is_a_stranger_to_the_new_one_until_it_signs_in(world: World) -> None:
    """Cookies of known browsers belong to an address: they do not follow it, and count again when it comes back."""
    ada = world.subscriber(OLD)
    device = world.do("identity.sign_in", STRANGER, SignIn(OLD, PASSWORD)).device

    def known(email: str) -> bool:
        world.do("identity.sign_in", STRANGER, SignIn(email, PASSWORD, device))
        return bool(world.events("identity.sign_in")[-1].details["known_browser"])

    assert known(OLD)
    change = change_address(world, ada)
    assert not known(WANTED)
    world.do("identity.revert_email_change", STRANGER, link(world, change, Step.REVERT))
    mine = world.do("identity.issue_link", LETTERS, IssueLink(ada.id, Purpose.RESET)).token
    world.do("identity.reset_password", STRANGER, ResetPassword(mine, PASSWORD))
    assert known(OLD)


def test_the_old_address_that_nobody_can_read_any_more(world: World) -> None:
    ada = world.subscriber(OLD)
    change = ask_change(world, ada)
    with pytest.raises(ConfirmNewFirst):
        world.do("identity.ask_address_recovery", ada, AskAddressRecovery())
    confirm(world, change, Step.CONFIRM_NEW)
    made = world.do("identity.ask_address_recovery", ada, AskAddressRecovery())
    approved(world, made.id)
    assert any("/recover/stop?token=" in item.text for item in letters_to(world, OLD))
    world.clock.advance(days=3)
    world.do("identity.keep_recovery", KEEPING, KeepRecovery(made.id))
    assert any("/recover/finish?token=" in item.text for item in letters_to(world, WANTED))
    assert not any("/recover/finish?token=" in item.text for item in letters_to(world, OLD))
    world.do("identity.finish_recovery", STRANGER, link(world, made.id, Step.FINISH))
    assert world.account(WANTED) == ada.id
    # and even now the old address can say that it was not theirs
    world.do("identity.stop_recovery_by_link", STRANGER, link(world, made.id, Step.STOP))
    assert world.account(OLD) == ada.id and not address(world, OLD)


def test_stopping_the_recovery_of_an_address_stops_the_change(world: World) -> None:
    ada = world.subscriber(OLD)
    change = ask_change(world, ada)
    confirm(world, change, Step.CONFIRM_NEW)
    made = world.do("identity.ask_address_recovery", ada, AskAddressRecovery())
    spare = link(world, made.id, Step.STOP)
    world.do("identity.stop_recovery", ada, StopRecovery())
    assert state_of(world, change) == ChangeState.STOPPED
    with pytest.raises((RecoveryOver, LinkUsed)):
        world.do("identity.stop_recovery_by_link", STRANGER, spare)
