"""Whoever gets another role loses the old ones after some days, unless somebody independent confirms them."""

from __future__ import annotations

from datetime import timedelta

import pytest
from msgspec.structs import replace
from sqlalchemy.exc import IntegrityError

from subscription_services.access import roles_of
from subscription_services.access.errors import NothingToConfirm, NotIndependent, NotToOneself
from subscription_services.access.model import grant
from subscription_services.access.operations.people import ConfirmRole, GrantRole, People
from subscription_services.access.queries import Grant
from subscription_services.kernel.actors import Role, TeamMember
from subscription_services.testing import World
from subscription_services.testing.approving import approve, ask, give_role

from .granting import letters


def held(world: World, boss: TeamMember, who: TeamMember) -> dict[Role, Grant]:
    team = world.do("access.people", boss, People())
    return {item.role: item for person in team.people if person.id == who.id for item in person.grants}


def roles(world: World, who: TeamMember) -> frozenset[Role]:
    with world.house.store.reading() as connection:
        return roles_of(connection, who.id, world.clock())


def test_an_old_role_lapses_and_a_confirmed_one_stays(world: World) -> None:
    boss, mover = world.team(Role.ADMINISTRATOR), world.team(Role.SUPPORT, Role.BILLING)
    give_role(world, boss, mover.id, Role.SECURITY)
    grants = held(world, boss, mover)
    assert {role for role, item in grants.items() if item.moved_at} == {Role.SUPPORT, Role.BILLING}
    assert [item.account for item in letters(world, "access.mover_told")] == [mover.id]
    assert boss.id in {item.account for item in letters(world, "access.mover_asked")}
    moved = world.events("access.grant_role")[-1].details["lapse_unless_confirmed"]
    assert moved == sorted(item.id for item in grants.values() if item.moved_at)
    kept = world.do("access.confirm_role", boss, ConfirmRole(grants[Role.BILLING].id, "does both"))
    assert kept.moved_at is None and kept.ends_at > world.clock() + timedelta(days=365)
    with pytest.raises(NothingToConfirm):
        world.do("access.confirm_role", boss, ConfirmRole(grants[Role.BILLING].id, "does both"))
    assert roles(world, mover) == {Role.SUPPORT, Role.BILLING, Role.SECURITY}
    world.clock.advance(days=14)
    assert roles(world, mover) == {Role.BILLING, Role.SECURITY}


def test_a_confirmed_role_has_the_end_that_it_had(world: World) -> None:
    boss, mover = world.team(Role.ADMINISTRATOR), world.team()
    first = give_role(world, boss, mover.id, Role.SUPPORT, days=90)
    give_role(world, boss, mover.id, Role.BILLING)
    lapses = held(world, boss, mover)[Role.SUPPORT].ends_at
    assert lapses is not None and first.ends_at is not None and lapses < first.ends_at
    assert world.do("access.confirm_role", boss, ConfirmRole(first.id, "still needed")).ends_at == first.ends_at


def test_a_role_for_some_days_is_no_move(world: World) -> None:
    boss, helper = world.team(Role.ADMINISTRATOR), world.team(Role.SUPPORT)
    give_role(world, boss, helper.id, Role.BILLING, days=7)
    assert held(world, boss, helper)[Role.SUPPORT].moved_at is None


def test_neither_the_mover_nor_whom_they_appointed_confirms(world: World) -> None:
    boss, mover, chosen = world.team(Role.ADMINISTRATOR), world.team(Role.ADMINISTRATOR), world.team()
    give_role(world, mover, chosen.id, Role.ADMINISTRATOR)
    give_role(world, boss, mover.id, Role.SECURITY)
    old = held(world, boss, mover)[Role.ADMINISTRATOR]
    assert old.moved_at is not None
    with pytest.raises(NotToOneself):
        world.do("access.confirm_role", mover, ConfirmRole(old.id, "I like it"))
    with pytest.raises(NotIndependent):
        second = replace(chosen, roles=frozenset({Role.ADMINISTRATOR}))
        world.do("access.confirm_role", second, ConfirmRole(old.id, "as asked"))
    world.do("access.confirm_role", boss, ConfirmRole(old.id, "does both"))


def test_the_last_administrator_stays_one(world: World) -> None:
    boss, *others = (world.team(Role.ADMINISTRATOR) for _ in range(3))
    for other in others:  # administrators for some days only: `boss` is the last one who stands
        ends = grant.update().where(grant.c.account == other.id).values(standing=False)
        world.write(lambda c, ends=ends: c.execute(ends))
    request = GrantRole(boss.id, Role.SECURITY, "on call")
    approve(world, others[1], ask(world, others[0], "access.grant_role", request).id)
    world.do("access.grant_role", others[0], request)
    assert held(world, boss, boss)[Role.ADMINISTRATOR].moved_at is None


def test_the_database_refuses_a_move_that_does_not_lapse(world: World) -> None:
    mover = world.team(Role.SUPPORT)
    row = grant.update().where(grant.c.account == mover.id)
    for wrong in ({"moved_at": world.clock()}, {"ends_before": world.clock()}):
        with pytest.raises(IntegrityError):
            world.write(lambda c, wrong=wrong: c.execute(row.values(**wrong)))
