"""Erasing a subject: its key goes, a tombstone stays, in the store and in a file outside it.

The file makes an older copy of keys.db erase again by itself. A copy of the whole directory that was put back
is not seen here: replay the erasures that the ledger knows.
"""

from __future__ import annotations

import hmac
import json
import os
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from subscription_services.kernel.clock import Random

from .durable import sync_directory
from .encoding import bind
from .errors import KeyPolicyRefused, KeyStoreDamaged, KeyUnavailable
from .model import ACCOUNTING, Erasures, Tombstone
from .store import Tx


def store_id(tx: Tx, random: Random) -> bytes:
    """The random name of this key store, given at its first opening."""
    tx.execute("INSERT INTO meta (name, value) VALUES ('store-id', ?) ON CONFLICT DO NOTHING", (random(16),))
    name: bytes = tx.execute("SELECT value FROM meta WHERE name = 'store-id'").fetchone()[0]
    return name


def erase(tx: Tx, subject: str, purpose: str, reason: str, at: datetime) -> bool:
    """Delete every version of the subject's key; True when the tombstone is new. Raises KeyPolicyRefused."""
    if subject == ACCOUNTING:
        raise KeyPolicyRefused("What the law keeps cannot be erased: the accounting key stays.")
    tx.execute("DELETE FROM data_key WHERE kind = 'subject' AND name = ?", (subject,))
    added = tx.execute(
        "INSERT INTO tombstone (subject, purpose, reason, destroyed_at) VALUES (?, ?, ?, ?)"
        " ON CONFLICT (subject) DO NOTHING",
        (subject, purpose, reason[:500], at.astimezone(UTC).isoformat()),
    )
    return bool(added.rowcount)


def purpose_of(tx: Tx, subject: str) -> str | None:
    """The purpose that an erased subject's key had."""
    row = tx.execute("SELECT purpose FROM tombstone WHERE subject = ?", (subject,)).fetchone()
    return row[0] if row else None


def since(tx: Tx, generation: int) -> Erasures:
    """The subjects of all notices after `generation`."""
    rows = tx.execute("SELECT number, subject FROM notice WHERE number > ? ORDER BY number", (generation,)).fetchall()
    return Erasures(rows[-1][0] if rows else generation, tuple(row[1] for row in rows))


def tombstones(tx: Tx, after: int = 0) -> tuple[Tombstone, ...]:
    rows = tx.execute(
        "SELECT subject, purpose, reason, destroyed_at, generation FROM tombstone"
        " WHERE generation > ? ORDER BY generation",
        (after,),
    ).fetchall()
    return tuple(Tombstone(row[0], row[1], row[2], datetime.fromisoformat(row[3]), row[4]) for row in rows)


def replay(tx: Tx, known: Iterable[Tombstone]) -> tuple[Tombstone, ...]:
    """Erase every subject of `known` that is not erased here; returns those that were new."""
    return tuple(t for t in known if erase(tx, t.subject, t.purpose, t.reason, t.destroyed_at))


class ErasureFile:
    """One line per erasure, each with a MAC, so that nobody can have a key destroyed by writing a line."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known = (-1, -1)
        """Size of the file and generation of the store when both were last equal."""

    def reconcile(self, tx: Tx, mac_key: bytes) -> tuple[Tombstone, ...]:
        """Add to each side what only the other has, in the caller's write transaction; returns what was erased again.

        Raises KeyStoreDamaged when a line was changed, KeyUnavailable when the file cannot be written.
        """
        try:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "r+b") as file:
                size = os.fstat(file.fileno()).st_size
                replayed: tuple[Tombstone, ...] = ()
                if self._known[0] == size:
                    unwritten = tombstones(tx, self._known[1])
                else:
                    content = file.read()
                    size = content.rfind(b"\n") + 1
                    outside = [self._read(line, mac_key) for line in content[:size].splitlines()]
                    replayed = replay(tx, outside)
                    written = {tombstone.subject for tombstone in outside}
                    unwritten = tuple(t for t in tombstones(tx) if t.subject not in written)
                # What follows the last whole line is the rest of a write that never finished.
                file.truncate(size)
                file.seek(size)
                file.write(b"".join(self._line(tombstone, mac_key) for tombstone in unwritten))
                file.flush()
                os.fsync(file.fileno())
                size = file.tell()
            sync_directory(self._path.parent)
        except OSError as error:
            raise KeyUnavailable(
                f"The key is destroyed, but the list of erasures {self._path} cannot be written: {error.strerror}. "
                "Repeat the erasure when it can."
            ) from error
        self._known = (size, tx.execute("SELECT coalesce(max(generation), 0) FROM tombstone").fetchone()[0])
        return replayed

    def _line(self, tombstone: Tombstone, mac_key: bytes) -> bytes:
        fields = _fields(tombstone)
        return json.dumps([*fields, _mac(fields, mac_key)]).encode() + b"\n"

    def _read(self, line: bytes, mac_key: bytes) -> Tombstone:
        try:
            subject, purpose, reason, at, mac = json.loads(line)
            if hmac.compare_digest(mac, _mac((subject, purpose, reason, at), mac_key)):
                return Tombstone(subject, purpose, reason, datetime.fromisoformat(at), 0)
        except (ValueError, TypeError, AttributeError):
            pass
        raise KeyStoreDamaged(
            f"The list of erasures {self._path} was changed from outside. Put the right one back, "
            "or move it away and replay the erasures that the ledger holds."
        )


def _fields(tombstone: Tombstone) -> tuple[str, str, str, str]:
    at = tombstone.destroyed_at.astimezone(UTC).isoformat()
    return (tombstone.subject, tombstone.purpose, tombstone.reason, at)


def _mac(fields: tuple[str, str, str, str], mac_key: bytes) -> str:
    return hmac.digest(mac_key, bind("subs.erasure.v1", *fields), "sha256").hex()
