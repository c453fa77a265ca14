"""Two people press at once: each end of a change, two wishes, finishing and stopping."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from subscription_services.identity.operations.email import AskEmailChange
from subscription_services.identity.recovery_model import Step
from subscription_services.kernel.actors import Actor
from subscription_services.kernel.errors import DomainError
from subscription_services.kernel.perform import perform
from subscription_services.testing import World
from subscription_services.testing.people import sign_in_subscriber
from tests.identity.cases import with_totp
from tests.identity.slowly import STRANGER, approved, ask_change, ask_recovery, link, state_of


def at_once(world: World, *wishes: tuple[str, Actor, msgspec.Struct]) -> list[Any]:
    """Carry all of them out together; what each answered, or the error that it met."""
    kernel = world.house.kernel

    async def together() -> list[Any]:
        found = [(kernel.registry.get(name), actor, request) for name, actor, request in wishes]
        calls = [perform(kernel, item, actor, request) for item, actor, request in found if item is not None]
        return list(await asyncio.gather(*calls, return_exceptions=True))

    answers: list[Any] = world.run(together())
    assert all(isinstance(item, DomainError) or not isinstance(item, BaseException) for item in answers), answers
    return answers


@pytest.mark.parametrize("time", range(3))
def test_both_ends_at_once_make_one_change(world: World, time: int) -> None:
    ada = world.subscriber()
    change = ask_change(world, ada)
    links = [link(world, change, step) for step in (Step.CONFIRM_OLD, Step.CONFIRM_NEW)]
    answers = at_once(world, *(("identity.confirm_email_change", STRANGER, item) for item in links))
    assert sorted(item.done for item in answers) == [False, True]
    assert world.account("new@example.org") == ada.id


def test_two_wishes_at_once_leave_one_that_waits(world: World) -> None:
    ada = world.subscriber("ada@example.org")
    phone = sign_in_subscriber(world, "ada@example.org")
    wishes = [(ada, "one@example.org"), (phone, "two@example.org")]
    made = at_once(world, *(("identity.ask_email_change", actor, AskEmailChange(to)) for actor, to in wishes))
    assert sorted(state_of(world, item.id) for item in made) == ["open", "superseded"]


def test_one_address_wished_by_two_goes_to_one(world: World) -> None:
    people = [world.subscriber() for _ in range(2)]
    changes = [ask_change(world, person) for person in people]
    for change in changes:
        world.do("identity.confirm_email_change", STRANGER, link(world, change, Step.CONFIRM_NEW))
    last = [link(world, change, Step.CONFIRM_OLD) for change in changes]
    answers = at_once(world, *(("identity.confirm_email_change", STRANGER, item) for item in last))
    assert [isinstance(item, DomainError) for item in answers].count(True) == 1
    assert sum(state_of(world, change) == "effective" for change in changes) == 1


def test_finishing_and_stopping_at_once_is_one_or_both_in_order(world: World) -> None:
    with_totp(world)
    identifier = ask_recovery(world)
    approved(world, identifier)
    world.clock.advance(days=3)
    finish, stop = link(world, identifier, Step.FINISH), link(world, identifier, Step.STOP)
    done = at_once(
        world, ("identity.finish_recovery", STRANGER, finish), ("identity.stop_recovery_by_link", STRANGER, stop)
    )
    assert not isinstance(done[1], DomainError)  # the owner is always heard
    assert done[1].too_late is not isinstance(done[0], DomainError)
