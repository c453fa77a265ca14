"""Roles given and ended: never to oneself, never the last administrator, always with a trace."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from msgspec.structs import replace

from subscription_services.access.errors import GrantEnded, LastAdministrator, NotATeamMember, NotToOneself, RoleHeld
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
from subscription_services.kernel.errors import Conflict, Invalid, NotFound, StepUpNeeded
from subscription_services.kernel.perform import perform
from subscription_services.testing import World


def grant_of(world: World, who: TeamMember, role: Role) -> str:
    team = world.do(people, who, People())
    return str(next(g.id for p in team.people if p.id == who.id for g in p.grants if g.role is role))


def test_an_invitation_makes_an_account_with_one_role_and_a_letter(world: World) -> None:
    boss = world.team(Role.ADMINISTRATOR)
    request = Invite("new@example.org", "New Person", Role.SUPPORT, "helps subscribers")
    grant = world.do(invite, boss, request, idempotency_key="k1")
    assert (grant.role, grant.granted_by) == (Role.SUPPORT, boss.id)
    team = world.do(people, boss, People())
    person = next(item for item in team.people if item.id == grant.account)
    assert (person.email, person.name) == ("new@example.org", "New Person")
    assert [held.reason for held in person.grants] == ["helps subscribers"]
    assert world.do(invite, boss, request, idempotency_key="k1") == grant
    with pytest.raises(Conflict):
        world.do(invite, boss, request)


def test_the_reason_is_sealed(world: World) -> None:
    boss, member = world.team(Role.ADMINISTRATOR), world.team()
    world.do(grant_role, boss, GrantRole(member.id, Role.SUPPORT, "canary-reason-7341"))
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
    world.do(grant_role, boss, request)
    with pytest.raises(RoleHeld):
        world.do(grant_role, boss, request)
    world.clock.advance(days=7)
    boss = world.team(Role.ADMINISTRATOR)
    assert world.do(grant_role, boss, request).ends_at > world.clock()


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
    world.do(grant_role, boss, GrantRole(deputy.id, Role.ADMINISTRATOR, "holiday", days=7))
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
        (invite, Invite("late@example.org", "Late", Role.SUPPORT, "late")),
        (end_grant, EndGrant("grt_x", "late")),
    ):
        with pytest.raises(StepUpNeeded):
            world.do(operation, boss, request)
