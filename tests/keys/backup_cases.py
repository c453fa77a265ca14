"""Who may and who may not, for backups of the keys."""

from __future__ import annotations

from subscription_services.kernel.actors import Role
from subscription_services.keys.operations.backup import BackUp, ListBackups, RecordRestore, Restore
from subscription_services.testing import Case, World, approving
from subscription_services.testing.cases import Act

DIGEST = "ab" * 32


def _allowed(world: World) -> Act:
    member, request = world.team(Role.SECURITY), Restore(DIGEST, world.clock(), 7)
    approving.approved(world, member, "keys.restore", request)
    return member, request


def _record() -> RecordRestore:
    return RecordRestore(DIGEST, 0, 1, "the list")


CASES = [
    Case("keys.backup", lambda w: (w.team(Role.OPERATIONS), BackUp()), lambda w: (w.team(Role.SUPPORT), BackUp())),
    Case("keys.backups", lambda w: (w.team(Role.SECURITY), ListBackups()), lambda w: (w.subscriber(), ListBackups())),
    Case("keys.restore", _allowed, lambda w: (w.team(Role.SECURITY), Restore(DIGEST, w.clock(), 7))),
    Case("keys.record_restore", lambda w: (w.system("cli"), _record()), lambda w: (w.team(Role.SECURITY), _record())),
]
