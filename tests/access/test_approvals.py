"""Approvals cover one exact request, by other people, in time, once."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy.exc import IntegrityError

from subscription_services.access import DatabaseApprovals, model
from subscription_services.kernel.actors import Actor, Anonymous, ServiceAccount, System, TeamMember
from subscription_services.kernel.errors import ApprovalNeeded
from subscription_services.kernel.ports import Writer
from subscription_services.testing import World

ASKER, FIRST, SECOND = "acc_asker", "acc_first", "acc_second"
DIGEST, OTHER = bytes(range(32)), bytes(32)
OPERATION = "keys.destroy"


def member(world: World, identifier: str = ASKER) -> TeamMember:
    return TeamMember(identifier, "ses_x", world.clock())


def approve(world: World, approver: str, **more: Any) -> None:
    now = world.clock()
    row = {
        "id": f"apr_{approver}_{more.get('requester', ASKER)}", "digest": DIGEST, "operation": OPERATION,
        "requester": ASKER, "approver": approver, "given_at": now, "expires_at": now + timedelta(hours=1), **more,
    }  # fmt: skip
    world.write(lambda c: c.execute(model.approval.insert(), row))


def consume(world: World, needed: int = 1, actor: Actor | None = None, digest: bytes = DIGEST, name: str = "") -> None:
    def work(connection: Any) -> None:
        DatabaseApprovals().consume(
            connection, actor or member(world), name or OPERATION, digest, needed, world.clock()
        )

    world.run(world.house.store.write(Writer.PERFORM, work))


def test_enough_other_people_are_enough_and_only_once(world: World) -> None:
    approve(world, FIRST)
    approve(world, SECOND)
    consume(world, 2)
    with pytest.raises(ApprovalNeeded):
        consume(world, 1)


def test_too_few_use_nothing_up(world: World) -> None:
    approve(world, FIRST)
    with pytest.raises(ApprovalNeeded):
        consume(world, 2)
    approve(world, SECOND)
    consume(world, 2)


def test_an_approval_left_over_does_not_serve_a_second_run(world: World) -> None:
    approve(world, FIRST)
    approve(world, SECOND)
    consume(world, 1)
    with pytest.raises(ApprovalNeeded):
        consume(world, 1)


@pytest.mark.parametrize("needed", [0, -1])
def test_a_policy_that_asks_for_nobody_is_a_refusal(world: World, needed: int) -> None:
    approve(world, FIRST)
    with pytest.raises(ApprovalNeeded):
        consume(world, needed)


def test_it_covers_this_request_this_operation_and_this_requester_only(world: World) -> None:
    approve(world, FIRST)
    for wrong in ({"digest": OTHER}, {"name": "keys.rotate"}, {"actor": member(world, SECOND)}):
        with pytest.raises(ApprovalNeeded):
            consume(world, **wrong)
    consume(world)


def test_nobody_unnamed_is_ever_approved(world: World) -> None:
    approve(world, FIRST, requester="anonymous")
    approve(world, FIRST, requester="system:jobs", id="apr_system")
    for actor in (Anonymous(), System("jobs")):
        with pytest.raises(ApprovalNeeded):
            consume(world, actor=actor)


def test_it_expires(world: World) -> None:
    approve(world, FIRST)
    world.clock.advance(hours=1)
    with pytest.raises(ApprovalNeeded):
        consume(world)


def test_it_does_not_count_before_it_was_given(world: World) -> None:
    approve(world, FIRST)
    world.clock.advance(seconds=-1)
    with pytest.raises(ApprovalNeeded):
        consume(world)


def test_the_database_refuses_an_approval_by_the_requester(world: World) -> None:
    with pytest.raises(IntegrityError):
        approve(world, ASKER)


def test_one_person_counts_once(world: World) -> None:
    approve(world, FIRST)
    with pytest.raises(IntegrityError):
        approve(world, FIRST, id="apr_again")


def test_the_owner_of_a_service_account_does_not_approve_what_it_asks(world: World) -> None:
    now = world.clock()
    row = {
        "id": "svc_x", "name": "Export", "owner": FIRST, "state": "active", "created_by": SECOND, "created_at": now,
        "expires_at": now + timedelta(days=1),
    }  # fmt: skip
    world.write(lambda c: c.execute(model.service_account.insert(), row))
    approve(world, FIRST, requester="svc_x")
    program = ServiceAccount("svc_x", "tok_x", frozenset({OPERATION}))
    with pytest.raises(ApprovalNeeded):
        consume(world, actor=program)
    approve(world, SECOND, requester="svc_x")
    consume(world, actor=program)


def test_of_many_runs_at_once_one_gets_it(world: World) -> None:
    approve(world, FIRST)

    def work(connection: Any) -> None:
        DatabaseApprovals().consume(connection, member(world), OPERATION, DIGEST, 1, world.clock())

    async def all_at_once() -> list[BaseException | None]:
        tries = [world.house.store.write(Writer.PERFORM, work) for _ in range(6)]
        return await asyncio.gather(*tries, return_exceptions=True)

    results = world.run(all_at_once())
    assert sum(result is None for result in results) == 1
    assert sum(isinstance(result, ApprovalNeeded) for result in results) == 5
