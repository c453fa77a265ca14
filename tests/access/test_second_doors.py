"""There is no way around an approval: not a repeated request, another node, a program, or a directory."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from subscription_services.access import roles_of
from subscription_services.access.operations.people import EndGrant, GrantRole
from subscription_services.access.operations.scim import CreateUser, UpdateUser
from subscription_services.access.operations.tasks import MakeTaskRule
from subscription_services.kernel.actors import Role, ServiceAccount
from subscription_services.kernel.errors import ApprovalNeeded, DomainError, IdempotencyMismatch, Refusal
from subscription_services.kernel.perform import perform
from subscription_services.testing import World
from subscription_services.testing.approving import approve, approved, ask, give_role
from tests.api.test_every_call_recorded import call

from .program_cases import directory

GRANT = "access.grant_role"


def roles(world: World, account: str) -> frozenset[Role]:
    with world.house.store.reading() as connection:
        return roles_of(connection, account, world.clock())


def test_repeating_a_request_under_its_key_shows_the_answer_and_does_nothing(world: World) -> None:
    boss, member = world.team(Role.ADMINISTRATOR), world.team()
    request = GrantRole(member.id, Role.SUPPORT, "helps")
    approved(world, boss, GRANT, request)
    made = world.do(GRANT, boss, request, idempotency_key="one")
    world.do("access.end_grant", boss, EndGrant(made.id, "moved"))
    assert world.do(GRANT, boss, request, idempotency_key="one") == made
    assert roles(world, member.id) == frozenset()
    with pytest.raises(ApprovalNeeded):
        world.do(GRANT, boss, request, idempotency_key="two")
    with pytest.raises(IdempotencyMismatch):
        world.do(GRANT, boss, GrantRole(member.id, Role.SECURITY, "helps"), idempotency_key="one")
    with pytest.raises(ApprovalNeeded):  # the key is that of another person
        world.do(GRANT, world.team(Role.ADMINISTRATOR), request, idempotency_key="one")


def test_one_approval_serves_one_of_two_nodes(place: tuple[Path, str]) -> None:
    with World.open(*place) as one, World.open(*place) as other:
        boss = one.team(Role.ADMINISTRATOR)
        members = [one.team().id for _ in range(2)]
        request = GrantRole(members[0], Role.SUPPORT, "helps")
        approved(one, boss, GRANT, request)

        async def race() -> Any:
            tries = [perform(world.house.kernel, operation(world), boss, request) for world in (one, other) * 2]
            return await asyncio.gather(*tries, return_exceptions=True)

        results = asyncio.run(race())
        assert sum(not isinstance(item, Exception) for item in results) == 1, results
        assert all(isinstance(item, DomainError) for item in results if isinstance(item, Exception)), results
        assert roles(other, members[0]) == {Role.SUPPORT}


def operation(world: World) -> Any:
    return world.house.kernel.registry.get(GRANT)


def test_a_directory_and_a_program_give_no_role(world: World) -> None:
    scim = directory(world, "access.scim_create_user", "access.scim_update_user")
    made = world.do("access.scim_create_user", scim, CreateUser("new@example.org", "New Person"))
    world.do("access.scim_update_user", scim, UpdateUser(made.id, active=True))
    assert roles(world, made.id) == frozenset()
    wide = ServiceAccount(scim.id, scim.token, scim.scopes | {GRANT})
    with pytest.raises(Refusal):
        world.do(GRANT, wide, GrantRole(made.id, Role.SUPPORT, "helps"))


def test_a_rule_is_approved_beside_the_rules_that_stood_then(world: World) -> None:
    boss, other = world.team(Role.ADMINISTRATOR), world.team(Role.ADMINISTRATOR)
    rules = [MakeTaskRule(Role.SUPPORT, Role.BILLING, ["billing.refund"], minutes) for minutes in (30, 60)]
    for rule in rules:
        approve(world, other, ask(world, boss, "access.make_task_rule", rule).id)
    world.do("access.make_task_rule", boss, rules[0])
    with pytest.raises(ApprovalNeeded):
        world.do("access.make_task_rule", boss, rules[1])


def test_over_the_api_one_changed_row_asks_anew(world: World) -> None:
    boss, other, member = world.team(Role.ADMINISTRATOR), world.team(Role.ADMINISTRATOR), world.team()
    request = GrantRole(member.id, Role.SUPPORT, "helps")
    status, (refused,) = call(world, GRANT, boss, request)
    assert (status, refused.reason) == (403, "approval-needed")
    approved(world, boss, GRANT, request)
    give_role(world, other, member.id, Role.BILLING)
    status, (refused,) = call(world, GRANT, boss, request)
    assert (status, refused.reason) == (403, "approval-needed")
    approved(world, boss, GRANT, request)
    status, (done,) = call(world, GRANT, boss, request)
    assert (status, str(done.outcome)) == (200, "success")
    assert roles(world, member.id) == {Role.SUPPORT, Role.BILLING}
