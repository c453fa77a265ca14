"""The minimum index (C2SP tlog-tiles, pruning): entries below it are gone, their hashes and so the tree stay."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

import msgspec
from sqlalchemy import Connection, func, insert, select

from subscription_services.kernel.ports import Keys

from . import model
from .entries import verify
from .errors import ForgedRow

PURPOSE = "ledger.minimum"
_encoder = msgspec.json.Encoder(order="sorted")


@dataclass(frozen=True, slots=True)
class Minimum:
    """The lowest index that can be read, and the counter of each writer's last event below it."""

    index: int = 0
    counters: Mapping[str, int] = field(default_factory=dict)


def minimum_index(connection: Connection) -> int:
    """The recorded index alone, for publishing; 0 where nothing was pruned."""
    found: int | None = connection.execute(select(func.max(model.minimum.c.minimum))).scalar()
    return found or 0


def read_minimum(connection: Connection, keys: Keys) -> Minimum:
    """The minimum with its counters. Raises ForgedRow unless it was recorded with the key."""
    row = connection.execute(select(model.minimum).order_by(model.minimum.c.minimum.desc()).limit(1)).first()
    if row is None:
        return Minimum()
    verify(keys, PURPOSE, _message(row.minimum, row.counters), row.mac, f"minimum index {row.minimum}")
    try:
        return Minimum(row.minimum, msgspec.json.decode(row.counters, type=dict[str, int]))
    except msgspec.MsgspecError as error:
        raise ForgedRow(f"minimum index {row.minimum}: its counters cannot be read") from error


def raise_minimum(connection: Connection, keys: Keys, minimum: Minimum, now: datetime) -> None:
    """Record a higher minimum, before anything below it is removed (the triggers ask for it)."""
    counters = _encoder.encode(minimum.counters)
    mac = keys.mac(PURPOSE, _message(minimum.index, counters))
    values = {"minimum": minimum.index, "counters": counters, "mac": mac, "at": now}
    connection.execute(insert(model.minimum), values)


def _message(index: int, counters: bytes) -> bytes:
    return b"%d\n" % index + counters
