"""Who may and who may not, for backups of the keys."""

from __future__ import annotations

from subscription_services.kernel.actors import Role
from subscription_services.keys.operations.backup import AgreeToRestore, BackUp, ListBackups, RecordRestore
from subscription_services.testing import Case, World
from subscription_services.testing.cases import Act

DIGEST = "ab" * 32


def restore(world: World) -> RecordRestore:
    return RecordRestore(DIGEST, world.clock(), 7, 0, 1, "the list", "acc_other")


def _agree(world: World) -> Act:
    return world.team(Role.ADMINISTRATOR), AgreeToRestore(DIGEST)


def _agree_as_auditor(world: World) -> Act:
    return world.team(Role.AUDITOR), AgreeToRestore(DIGEST)


def _restore_too_late(world: World) -> Act:
    member = world.team(Role.SECURITY)
    world.clock.advance(minutes=16)
    return member, restore(world)


CASES = [
    Case("keys.backup", lambda w: (w.team(Role.OPERATIONS), BackUp()), lambda w: (w.team(Role.SUPPORT), BackUp())),
    Case("keys.backups", lambda w: (w.team(Role.SECURITY), ListBackups()), lambda w: (w.subscriber(), ListBackups())),
    Case("keys.agree_to_restore", _agree, _agree_as_auditor),
    Case("keys.restore", lambda w: (w.team(Role.SECURITY), restore(w)), _restore_too_late),
]
