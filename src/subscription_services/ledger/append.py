"""Inserting events in the transaction of what they record.

Each event takes the next counter of a writer; writer row, counter and event come and go with the transaction or its
savepoint, so that a counter left out means that somebody removed a row.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, bindparam, insert, select, update

from subscription_services.kernel.events import Event
from subscription_services.kernel.ids import Ids
from subscription_services.kernel.ports import KeysFor

from . import model
from .entries import PURPOSE, WRITER_PURPOSE, Entry, check_counter, counter_mac, encode_entry, row_of
from .errors import ForgedRow

# Where transactions run side by side each takes a writer that no other one holds; there come to be as many
# writers as there were transactions at once.
_FREE = select(model.writer).order_by(model.writer.c.writer).limit(1).with_for_update(skip_locked=True)
_WRITER = model.writer.c.writer
_ADVANCE = (
    update(model.writer)
    .where(model.writer.c.writer == bindparam("held"))
    .values(counter=bindparam("to"), mac=bindparam("code"))
)
_INSERT = insert(model.event)


class DatabaseEventLog:
    """See `kernel.ports.EventLog`. Raises EventRefused for an event that cannot be an entry."""

    def __init__(self, keys: KeysFor, ids: Ids) -> None:
        self._keys = keys.for_caller("ledger")
        self._ids = ids

    def append(self, connection: Connection, events: Sequence[Event]) -> None:
        """Insert the events' rows in the caller's transaction."""
        if not events:
            return
        held, counter = self._writer(connection)
        rows = []
        for event in events:
            counter += 1
            entry = Entry(event=event, writer=held, counter=counter)
            payload = encode_entry(entry)
            rows.append(row_of(entry, payload, self._keys.mac(PURPOSE, payload)))
        code = counter_mac(self._keys, WRITER_PURPOSE, held, counter)
        connection.execute(_ADVANCE, {"held": held, "to": counter, "code": code})
        connection.execute(_INSERT, rows)

    def _writer(self, connection: Connection) -> tuple[str, int]:
        """A writer of this transaction's own, and its last counter."""
        forged: list[str] = []
        while row := connection.execute(_FREE.where(_WRITER.not_in(forged)) if forged else _FREE).first():
            try:
                check_counter(self._keys, WRITER_PURPOSE, row)
            except ForgedRow:
                # never written over: the sequencer must find it as it is, while the service goes on
                forged.append(row.writer)
                continue
            return row.writer, row.counter
        name = self._ids.new("wri")
        code = counter_mac(self._keys, WRITER_PURPOSE, name, 0)
        connection.execute(insert(model.writer), {"writer": name, "counter": 0, "mac": code})
        return name, 0
