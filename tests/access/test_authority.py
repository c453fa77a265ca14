"""What an actor is right now: read anew each time, for every kind of actor."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace
from sqlalchemy import event, update

from subscription_services.access import HouseAuthority, model, roles_of
from subscription_services.access.operations.people import (
    EndGrant,
    MyPermissions,
    People,
    end_grant,
    my_permissions,
    people,
)
from subscription_services.kernel.actors import Actor, Anonymous, Role, Standing, Subscriber, System, TeamMember
from subscription_services.kernel.errors import NotSignedIn, Refusal
from subscription_services.testing import World
from subscription_services.testing.approving import give_role


def standing(world: World, actor: Actor) -> Standing:
    with world.house.store.reading() as connection:
        return HouseAuthority().standing(connection, actor, world.clock())


def test_strangers_and_the_service_itself_have_no_standing(world: World) -> None:
    assert standing(world, Anonymous()) == standing(world, System("jobs")) == Standing()


def test_a_subscriber_has_what_the_session_says_and_no_roles(world: World) -> None:
    found = standing(world, world.subscriber())
    assert (found.roles, found.scopes, found.tasks) == (frozenset(), frozenset(), frozenset())
    assert found.signed_in_at is not None


def test_a_session_of_somebody_else_is_nobodys(world: World) -> None:
    one, other = world.subscriber(), world.subscriber()
    with pytest.raises(NotSignedIn):
        standing(world, replace(one, session=other.session))


def test_an_unknown_session_is_nobodys(world: World) -> None:
    with pytest.raises(NotSignedIn):
        standing(world, replace(world.subscriber(), session="ses_unknown"))


def test_a_subscriber_who_calls_themselves_team_is_refused_and_the_other_way_round(world: World) -> None:
    person, member = world.subscriber(), world.team(Role.SUPPORT)
    with pytest.raises(NotSignedIn):
        standing(world, TeamMember(person.id, person.session, person.signed_in_at, frozenset(Role), True))
    with pytest.raises(NotSignedIn):
        standing(world, Subscriber(member.id, member.session, member.signed_in_at))


def test_a_role_holds_until_it_is_ended_in_every_open_session(world: World) -> None:
    boss, member = world.team(Role.ADMINISTRATOR), world.team(Role.AUDITOR)
    world.do(people, member, People())
    grant = next(g for p in world.do(people, boss, People()).people if p.id == member.id for g in p.grants)
    world.do(end_grant, boss, EndGrant(grant.id, "moved on"))
    assert standing(world, member).roles == frozenset()
    with pytest.raises(Refusal):
        world.do(people, member, People())


def test_a_role_for_some_days_ends_by_itself(world: World) -> None:
    boss, member = world.team(Role.ADMINISTRATOR), world.team()
    give_role(world, boss, member.id, Role.AUDITOR, days=1)
    with world.house.store.reading() as connection:
        now = world.clock()
        assert roles_of(connection, member.id, now) == {Role.AUDITOR}
        assert roles_of(connection, member.id, now.replace(day=now.day + 1)) == frozenset()


def test_a_role_row_from_the_future_does_not_count(world: World) -> None:
    member = world.team(Role.AUDITOR)
    with world.house.store.reading() as connection:
        assert roles_of(connection, member.id, world.clock().replace(year=2020)) == frozenset()


def test_an_unknown_role_in_the_store_is_an_error_and_not_a_permission(world: World) -> None:
    member = world.team(Role.AUDITOR)
    change = update(model.grant).where(model.grant.c.account == member.id).values(role="*")
    with pytest.raises(Exception, match="known_role"):
        world.write(lambda c: c.execute(change))


def test_it_costs_one_statement_for_a_subscriber_and_three_for_a_team_member(world: World) -> None:
    for actor, most in ((world.subscriber(), 1), (world.team(Role.SUPPORT), 3), (Anonymous(), 0)):
        with world.house.store.reading() as connection:
            seen: list[str] = []

            def count(conn: Any, cursor: Any, statement: str, *rest: Any, seen: list[str] = seen) -> None:
                seen.append(statement)

            event.listen(connection, "before_cursor_execute", count)
            try:
                HouseAuthority().standing(connection, actor, world.clock())
            finally:
                event.remove(connection, "before_cursor_execute", count)
        assert len(seen) <= most, seen


def test_people_see_what_they_may_do(world: World) -> None:
    mine = world.do(my_permissions, world.subscriber(), MyPermissions())
    assert "access.my_permissions" in {item.operation for item in mine.operations}
    assert "access.people" not in {item.operation for item in mine.operations}
    theirs = world.do(my_permissions, world.team(Role.AUDITOR), MyPermissions())
    assert theirs.roles == [Role.AUDITOR]
    assert {"access.people", "access.audit_log"} <= {item.operation for item in theirs.operations}
    assert "access.invite" not in {item.operation for item in theirs.operations}
