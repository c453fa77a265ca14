"""What the supervisor tells the log: start, stop, settings, migration. Once for the process group, not per process."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from subscription_services.kernel.actors import System
from subscription_services.kernel.ids import PATTERN
from subscription_services.kernel.perform import Kernel, perform
from subscription_services.kernel.settings import Settings, Slice, entries

from .model import LONGEST
from .operations import (
    PresentSetting,
    RecordMigration,
    RecordPartEnded,
    RecordSettings,
    RecordStart,
    RecordStop,
    RecordUncleanStop,
    record_migration,
    record_part_ended,
    record_settings,
    record_start,
    record_stop,
    record_unclean_stop,
)
from .queries import running, unrecorded

ACTOR = System("service")
NODE_FILE = "node"
_CODE = "monitoring.setting"


@dataclass(frozen=True, slots=True)
class Present:
    """What runs now: the version of the program, the revision of the schema, and every setting."""

    version: str
    revision: str
    settings: Settings
    slices: Sequence[Slice]


@dataclass(frozen=True, slots=True)
class Started:
    """The run that began, and what was found about the one before."""

    run: str
    unclean: bool
    changed: tuple[str, ...]


def node_of(kernel: Kernel, data: Path) -> str:
    """The name of this installation's process group, made at its first start. Stays with the data directory."""
    path = data / NODE_FILE
    try:
        found = path.read_text("ascii").strip()
    except FileNotFoundError:
        found = ""
    if PATTERN.fullmatch(found):
        return found
    made = kernel.context(ACTOR).ids.new("nod")
    path.write_text(f"{made}\n", "ascii")
    path.chmod(0o600)
    return made


async def started(kernel: Kernel, data: Path, present: Present) -> Started:
    """Record an earlier end without a stop, settings that differ from the last start, and this start."""
    node = node_of(kernel, data)
    codes = setting_codes(kernel, present.settings, present.slices)
    earlier = await kernel.store.read(lambda connection: running(connection, node))
    if earlier:
        await perform(kernel, record_unclean_stop, ACTOR, RecordUncleanStop(node))
    differing = await kernel.store.read(
        lambda connection: unrecorded(connection, node, {item.variable: item.code for item in codes})
    )
    if differing:
        await perform(kernel, record_settings, ACTOR, RecordSettings(node, codes))
    begun = await perform(kernel, record_start, ACTOR, RecordStart(node, present.version, present.revision))
    return Started(begun.id, bool(earlier), tuple(differing))


async def stopped(kernel: Kernel, run: str) -> None:
    """Record that the run ended as it was told to."""
    await perform(kernel, record_stop, ACTOR, RecordStop(run))


async def migrated(kernel: Kernel, before: str, after: str) -> None:
    """Record that the schema changed; nothing when it did not."""
    if before != after:
        await perform(kernel, record_migration, ACTOR, RecordMigration(before, after))


async def part_ended(kernel: Kernel, part: str, status: int, restarts: int) -> None:
    """Record that a process ended by itself."""
    await perform(kernel, record_part_ended, ACTOR, RecordPartEnded(part[:40], status, restarts))


def setting_codes(kernel: Kernel, settings: Settings, slices: Sequence[Slice]) -> list[PresentSetting]:
    """Every setting with the keyed code of its value; the value itself only where it is no secret."""
    keys = kernel.keys.for_caller("monitoring")
    found = []
    for part in slices:
        values = settings.of(part.type)
        for entry in entries(part):
            text = str(getattr(values, entry.field))
            code = keys.mac(_CODE, f"{entry.variable}={text}".encode()).hex()
            found.append(PresentSetting(entry.variable, "" if entry.secret else text[:LONGEST], code))
    return found
