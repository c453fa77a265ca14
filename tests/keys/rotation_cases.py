"""Who may and who may not, for the rotation of keys."""

from __future__ import annotations

from subscription_services.kernel.actors import Role
from subscription_services.keys.operations.rotation import (
    DestroyVersion,
    ReadStates,
    Retire,
    Rewrap,
    Rotate,
    RotateWhenDue,
)
from subscription_services.testing import Case, World
from subscription_services.testing.cases import Act

from .approving import approved

PURPOSE = "subject"


def _destroy(world: World) -> Act:
    member = world.team(Role.SECURITY)
    world.do("keys.rotate", member, Rotate(PURPOSE))
    world.do("keys.rewrap", world.system(), Rewrap(PURPOSE))
    return approved(world, "keys.destroy_version", member, DestroyVersion(PURPOSE, 1))


def _retire(world: World) -> Act:
    world.subscriber()
    return world.system(), Retire(PURPOSE)


CASES = [
    Case("keys.states", lambda w: (w.team(Role.AUDITOR), ReadStates()), lambda w: (w.subscriber(), ReadStates())),
    Case(
        "keys.rotate",
        lambda w: (w.team(Role.SECURITY), Rotate(PURPOSE)),
        lambda w: (w.team(Role.SUPPORT), Rotate(PURPOSE)),
    ),
    Case(
        "keys.rotate_when_due",
        lambda w: (w.system(), RotateWhenDue(PURPOSE, 1)),
        lambda w: (w.team(Role.ADMINISTRATOR), RotateWhenDue(PURPOSE, 1)),
    ),
    Case(
        "keys.rewrap",
        lambda w: (w.system(), Rewrap(PURPOSE)),
        lambda w: (w.team(Role.ADMINISTRATOR), Rewrap(PURPOSE)),
    ),
    Case(
        "keys.retire",
        _retire,
        lambda w: (w.team(Role.ADMINISTRATOR), Retire(PURPOSE)),
    ),
    Case(
        "keys.destroy_version",
        _destroy,
        lambda w: (w.team(Role.ADMINISTRATOR), DestroyVersion(PURPOSE, 1)),
    ),
]
