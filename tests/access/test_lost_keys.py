"""Keys put back at the terminal, where nothing can be served: two people all the same, once, and told of where not."""

from __future__ import annotations

from typing import Any

import pytest

from subscription_services.access.errors import NotIndependent
from subscription_services.access.letter_parts import SECURITY_CONTACT
from subscription_services.access.letters import LETTERS
from subscription_services.access.operations.lost_keys import AgreeToRestore, RestoreLostKeys
from subscription_services.kernel.actors import Role
from subscription_services.kernel.context import Origin
from subscription_services.kernel.errors import ApprovalNeeded, Refusal
from subscription_services.mail import SiteFacts
from subscription_services.testing import World
from subscription_services.testing.approving import invited

from .granting import letters, people_with

DIGEST, OTHER = "ab" * 32, "cd" * 32


def test_what_somebody_agreed_to_is_done_once_within_the_hour_and_is_nothing_else(world: World) -> None:
    first, second, third = world.team(Role.OPERATIONS), world.team(Role.SECURITY), world.team(Role.OPERATIONS)
    for request in (RestoreLostKeys(DIGEST, world.clock(), second.id), RestoreLostKeys(DIGEST, world.clock())):
        with pytest.raises(ApprovalNeeded):
            world.do("access.restore_lost_keys", first, request)
    world.do("access.agree_to_restore", second, AgreeToRestore(DIGEST, first.id))
    for actor, digest in ((third, DIGEST), (first, OTHER)):
        with pytest.raises(ApprovalNeeded):
            world.do("access.restore_lost_keys", actor, RestoreLostKeys(digest, world.clock(), second.id))
    world.clock.advance(minutes=1)
    world.do("access.restore_lost_keys", first, RestoreLostKeys(DIGEST, world.clock(), second.id))
    with pytest.raises(ApprovalNeeded):
        world.do("access.restore_lost_keys", first, RestoreLostKeys(DIGEST, world.clock(), second.id))


def test_it_is_no_second_door_of_the_service(world: World) -> None:
    first, second = world.team(Role.OPERATIONS), world.team(Role.SECURITY)
    for channel in ("api", "page"):
        origin = Origin(channel=channel)
        with pytest.raises(Refusal, match="terminal"):
            world.do("access.agree_to_restore", second, AgreeToRestore(DIGEST, first.id), origin=origin)
        with pytest.raises(Refusal, match="terminal"):
            world.do("access.restore_lost_keys", first, RestoreLostKeys(DIGEST, world.clock()), origin=origin)


def test_neither_oneself_nor_an_alias_nor_whom_one_invited_agrees(world: World) -> None:
    boss = people_with(world, "grace@example.org", Role.ADMINISTRATOR)
    alias = people_with(world, "grace+two@example.org", Role.SECURITY)
    newcomer = invited(world, boss, "new@example.org", Role.SECURITY)
    for other in (boss, alias):
        with pytest.raises(NotIndependent):
            world.do("access.agree_to_restore", other, AgreeToRestore(DIGEST, boss.id))
    with pytest.raises(Refusal):
        world.do("access.restore_lost_keys", boss, RestoreLostKeys(DIGEST, world.clock(), newcomer))


def test_somebody_alone_does_it_and_everybody_is_told(world: World) -> None:
    boss, helper = world.team(Role.ADMINISTRATOR), world.team(Role.SUPPORT)
    world.do("access.restore_lost_keys", boss, RestoreLostKeys(DIGEST, world.clock()))
    told = {item.account for item in letters(world, "access.restored_alone")}
    assert told == {boss.id, helper.id, SECURITY_CONTACT}
    kind = next(item for item in LETTERS if item.name == "access.restored_alone")
    site = SiteFacts("https://localhost:8443", "Subscription Services", "support@example.org")
    written: Any = world.run(kind.compose(world.house.kernel, site, SECURITY_CONTACT, {"by": boss.id}))
    assert (written.to, "Tess Team put a backup" in written.text) == ("security@example.org", True)
