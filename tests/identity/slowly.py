"""What takes days, for tests: asking for another address or a recovery, and minting the links of the letters."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select

from subscription_services.identity.operations.email import AskEmailChange, ChangeLink, IssueChangeLink
from subscription_services.identity.operations.recovery import AskRecovery
from subscription_services.identity.operations.recovery_review import DecideRecovery
from subscription_services.identity.operations.sign_in import SignIn
from subscription_services.identity.recovery_model import Step, email_change, recovery
from subscription_services.kernel.actors import Actor, Anonymous, Role, System, TeamMember
from subscription_services.testing import World
from subscription_services.testing.people import PASSWORD

STRANGER = Anonymous()
LETTERS = System("identity.letters")
KEEPING = System("identity.keeping")
DECIDE = {"approve": "identity.approve_recovery", "refuse": "identity.refuse_recovery"}


def link(world: World, about: str, step: Step) -> ChangeLink:
    """A link as the letter carries it."""
    return ChangeLink(str(world.do("identity.issue_change_link", LETTERS, IssueChangeLink(about, step)).token))


def ask_change(world: World, actor: Actor, email: str = "new@example.org") -> str:
    return str(world.do("identity.ask_email_change", actor, AskEmailChange(email)).id)


def confirm(world: World, change: str, step: Step) -> Any:
    return world.do("identity.confirm_email_change", STRANGER, link(world, change, step))


def change_address(world: World, actor: Actor, email: str = "new@example.org") -> str:
    """Asked for and confirmed at both ends."""
    change = ask_change(world, actor, email)
    confirm(world, change, Step.CONFIRM_NEW)
    assert confirm(world, change, Step.CONFIRM_OLD).done
    return change


def password_right(world: World, email: str = "two@example.org", password: str = PASSWORD) -> AskRecovery:
    """Up to the code that nobody has."""
    return AskRecovery(str(world.do("identity.sign_in", STRANGER, SignIn(email, password)).challenge))


def ask_recovery(world: World, email: str = "two@example.org") -> str:
    return str(world.do("identity.ask_recovery", STRANGER, password_right(world, email)).id)


def approved(world: World, identifier: str, by: TeamMember | None = None, operation: str = DECIDE["approve"]) -> None:
    reviewer = by or world.team(Role.SUPPORT)
    world.do(operation, reviewer, DecideRecovery(identifier, "spoke on the phone"))


def state_of(world: World, identifier: str) -> str:
    """The stored state of a change or a recovery."""
    table = email_change if identifier.startswith("eml") else recovery
    with world.house.store.reading() as connection:
        return str(connection.execute(select(table.c.state).where(table.c.id == identifier)).scalar_one())
