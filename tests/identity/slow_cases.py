"""Who may and who may not: changes of an address and recoveries."""

from __future__ import annotations

from subscription_services.identity.operations.email import (
    AskEmailChange,
    ChangeLink,
    IssueChangeLink,
    ShowEmailChange,
    StopEmailChange,
)
from subscription_services.identity.operations.recovery import (
    AskAddressRecovery,
    AskRecovery,
    AskRecoveryLetter,
    KeepRecovery,
    StopRecovery,
)
from subscription_services.identity.operations.recovery_review import DecideRecovery, ListRecoveries, ShowRecovery
from subscription_services.identity.recovery_model import Step
from subscription_services.kernel.actors import Role, Subscriber
from subscription_services.testing import Case, World
from subscription_services.testing.cases import Act
from tests.identity.slowly import (
    KEEPING,
    LETTERS,
    STRANGER,
    approved,
    ask_change,
    ask_recovery,
    change_address,
    confirm,
    link,
    password_right,
)

NO_LINK = ChangeLink("x" * 43)


def _two(world: World) -> Subscriber:
    from tests.identity.cases import with_totp

    return with_totp(world)[0]


def _long_ago(world: World) -> Subscriber:
    actor = world.subscriber()
    world.clock.advance(minutes=20)
    return actor


def _asked(world: World) -> str:
    _two(world)
    return ask_recovery(world)


def _letter(world: World) -> Act:
    return STRANGER, link(world, _two(world).id, Step.RECOVER)


def _unreadable(world: World) -> Act:
    actor = world.subscriber()
    confirm(world, ask_change(world, actor), Step.CONFIRM_NEW)
    return actor, AskAddressRecovery()


def _unconfirmed(world: World) -> Act:
    actor = world.subscriber()
    ask_change(world, actor)
    return actor, AskAddressRecovery()


def _stopping(world: World) -> Act:
    actor = _two(world)
    ask_recovery(world)
    return actor, StopRecovery()


def _ready(world: World) -> ChangeLink:
    identifier = _asked(world)
    approved(world, identifier)
    world.clock.advance(days=3)
    return link(world, identifier, Step.FINISH)


def _team_recovery(world: World) -> str:
    """A recovery of a team member's account."""
    person = world.team(Role.SUPPORT)
    number = world._people  # the address that the world gave them
    assert person.id == world.account(f"team{number}@example.org")
    return ask_recovery(world, f"team{number}@example.org")


def _stopping_change(world: World) -> Act:
    actor = world.subscriber()
    ask_change(world, actor)
    return actor, StopEmailChange()


def decide(identifier: str) -> DecideRecovery:
    return DecideRecovery(identifier, "spoke on the phone")


def _pending(world: World, step: Step) -> Act:
    return STRANGER, link(world, ask_change(world, world.subscriber()), step)


CASES = [
    Case(
        "identity.ask_email_change",
        lambda w: (w.subscriber(), AskEmailChange("new@example.org")),
        lambda w: (_long_ago(w), AskEmailChange("new@example.org")),
    ),
    Case(
        "identity.email_change", lambda w: (w.subscriber(), ShowEmailChange()), lambda w: (STRANGER, ShowEmailChange())
    ),
    Case("identity.stop_email_change", _stopping_change, lambda w: (w.subscriber(), StopEmailChange())),
    Case("identity.stop_email_change_by_link", lambda w: _pending(w, Step.CONFIRM_OLD), lambda w: (STRANGER, NO_LINK)),
    Case("identity.confirm_email_change", lambda w: _pending(w, Step.CONFIRM_NEW), lambda w: (STRANGER, NO_LINK)),
    Case(
        "identity.revert_email_change",
        lambda w: (STRANGER, link(w, change_address(w, w.subscriber()), Step.REVERT)),
        lambda w: _pending(w, Step.CONFIRM_OLD),
    ),
    Case(
        "identity.issue_change_link",
        lambda w: (LETTERS, IssueChangeLink(w.subscriber().id, Step.RECOVER)),
        lambda w: (w.team(*Role), IssueChangeLink("rcv_x", Step.FINISH)),
    ),
    Case(
        "identity.ask_recovery",
        lambda w: (STRANGER, password_right(w)) if _two(w) else (STRANGER, AskRecovery("x" * 43)),
        lambda w: (STRANGER, AskRecovery("x" * 43)),
    ),
    Case(
        "identity.ask_recovery_letter",
        lambda w: (STRANGER, AskRecoveryLetter("ada@example.org")),
        lambda w: (STRANGER, AskRecoveryLetter("no address")),
    ),
    Case("identity.open_recovery", _letter, lambda w: (STRANGER, link(w, w.subscriber().id, Step.RECOVER))),
    Case("identity.ask_address_recovery", _unreadable, _unconfirmed),
    Case("identity.stop_recovery", _stopping, lambda w: (w.subscriber(), StopRecovery())),
    Case(
        "identity.stop_recovery_by_link",
        lambda w: (STRANGER, link(w, _asked(w), Step.STOP)),
        lambda w: _letter(w),
    ),
    Case("identity.finish_recovery", lambda w: (STRANGER, _ready(w)), lambda w: (STRANGER, NO_LINK)),
    Case(
        "identity.keep_recovery",
        lambda w: (KEEPING, KeepRecovery(_asked(w))),
        lambda w: (w.team(*Role), KeepRecovery(_asked(w))),
    ),
    Case(
        "identity.recoveries",
        lambda w: (w.team(Role.SUPPORT), ListRecoveries()),
        lambda w: (w.team(Role.BILLING), ListRecoveries()),
    ),
    Case(
        "identity.recovery",
        lambda w: (w.team(Role.SECURITY), ShowRecovery(_asked(w))),
        lambda w: (w.subscriber(), ShowRecovery(_asked(w))),
    ),
    Case(
        "identity.approve_recovery",
        lambda w: (w.team(Role.SUPPORT), decide(_asked(w))),
        lambda w: (w.team(Role.SUPPORT), decide(_team_recovery(w))),
    ),
    Case(
        "identity.refuse_recovery",
        lambda w: (w.team(Role.SECURITY), decide(_asked(w))),
        lambda w: (w.team(Role.ADMINISTRATOR), decide(_asked(w))),
    ),
    Case(
        "identity.approve_team_recovery",
        lambda w: (w.team(Role.ADMINISTRATOR), decide(_team_recovery(w))),
        lambda w: (w.team(Role.SUPPORT, Role.SECURITY), decide(_team_recovery(w))),
    ),
    Case(
        "identity.refuse_team_recovery",
        lambda w: (w.team(Role.ADMINISTRATOR), decide(_team_recovery(w))),
        lambda w: (w.team(Role.ADMINISTRATOR), decide(_asked(w))),
    ),
]
