"""Who may and who may not, for each operation of this room."""

from __future__ import annotations

from subscription_services.keys.jobs import RecordAccess
from subscription_services.testing import Case, World
from subscription_services.testing.cases import Act

from . import backup_cases, reencryption_cases, root_cases, rotation_cases


def _entry(world: World) -> RecordAccess:
    now = world.clock()
    return RecordAccess("identity", "unwrap", "subject", "subject", "acc_1", "allowed", 1, now, now)


def _system(world: World) -> Act:
    return world.system("keys.journal"), _entry(world)


def _somebody(world: World) -> Act:
    return world.subscriber(), _entry(world)


CASES = [
    Case("keys.record_access", _system, _somebody),
    *backup_cases.CASES,
    *root_cases.CASES,
    *rotation_cases.CASES,
    *reencryption_cases.CASES,
]
