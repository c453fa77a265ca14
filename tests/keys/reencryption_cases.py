"""Who may and who may not, for re-encryption."""

from __future__ import annotations

from subscription_services.kernel.actors import Role
from subscription_services.keys.operations.reencryption import (
    DiscardVersion,
    Position,
    ReadReencryptions,
    Reencrypt,
    Step,
)
from subscription_services.keys.tables import Phase
from subscription_services.testing import Case, World
from subscription_services.testing.cases import Act

from .approving import approved


def _step(world: World) -> Step:
    started = world.do("keys.reencrypt", world.team(Role.SECURITY), Reencrypt(world.subscriber().id))
    return Step(started.id, Position(Phase.RENEWING), Position(Phase.RENEWING, after="x"))


def _discard(world: World) -> Act:
    member, person = world.team(Role.SECURITY), world.subscriber().id
    world.do("keys.reencrypt", member, Reencrypt(person))
    world.run_jobs()
    world.clock.advance(seconds=61)
    world.run_jobs()
    return approved(world, "keys.discard_version", member, DiscardVersion(person, 1))


CASES = [
    Case(
        "keys.reencrypt",
        lambda w: (w.team(Role.SECURITY), Reencrypt(w.subscriber().id)),
        lambda w: (w.team(Role.OPERATIONS), Reencrypt(w.subscriber().id)),
    ),
    Case(
        "keys.reencryptions",
        lambda w: (w.team(Role.AUDITOR), ReadReencryptions()),
        lambda w: (w.subscriber(), ReadReencryptions()),
    ),
    Case(
        "keys.reencrypt_step",
        lambda w: (w.system(), _step(w)),
        lambda w: (w.team(Role.ADMINISTRATOR), _step(w)),
    ),
    Case(
        "keys.discard_version",
        _discard,
        lambda w: (w.team(Role.ADMINISTRATOR), DiscardVersion(w.subscriber().id, 1)),
    ),
]
