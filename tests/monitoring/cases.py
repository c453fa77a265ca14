"""Who may and who may not, for each operation of this room: the service itself, and nobody else."""

from __future__ import annotations

from subscription_services.kernel.actors import Role
from subscription_services.monitoring.operations import (
    PresentSetting,
    RecordMigration,
    RecordPartEnded,
    RecordSettings,
    RecordStart,
    RecordStop,
    RecordUncleanStop,
)
from subscription_services.testing import Case, World

NODE = "nod_test"
START = RecordStart(NODE, "1", "0001")
SETTINGS = RecordSettings(NODE, [PresentSetting("SUBS_HOST", "127.0.0.1", "00")])
MIGRATION = RecordMigration("0001", "0002")
PART = RecordPartEnded("work", -9, 0)


def _run(world: World) -> str:
    return str(world.do("monitoring.record_start", world.system("service"), START).id)


def _unclean(world: World) -> RecordUncleanStop:
    _run(world)
    return RecordUncleanStop(NODE)


CASES = [
    Case("monitoring.record_start", lambda w: (w.system(), START), lambda w: (w.team(Role.OPERATIONS), START)),
    Case(
        "monitoring.record_stop",
        lambda w: (w.system(), RecordStop(_run(w))),
        lambda w: (w.team(Role.OPERATIONS), RecordStop(_run(w))),
    ),
    Case(
        "monitoring.record_unclean_stop",
        lambda w: (w.system(), _unclean(w)),
        lambda w: (w.team(Role.OPERATIONS), _unclean(w)),
    ),
    Case("monitoring.record_migration", lambda w: (w.system(), MIGRATION), lambda w: (w.subscriber(), MIGRATION)),
    Case("monitoring.record_part_ended", lambda w: (w.system(), PART), lambda w: (w.team(Role.SECURITY), PART)),
    Case("monitoring.record_settings", lambda w: (w.system(), SETTINGS), lambda w: (w.team(Role.SECURITY), SETTINGS)),
]
