"""What attackers do at the door and with what they have got hold of, through the whole service with its edge."""

from __future__ import annotations

from subscription_services.identity.operations.devices import ChooseHours, ChooseIdle, ListDevices
from subscription_services.identity.operations.sign_in import SignIn
from subscription_services.kernel.actors import Anonymous
from subscription_services.testing import World
from subscription_services.testing.people import PASSWORD

ADA = "ada@example.org"
STRANGER = Anonymous()


def test_a_session_that_ran_out_does_not_come_back_with_a_longer_time(world: World) -> None:
    ada = world.subscriber(ADA)
    world.do("identity.choose_idle", ada, ChooseIdle(5))
    world.do("identity.choose_hours", ada, ChooseHours(1))
    left = world.do("identity.sign_in", STRANGER, SignIn(ADA, PASSWORD)).id
    world.clock.advance(minutes=4)
    world.do("identity.choose_hours", ada, ChooseHours(1))
    here = world.do("identity.sign_in", STRANGER, SignIn(ADA, PASSWORD))
    world.clock.advance(minutes=2)
    me = type(ada)(ada.id, here.id, world.clock(), False)
    world.do("identity.choose_idle", me, ChooseIdle(30))
    world.do("identity.choose_hours", me, ChooseHours(12))
    assert left not in {item.id for item in world.do("identity.devices", me, ListDevices())}
