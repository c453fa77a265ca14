"""Tables of the log. An event is inserted once and never changed; what the sequencer learns stands beside it."""

from __future__ import annotations

from sqlalchemy import BigInteger, CheckConstraint, Column, Index, Integer, LargeBinary, String, Table, literal_column
from sqlalchemy import UniqueConstraint as Unique

from subscription_services.kernel.columns import Instant
from subscription_services.kernel.model import metadata
from subscription_services.storage.sealed import Sealed, personal

LEAST_DAYS = 90
"""Days that events are kept at the very least."""
LONGEST = 200
"""Characters that a searched value may have, the same on both engines."""

# compared by code point everywhere, not by the rules of some language
_Text = String(LONGEST).with_variant(String(LONGEST, collation="C"), "postgresql")

writer = Table(
    "ledger_writer",
    metadata,
    Column("writer", _Text, primary_key=True),
    Column("counter", BigInteger, nullable=False),  # of the last event; rolled back with it
    Column("mac", LargeBinary, nullable=False),
)

# `payload` is the entry: the canonical JSON that is hashed, authenticated and published. The other columns
# repeat parts of it, for searching only; the sequencer and verification hold them against it.
event = Table(
    "ledger_event",
    metadata,
    Column("id", _Text, primary_key=True),
    Column("writer", _Text, nullable=False),
    Column("counter", BigInteger, nullable=False),
    Column("payload", LargeBinary, nullable=False),
    Column("mac", LargeBinary, nullable=False),
    Column("at", Instant, nullable=False),
    Column("action", _Text, nullable=False),
    Column("outcome", _Text, nullable=False),
    Column("actor_kind", _Text, nullable=False),
    Column("actor", _Text, nullable=False),
    Column("object_kind", _Text, nullable=False),
    Column("object", _Text, nullable=False),
    Column("subject", _Text, nullable=False),
    Column("origin_index", _Text, nullable=False),
    Column("correlation", _Text, nullable=False),
    Unique("writer", "counter"),
)
SEARCHED = ("action", "outcome", "actor_kind", "actor", "object_kind", "object", "subject", "origin_index",
            "correlation")  # fmt: skip
Index("ix_ledger_event_at", event.c.at, event.c.id)
Index("ix_ledger_event_action", event.c.action, event.c.at, event.c.id)
Index("ix_ledger_event_actor", event.c.actor, event.c.at, event.c.id)
PARTIAL = {"object": "", "subject": "", "origin_index": "", "correlation": "", "outcome": "success"}
"""The value that most rows share has no place in the index: nobody looks for it, and each index costs every insert."""
for _name, _common in PARTIAL.items():
    _where = event.c[_name] != literal_column(f"'{_common}'")
    Index(f"ix_ledger_event_{_name}", event.c[_name], event.c.at, event.c.id,
          sqlite_where=_where, postgresql_where=_where)  # fmt: skip

entry = Table(
    "ledger_entry",
    metadata,
    Column("log_index", BigInteger, primary_key=True, autoincrement=False),
    Column("event_id", _Text, nullable=False, unique=True),
    CheckConstraint("log_index >= 0", name="from_zero"),
)

cursor = Table(
    "ledger_cursor",
    metadata,
    Column("writer", _Text, primary_key=True),
    Column("counter", BigInteger, nullable=False),  # of the last event that was sequenced
    Column("mac", LargeBinary, nullable=False),
)

tile = Table(
    "ledger_tile",
    metadata,
    Column("level", Integer, primary_key=True, autoincrement=False),
    Column("tile_index", BigInteger, primary_key=True, autoincrement=False),
    Column("hashes", LargeBinary, nullable=False),  # up to 256 of them; only ever grows
)

checkpoint = Table(
    "ledger_checkpoint",
    metadata,
    Column("size", BigInteger, primary_key=True, autoincrement=False),
    Column("root", LargeBinary, nullable=False),
    Column("note", LargeBinary, nullable=False),
    Column("at", Instant, nullable=False),
)

# The lowest index that can be read; the hashes of all entries stay. `counters` says how far each writer was there.
minimum = Table(
    "ledger_minimum",
    metadata,
    Column("minimum", BigInteger, primary_key=True, autoincrement=False),
    Column("counters", LargeBinary, nullable=False),  # JSON: writer to the counter of its last event that was pruned
    Column("mac", LargeBinary, nullable=False),
    Column("at", Instant, nullable=False),
    CheckConstraint("minimum > 0 AND minimum % 256 = 0", name="whole_bundles"),
)

# How long events are kept. The triggers read it; it only ever grows.
period = Table(
    "ledger_period",
    metadata,
    Column("place", Integer, primary_key=True, autoincrement=False),
    Column("days", Integer, nullable=False),
    CheckConstraint("place = 1", name="one_row"),
    CheckConstraint(f"days >= {LEAST_DAYS}", name="long_enough"),
)

# A legal hold on a person, on a span of time, or both; what it covers is not pruned until it is released.
hold = Table(
    "ledger_hold",
    metadata,
    Column("id", String(48), primary_key=True),  # hol_
    Column("subject", _Text, nullable=False),  # "" for everybody
    Column("since", Instant),
    Column("until", Instant),
    Column("reason", Sealed("ledger.hold.reason"), nullable=False),
    Column("placed_by", String(48), nullable=False),
    Column("placed_at", Instant, nullable=False),
    Column("released_by", String(48)),
    Column("released_at", Instant),
    CheckConstraint("subject <> '' OR since IS NOT NULL OR until IS NOT NULL", name="says_what"),
    CheckConstraint("since IS NULL OR until IS NULL OR until > since", name="in_order"),
    CheckConstraint("(released_at IS NULL) = (released_by IS NULL)", name="released_by_somebody"),
    info=personal("placed_by"),
)

cosignature = Table(
    "ledger_cosignature",
    metadata,
    Column("size", BigInteger, primary_key=True, autoincrement=False),  # of the checkpoint
    Column("witness", _Text, primary_key=True),  # name and key id of the witness
    Column("line", LargeBinary, nullable=False),  # as it stands under the checkpoint
    Column("at", Instant, nullable=False),
)

TABLES = (writer, event, entry, cursor, tile, checkpoint)
BESIDE = (minimum, period, hold, cosignature)
