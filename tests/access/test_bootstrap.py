"""The first administrator: made once ever, whoever tries again, however many at once."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pyotp
import pytest
from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError

from subscription_services.access import Bootstrap, Enrolment, FirstPeople, FirstPerson, bootstrap
from subscription_services.access import model as model
from subscription_services.access.errors import AlreadyBootstrapped
from subscription_services.access.operations.people import GrantRole, People
from subscription_services.identity.operations.people import Enrol
from subscription_services.identity.operations.second_factor import ConfirmTotp, Nothing
from subscription_services.kernel.actors import Anonymous, Role, System, TeamMember
from subscription_services.kernel.errors import Invalid, Refusal
from subscription_services.kernel.events import Outcome
from subscription_services.kernel.perform import perform
from subscription_services.kernel.ports import Writer
from subscription_services.testing import World
from subscription_services.testing.approving import approve, ask
from subscription_services.testing.people import PASSWORD

FIRST = Bootstrap([FirstPerson("first@example.org", "First Person")])
SECOND = Bootstrap([FirstPerson("second@example.org", "Second Person")])


def test_the_first_call_makes_an_administrator_and_shows_a_token_that_the_log_does_not_hold(world: World) -> None:
    (made,) = world.do(bootstrap, System("cli"), FIRST).people
    assert isinstance(made, Enrolment)
    assert len(made.token) >= 32
    with world.house.store.reading() as connection:
        grants = connection.execute(select(model.grant)).all()
    assert [(row.account, row.role, row.standing) for row in grants] == [(made.account, Role.ADMINISTRATOR, True)]
    event = world.events("access.bootstrap")[-1]
    assert (event.outcome, event.subject, event.actor) == (Outcome.SUCCESS, made.account, "system:cli")
    assert made.token not in str(event)


def test_a_second_call_is_refused_and_leaves_nothing(world: World) -> None:
    world.do(bootstrap, System("cli"), FIRST)
    with pytest.raises(AlreadyBootstrapped):
        world.do(bootstrap, System("cli"), SECOND)
    assert _administrators(world) == 1
    assert [event.outcome for event in world.events("access.bootstrap")] == [Outcome.SUCCESS, Outcome.FAILED]


def test_nobody_but_the_service_itself_can(world: World) -> None:
    for actor in (Anonymous(), world.subscriber()):
        with pytest.raises(Refusal):
            world.do(bootstrap, actor, FIRST)
    assert _administrators(world) == 0


def test_of_many_at_once_in_two_processes_only_one_succeeds(place: tuple[Path, str]) -> None:
    data, database = place
    with World.open(data, database) as one, World.open(data, database) as other:

        async def try_all() -> Any:
            tries = [
                perform(world.house.kernel, bootstrap, System("cli"), only(f"p{number}@example.org"))
                for number in range(4)
                for world in (one, other)
            ]
            return await asyncio.gather(*tries, return_exceptions=True)

        results = asyncio.run(try_all())
        assert sum(isinstance(item, FirstPeople) for item in results) == 1
        assert sum(isinstance(item, AlreadyBootstrapped) for item in results) == len(results) - 1, results
        assert _administrators(one) == 1


def test_the_database_itself_refuses_a_second_row(world: World) -> None:
    world.do(bootstrap, System("cli"), FIRST)
    row = {"place": 2, "at": world.clock()}
    with pytest.raises(IntegrityError):
        world.write(lambda c: c.execute(model.bootstrap.insert(), row))
    with pytest.raises(IntegrityError):
        world.run(
            world.house.store.write(Writer.PERFORM, lambda c: c.execute(model.bootstrap.insert(), {**row, "place": 1}))
        )


def test_several_first_people_approve_for_each_other(world: World) -> None:
    people = [FirstPerson(f"p{number}@example.org", f"Person {number}") for number in range(2)]
    made = world.do(bootstrap, System("cli"), Bootstrap(people)).people
    one, other = (enrolled(world, item) for item in made)
    assert world.events("access.bootstrap")[-1].details["others"] == [other.id]
    assert world.do("access.people", one, People()).others == 1
    request = GrantRole(world.team().id, Role.SUPPORT, "helps")
    approve(world, other, ask(world, one, "access.grant_role", request).id)
    assert world.do("access.grant_role", one, request).role is Role.SUPPORT


@pytest.mark.parametrize("number", [0, 6])
def test_the_first_people_are_some_but_few(world: World, number: int) -> None:
    people = [FirstPerson(f"p{place}@example.org", "Person") for place in range(number)]
    with pytest.raises(Invalid):
        world.do(bootstrap, System("cli"), Bootstrap(people))


def only(email: str) -> Bootstrap:
    return Bootstrap([FirstPerson(email, "Person")])


def enrolled(world: World, made: Enrolment) -> TeamMember:
    signed = world.do("identity.enrol", Anonymous(), Enrol(made.token, PASSWORD))
    bare = TeamMember(made.account, signed.id, world.clock(), frozenset(), False)
    secret = world.do("identity.start_totp", bare, Nothing()).secret
    world.do("identity.confirm_totp", bare, ConfirmTotp(pyotp.TOTP(secret).at(world.clock())))
    return TeamMember(made.account, signed.id, world.clock(), frozenset({Role.ADMINISTRATOR}), True)


def _administrators(world: World) -> int:
    with world.house.store.reading() as connection:
        return int(connection.execute(select(func.count()).select_from(model.grant)).scalar_one())
