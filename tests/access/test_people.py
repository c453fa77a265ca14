"""Roles given and ended: never to oneself, never the last administrator, always with a trace."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from msgspec.structs import replace

from subscription_services.access import accounts
from subscription_services.access.errors import GrantEnded, LastAdministrator, NotATeamMember, NotToOneself, RoleHeld
from subscription_services.access.independence import why_not
from subscription_services.access.operations.people import (
    EndGrant,
    GrantRole,
    Invite,
    People,
    end_grant,
    grant_role,
    invite,
    people,
)
from subscription_services.kernel.actors import Role, TeamMember
from subscription_services.kernel.errors import ApprovalNeeded, Conflict, Invalid, NotFound, StepUpNeeded
from subscription_services.kernel.perform import perform
from subscription_services.kernel.transaction import ReadTransaction
from subscription_services.testing import World
from subscription_services.testing.approving import approve, ask, give_role, invited

from .granting import letters


def grant_of(world: World, who: TeamMember, role: Role) -> str:
    team = world.do(people, who, People())
    return str(next(g.id for p in team.people if p.id == who.id for g in p.grants if g.role is role))


def test_an_invitation_makes_an_account_without_any_role_and_a_letter(world: World) -> None:
    boss = world.team(Role.ADMINISTRATOR)
    request = Invite("new@example.org", "New Person")
    made = world.do(invite, boss, request, idempotency_key="k1")
    team = world.do(people, boss, People())
    person = next(item for item in team.people if item.id == made.account)
    assert (person.email, person.name, person.grants) == ("new@example.org", "New Person", [])
    assert world.do(invite, boss, request, idempotency_key="k1") == made
    with pytest.raises(Conflict):
        world.do(invite, boss, request)


def test_the_reason_is_sealed(world: World) -> None:
    boss, member = world.team(Role.ADMINISTRATOR), world.team()
    give_role(world, boss, member.id, Role.SUPPORT, "canary-reason-7341")
    with world.house.store.reading() as connection:
        rows = connection.exec_driver_sql("SELECT reason FROM access_grant").all()
    assert rows
    assert not any(b"canary-reason" in bytes(row.reason) for row in rows)
    assert all("canary-reason" not in str(item) for item in world.events())


def test_nobody_grants_themselves(world: World) -> None:
    boss = world.team(Role.ADMINISTRATOR)
    with pytest.raises(NotToOneself):
        world.do(grant_role, boss, GrantRole(boss.id, Role.SECURITY, "would be handy"))


def test_roles_are_for_the_team(world: World) -> None:
    boss, subscriber = world.team(Role.ADMINISTRATOR), world.subscriber()
    for account in (subscriber.id, "acc_unknown"):
        with pytest.raises(NotATeamMember):
            world.do(grant_role, boss, GrantRole(account, Role.SUPPORT, "by mistake"))


def test_a_role_is_held_once_and_again_after_it_lapsed(world: World) -> None:
    boss, member = world.team(Role.ADMINISTRATOR), world.team()
    request = GrantRole(member.id, Role.SUPPORT, "for a week", days=7)
    give_role(world, boss, member.id, Role.SUPPORT, "for a week", days=7)
    with pytest.raises(RoleHeld):
        world.do(grant_role, boss, request)
    world.clock.advance(days=7)
    boss = world.team(Role.ADMINISTRATOR)
    assert give_role(world, boss, member.id, Role.SUPPORT, "for a week", days=7).ends_at is not None


@pytest.mark.parametrize("days", [0, 367])
def test_an_end_out_of_bounds_is_not_valid(world: World, days: int) -> None:
    boss, member = world.team(Role.ADMINISTRATOR), world.team()
    with pytest.raises(Invalid):
        world.do(grant_role, boss, GrantRole(member.id, Role.SUPPORT, "too long", days=days))


def test_the_last_administrator_stays(world: World) -> None:
    boss = world.team(Role.ADMINISTRATOR)
    with pytest.raises(LastAdministrator):
        world.do(end_grant, boss, EndGrant(grant_of(world, boss, Role.ADMINISTRATOR), "had enough"))


def test_an_administrator_for_some_days_does_not_count_as_another(world: World) -> None:
    boss, deputy = world.team(Role.ADMINISTRATOR), world.team()
    give_role(world, boss, deputy.id, Role.ADMINISTRATOR, days=7)
    mine = grant_of(world, boss, Role.ADMINISTRATOR)
    for actor in (boss, replace(deputy, roles=frozenset({Role.ADMINISTRATOR}))):
        with pytest.raises(LastAdministrator):
            world.do(end_grant, actor, EndGrant(mine, "leave for good"))


def test_a_grant_ends_once(world: World) -> None:
    boss, other = world.team(Role.ADMINISTRATOR), world.team(Role.AUDITOR)
    grant = grant_of(world, other, Role.AUDITOR)
    ended = world.do(end_grant, boss, EndGrant(grant, "moved on"))
    assert ended.ended_at == world.clock()
    with pytest.raises(GrantEnded):
        world.do(end_grant, boss, EndGrant(grant, "moved on"))
    with pytest.raises(NotFound):
        world.do(end_grant, boss, EndGrant("grt_unknown", "moved on"))


def test_two_administrators_cannot_end_each_other_at_once(world: World) -> None:
    one, other = world.team(Role.ADMINISTRATOR), world.team(Role.ADMINISTRATOR)
    grants = {who.id: grant_of(world, who, Role.ADMINISTRATOR) for who in (one, other)}

    async def both() -> Any:
        return await asyncio.gather(
            perform(world.house.kernel, end_grant, one, EndGrant(grants[other.id], "you go")),
            perform(world.house.kernel, end_grant, other, EndGrant(grants[one.id], "no, you")),
            return_exceptions=True,
        )

    results = world.run(both())
    assert sum(isinstance(item, Exception) for item in results) == 1, results


def test_changes_of_roles_ask_for_a_recent_sign_in(world: World) -> None:
    boss, member = world.team(Role.ADMINISTRATOR), world.team()
    world.clock.advance(minutes=16)
    for operation, request in (
        (grant_role, GrantRole(member.id, Role.SUPPORT, "late")),
        (invite, Invite("late@example.org", "Late")),
        (end_grant, EndGrant("grt_x", "late")),
    ):
        with pytest.raises(StepUpNeeded):
            world.do(operation, boss, request)


def test_a_role_is_given_by_two(world: World) -> None:
    boss, member, other = world.team(Role.ADMINISTRATOR), world.team(), world.team(Role.ADMINISTRATOR)
    request = GrantRole(member.id, Role.SUPPORT, "helps")
    with pytest.raises(ApprovalNeeded):
        world.do(grant_role, boss, request)
    made = ask(world, boss, "access.grant_role", request)
    assert ("Account", f"Tess Team ({member.id})") in made.words.lines
    approve(world, other, made.id)
    grant = world.do(grant_role, boss, request)
    assert (grant.role, grant.granted_by) == (Role.SUPPORT, boss.id)
    told = [item.account for item in letters(world, "access.role_given")]
    assert told == [member.id]
    with pytest.raises(NotToOneself):  # refused before anybody is bothered with it
        ask(world, boss, "access.grant_role", GrantRole(boss.id, Role.SECURITY, "handy"))


def test_an_approval_of_a_role_covers_what_the_person_held_then(world: World) -> None:
    boss, member, other = world.team(Role.ADMINISTRATOR), world.team(), world.team(Role.ADMINISTRATOR)
    request = GrantRole(member.id, Role.SECURITY, "on call")
    approve(world, other, ask(world, boss, "access.grant_role", request).id)
    given = give_role(world, other, member.id, Role.BILLING)
    with pytest.raises(ApprovalNeeded):
        world.do(grant_role, boss, request)
    # given and taken back again: they hold what they held, and yet it is not the person who was looked at
    world.do(end_grant, boss, EndGrant(given.id, "by mistake"))
    with pytest.raises(ApprovalNeeded):
        world.do(grant_role, boss, request)


def test_nobody_approves_for_whoever_invited_them(world: World) -> None:
    boss, other = world.team(Role.ADMINISTRATOR), world.team(Role.ADMINISTRATOR)
    account = invited(world, boss, "new@example.org", Role.SUPPORT)
    give_role(world, other, account, Role.ADMINISTRATOR)
    with world.house.store.reading() as connection:
        tx = ReadTransaction(connection, world.house.ring.for_caller("access"))
        (newcomer,) = accounts.people(tx, [account])
        assert "invited" in why_not(tx, boss.id, newcomer)
        assert "gave you a role" in why_not(tx, other.id, newcomer)
