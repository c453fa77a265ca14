"""Whoever leaves the team loses everything in one transaction, requests under way too; the last administrator stays."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import select

from subscription_services.access import Presented, elevations_of, model, service_account_of
from subscription_services.access.approval_model import void
from subscription_services.access.errors import AlreadyLeft, LastAdministrator, NotATeamMember, RequestEnded
from subscription_services.access.operations.approvals import OneRequest
from subscription_services.access.operations.leavers import DeactivateLeaver, deactivate_leaver
from subscription_services.access.operations.log_exports import ExportUnmasked
from subscription_services.access.operations.log_exports import export_log_unmasked as EXPORT
from subscription_services.access.operations.people import Invite, MyPermissions, People
from subscription_services.access.operations.service_accounts import CreateServiceAccount, IssueToken
from subscription_services.access.operations.tasks import AskTask, OneTask
from subscription_services.access.tasks import About, State
from subscription_services.identity import model as identity
from subscription_services.identity.errors import LinkUsed, WrongCredentials
from subscription_services.identity.model import Purpose
from subscription_services.identity.operations.people import Enrol
from subscription_services.identity.operations.reset import AskReset, ResetPassword
from subscription_services.identity.operations.sign_in import SignIn, SignInCode
from subscription_services.identity.operations.sign_up import IssueLink
from subscription_services.kernel.actors import Anonymous, Role, System, TeamMember
from subscription_services.kernel.context import Context
from subscription_services.kernel.errors import (
    ApprovalNeeded,
    DomainError,
    NotFound,
    NotSignedIn,
    Refusal,
    StepUpNeeded,
)
from subscription_services.kernel.operations import Change, Prepared, operation
from subscription_services.kernel.perform import perform
from subscription_services.kernel.transaction import Reading, Transaction
from subscription_services.testing import World, approving
from subscription_services.testing.approving import give_role
from subscription_services.testing.people import PASSWORD

STRANGER = Anonymous()
WHY = "left on Friday"


def leave(world: World, boss: TeamMember, who: TeamMember) -> Any:
    return world.do(deactivate_leaver, boss, DeactivateLeaver(who.id, WHY))


def link(world: World, account: str, purpose: Purpose) -> str:
    return str(world.do("identity.issue_link", System("identity.letters"), IssueLink(account, purpose)).token)


def email(world: World, account: str, boss: TeamMember) -> str:
    return next(str(item.email) for item in world.do("access.people", boss, People()).people if item.id == account)


def test_a_leaver_loses_everything_at_once(world: World) -> None:
    boss, leaver, colleague = world.team(Role.ADMINISTRATOR), world.team(Role.ADMINISTRATOR), world.team(Role.SUPPORT)
    give_role(world, boss, leaver.id, Role.SECURITY)
    owned = world.do("access.create_service_account", boss, CreateServiceAccount("Owned", leaver.id))
    other = world.do("access.create_service_account", boss, CreateServiceAccount("Other", boss.id))
    scopes = ["access.audit_log"]
    of_theirs = world.do("access.issue_token", boss, IssueToken(owned.id, scopes)).text
    by_them = world.do("access.issue_token", leaver, IssueToken(other.id, scopes)).text
    untouched = world.do("access.issue_token", boss, IssueToken(other.id, scopes)).text
    address = email(world, leaver.id, boss)
    reset = link(world, leaver.id, Purpose.RESET)
    half = world.do("identity.sign_in", STRANGER, SignIn(address, PASSWORD)).challenge

    done = leave(world, boss, leaver)

    assert (done.sessions, done.roles, done.service_accounts, done.tokens) == (
        1, ["administrator", "security"], [owned.id], 2,
    )  # fmt: skip
    with pytest.raises(NotSignedIn):
        world.do("access.people", leaver, People())
    for text in (of_theirs, by_them):
        with pytest.raises(NotSignedIn):
            world.run(service_account_of(world.house.kernel, Presented("bearer", text)))
    assert world.run(service_account_of(world.house.kernel, Presented("bearer", untouched))).id == other.id
    with pytest.raises(WrongCredentials):
        world.do("identity.sign_in", STRANGER, SignIn(address, PASSWORD))
    with pytest.raises(Refusal):
        world.do("identity.sign_in_code", STRANGER, SignInCode(half, "123456"))
    with pytest.raises(LinkUsed):
        world.do("identity.reset_password", STRANGER, ResetPassword(reset, PASSWORD))
    world.do("identity.ask_reset", STRANGER, AskReset(address))
    world.run_jobs()
    with world.house.store.reading() as connection:
        left = connection.execute(select(identity.account).where(identity.account.c.id == leaver.id)).one()
        open_links = select(identity.link.c.id).where(
            identity.link.c.account == leaver.id, identity.link.c.used_at.is_(None)
        )
        live = select(model.grant.c.id).where(model.grant.c.account == leaver.id, model.grant.c.ended_at.is_(None))
        factors = select(identity.totp.c.id).where(identity.totp.c.account == leaver.id)
        assert (left.state, left.verifier, left.email_index) == ("closed", None, None)
        assert [connection.execute(item).all() for item in (open_links, live, factors)] == [[], [], []]
    assert world.do("access.my_permissions", colleague, MyPermissions()).roles == [Role.SUPPORT]
    event = world.events("access.deactivate_leaver")[-1]
    assert (event.subject, event.actor, event.details["tokens"]) == (leaver.id, boss.id, 2)
    assert WHY not in str(event)


def test_an_invitation_that_waits_ends_and_the_address_can_be_invited_anew(world: World) -> None:
    boss = world.team(Role.ADMINISTRATOR)
    invitation = Invite("new@example.org", "New Person")
    account = world.do("access.invite", boss, invitation).account
    waiting = link(world, account, Purpose.ENROL)
    world.do(deactivate_leaver, boss, DeactivateLeaver(account, WHY))
    with pytest.raises(DomainError):
        world.do("identity.enrol", STRANGER, Enrol(waiting, PASSWORD))
    assert world.do("access.invite", boss, invitation).account != account


def test_the_last_administrator_stays(world: World) -> None:
    boss = world.team(Role.ADMINISTRATOR)
    deputy = world.team()
    give_role(world, boss, deputy.id, Role.ADMINISTRATOR, days=7)
    with pytest.raises(LastAdministrator):
        leave(world, boss, boss)
    assert world.do("access.people", boss, People()).people
    leave(world, boss, deputy)


def test_two_administrators_cannot_deactivate_each_other_at_once(world: World) -> None:
    one, other = world.team(Role.ADMINISTRATOR), world.team(Role.ADMINISTRATOR)

    async def both() -> Any:
        kernel = world.house.kernel
        return await asyncio.gather(
            perform(kernel, deactivate_leaver, one, DeactivateLeaver(other.id, "you go")),
            perform(kernel, deactivate_leaver, other, DeactivateLeaver(one.id, "no, you")),
            return_exceptions=True,
        )

    assert len([item for item in world.run(both()) if not isinstance(item, Exception)]) == 1


def test_only_the_team_and_only_once_and_after_a_fresh_sign_in(world: World) -> None:
    boss, leaver = world.team(Role.ADMINISTRATOR), world.team(Role.SUPPORT)
    with pytest.raises(NotATeamMember):
        world.do(deactivate_leaver, boss, DeactivateLeaver(world.subscriber().id, WHY))
    with pytest.raises(NotFound):
        world.do(deactivate_leaver, boss, DeactivateLeaver("acc_unknown", WHY))
    leave(world, boss, leaver)
    with pytest.raises(AlreadyLeft):
        leave(world, boss, leaver)
    world.clock.advance(minutes=16)
    with pytest.raises(StepUpNeeded):
        world.do(deactivate_leaver, boss, DeactivateLeaver("acc_unknown", WHY))


def test_what_a_leaver_approved_counts_no_more(world: World) -> None:
    boss, leaver, asker = world.team(Role.ADMINISTRATOR), world.team(Role.SECURITY), world.team(Role.SECURITY)
    made = approving.ask(world, asker, EXPORT.name, ExportUnmasked(reason="case 7"))
    assert not world.do("access.approval_request", asker, OneRequest(made.id)).approvals
    approving.approve(world, leaver, made.id)
    world.clock.advance(minutes=1)
    assert leave(world, boss, leaver).approvals == 1
    with world.house.store.reading() as connection:
        assert connection.execute(select(void.c.at)).scalar_one() == world.clock()
    with pytest.raises(ApprovalNeeded):
        world.do(EXPORT, asker, ExportUnmasked(reason="case 7"))
    # somebody who is still there can approve the same request instead
    approving.approve(world, world.team(Role.SECURITY), made.id)
    world.do(EXPORT, asker, ExportUnmasked(reason="case 7"))


def test_what_a_leaver_asked_for_and_was_lent_ends(world: World) -> None:
    boss, leaver, other = world.team(Role.ADMINISTRATOR), world.team(Role.SECURITY), world.team(Role.ADMINISTRATOR)
    made = approving.ask(world, leaver, EXPORT.name, ExportUnmasked(reason="case 7"))
    approving.approve(world, other, made.id)
    lent, waiting = (
        world.do("access.ask_task", leaver, AskTask("Case 7", About.OTHER, "", Role.BILLING, 60)).id for _ in "ab"
    )
    world.do("access.grant_task", other, OneTask(lent))
    left = leave(world, boss, leaver)
    assert (left.requests, left.tasks, left.approvals) == (1, 2, 0)
    assert world.do("access.approval_request", other, OneRequest(made.id)).outcome == "withdrawn"
    states = {item: world.do("access.task_record", other, OneTask(item)).task.state for item in (lent, waiting)}
    assert states == {lent: State.REVOKED, waiting: State.REFUSED}
    with world.house.store.reading() as connection:
        assert elevations_of(connection, world.house.ring.for_caller("access"), leaver.id, world.clock()) == ()
    with pytest.raises(RequestEnded):
        approving.approve(world, world.team(Role.SECURITY), made.id)
    recorded = world.events("access.deactivate_leaver")[-1].details
    assert {"tasks": 2, "requests": 1, "approvals": 0}.items() <= recorded.items()


class Slow(msgspec.Struct, frozen=True):
    pass


class Done(msgspec.Struct, frozen=True):
    id: str = ""


def test_a_request_under_way_fails_when_its_leaver_is_deactivated_before_it_commits(place: tuple[Path, str]) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def wait(reading: Reading, ctx: Context, request: Slow) -> None:
        begun.set()
        assert go_on.wait(60)

    ran: list[str] = []

    @operation("access.slow_for_tests", by=[Role.SUPPORT], prepare=Prepared(wait))
    def slow(tx: Transaction, ctx: Context, request: Slow, nothing: None) -> Change[Done]:
        """Takes its time before the transaction."""
        ran.append(ctx.actor.id)
        return Change(None, Done())

    with World.open(*place, more=(slow,)) as world:
        boss, leaver = world.team(Role.ADMINISTRATOR), world.team(Role.SUPPORT)

        async def leave_meanwhile() -> Any:
            under_way = asyncio.create_task(perform(world.house.kernel, slow, leaver, Slow()))
            await asyncio.to_thread(begun.wait, 60)
            await perform(world.house.kernel, deactivate_leaver, boss, DeactivateLeaver(leaver.id, WHY))
            go_on.set()
            return (await asyncio.gather(under_way, return_exceptions=True))[0]

        assert isinstance(world.run(leave_meanwhile()), NotSignedIn)
        assert ran == []
        assert world.events("access.slow_for_tests")[-1].reason == "not-signed-in"
