"""An entry of the log: the canonical JSON of an event with its writer and counter, and its authentication code.

Canonical: keys sorted, no white space, UTF-8, no floating-point numbers, fields with their default left out.
"""

from __future__ import annotations

from datetime import UTC
from typing import Any

import msgspec

from subscription_services.kernel.errors import DomainError
from subscription_services.kernel.events import Event
from subscription_services.kernel.ports import Keys

from .errors import EventRefused, ForgedRow
from .model import LONGEST, SEARCHED
from .tiles import MAX_ENTRY_BYTES

PURPOSE = "ledger.entry"
WRITER_PURPOSE = "ledger.writer"
CURSOR_PURPOSE = "ledger.cursor"
_LARGEST = 2**53 - 1


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """What one leaf of the tree says. `v` is the version of this layout."""

    event: Event
    writer: str
    counter: int
    v: int = 1


_encoder = msgspec.json.Encoder(order="sorted")
_decoder = msgspec.json.Decoder(Entry)


def encode_entry(entry: Entry) -> bytes:
    """The canonical bytes. Raises EventRefused for a float, a huge integer, bad text, or more than 65,535 bytes."""
    if entry.event.at.tzinfo is None or entry.event.at.utcoffset() != UTC.utcoffset(None):
        raise EventRefused("the time of an event is UTC")
    for name, value in entry.event.details.items():
        _check_detail(name, value)
    for name in SEARCHED:
        if len(getattr(entry.event, name)) > LONGEST:
            raise EventRefused(f"the {name} of an event has at most {LONGEST} characters")
    try:
        payload = _encoder.encode(entry)
    except (UnicodeEncodeError, TypeError, ValueError) as error:
        raise EventRefused(f"the event has no canonical form: {error}") from error
    if len(payload) > MAX_ENTRY_BYTES:
        raise EventRefused(f"an event of {len(payload)} bytes is larger than an entry may be")
    return payload


def decode_entry(payload: bytes) -> Entry:
    """Read an entry. Raises ForgedRow when the bytes are not the canonical form of one."""
    try:
        entry = _decoder.decode(payload)
        canonical = _encoder.encode(entry) == payload
    except (msgspec.MsgspecError, UnicodeError) as error:
        raise ForgedRow("the stored bytes are not an entry") from error
    if not canonical:
        raise ForgedRow("the stored bytes are not in canonical form")
    return entry


def row_of(entry: Entry, payload: bytes, mac: bytes) -> dict[str, Any]:
    """The columns of the entry's row."""
    columns = {name: str(getattr(entry.event, name)) for name in SEARCHED}
    return {
        "id": entry.event.id, "writer": entry.writer, "counter": entry.counter, "payload": payload, "mac": mac,
        "at": entry.event.at, **columns,
    }  # fmt: skip


def check_row(keys: Keys, row: Any) -> Entry:
    """The entry of a stored row, once its code and every search column are right. Raises ForgedRow."""
    verify(keys, PURPOSE, row.payload, row.mac, f"event {row.id}")
    entry = decode_entry(row.payload)
    for name, value in row_of(entry, row.payload, row.mac).items():
        if getattr(row, name) != value:
            raise ForgedRow(f"event {row.id}: the column {name} is not what the entry says")
    return entry


def counter_mac(keys: Keys, purpose: str, writer: str, counter: int) -> bytes:
    """The code that binds a writer's row (or its cursor) to its counter."""
    return keys.mac(purpose, f"{writer}\n{counter}".encode())


def check_counter(keys: Keys, purpose: str, row: Any) -> None:
    """Raises ForgedRow unless the row's counter was written with the key."""
    verify(keys, purpose, f"{row.writer}\n{row.counter}".encode(), row.mac, f"writer {row.writer}")


def verify(keys: Keys, purpose: str, message: bytes, mac: bytes, what: str) -> None:
    """Raises ForgedRow when the code is wrong; KeyUnavailable passes through."""
    try:
        keys.verify_mac(purpose, message, mac)
    except DomainError as error:
        if error.code != "mac-mismatch":
            raise
        raise ForgedRow(f"{what}: the authentication code is wrong") from None


def _check_detail(name: str, value: object) -> None:
    if isinstance(value, float):
        raise EventRefused(f"the detail {name} is a float, which has no single form in JSON")
    if isinstance(value, int) and not -_LARGEST <= value <= _LARGEST:
        raise EventRefused(f"the detail {name} is too large for JSON readers")
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return
    if value is not None and not isinstance(value, str | int | bool):
        raise EventRefused(f"the detail {name} is neither text, number, truth value nor list of texts")
