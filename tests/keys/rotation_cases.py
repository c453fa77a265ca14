"""Who may and who may not, for the rotation of keys."""

from __future__ import annotations

from subscription_services.kernel.actors import Role
from subscription_services.keys.model import Kind
from subscription_services.keys.operations.probing import ProbeRotation
from subscription_services.keys.operations.restrictions import ReadRestrictions, Restrict, Restriction
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
LESS = Restrict([Restriction("mail", "subject", Kind.SUBJECT)])


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
    Case(
        "keys.probe_rotation",
        lambda w: (w.system(), ProbeRotation()),
        lambda w: (w.team(Role.ADMINISTRATOR), ProbeRotation()),
    ),
    Case(
        "keys.restrictions",
        lambda w: (w.team(Role.OPERATIONS), ReadRestrictions()),
        lambda w: (w.team(Role.SUPPORT), ReadRestrictions()),
    ),
    Case(
        "keys.restrict",
        lambda w: approved(w, "keys.restrict", w.team(Role.SECURITY), LESS),
        lambda w: (w.team(Role.SECURITY), LESS),
    ),
]
