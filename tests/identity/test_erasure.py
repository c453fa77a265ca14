"""Destroying a person's key makes what is sealed unreadable everywhere, in the log too."""

from __future__ import annotations

import pytest

from subscription_services.identity.operations.profile import ShowProfile
from subscription_services.kernel.errors import SubjectErased
from subscription_services.ledger import personal_fields
from subscription_services.testing import World


def test_nothing_of_an_erased_person_opens(world: World) -> None:
    actor, other = world.subscriber("ada@example.org"), world.subscriber()
    keys = world.house.ring.for_caller("ledger")
    mine = [event for event in world.events() if event.sealed_for == actor.id]
    assert mine
    assert all(personal_fields(keys, event)["address"] == "127.0.0.9" for event in mine)
    world.house.ring.for_caller("privacy").destroy_subject(actor.id, "asked for by the person")
    assert all(personal_fields(keys, event) == {} for event in mine)
    with pytest.raises(SubjectErased):
        world.do("identity.profile", actor, ShowProfile())
    assert world.do("identity.profile", other, ShowProfile()).name == "Ada Example"
    with pytest.raises(SubjectErased):
        world.house.ring.for_caller("identity").ensure_subject(actor.id)
