"""Root -> versioned key-encryption keys, one set per purpose -> versioned data keys.

Data keys are sealed with AES-256-GCM under the newest key-encryption key of their purpose, bound to kind,
purpose, name and version: a wrapped key moved to another row does not open.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from struct import pack, unpack

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from subscription_services.kernel.clock import Random

from .encoding import bind
from .errors import KeyTampered, KeyUnavailable, NoSuchKey, SubjectErased
from .model import AES_GCM_LIMIT, Kind
from .ports import RootProvider
from .states import Reason
from .store import Tx

ROTATE_AT = AES_GCM_LIMIT - 2**24
"""Uses of a key-encryption key from which the next one wraps with a new version."""
_NONCE = 12


@dataclass(frozen=True, slots=True)
class StoredKey:
    """A row of data_key."""

    kind: Kind
    name: str
    version: int
    purpose: str
    kek_version: int
    wrapped: bytes = field(repr=False)
    uses: int
    closed: bool = False

    @property
    def bound_to(self) -> bytes:
        return bind("subs.data-key.v1", self.kind, self.purpose, self.name, self.version, self.kek_version)


class Hierarchy:
    """Wraps and unwraps inside the caller's transaction; keeps the unwrapped key-encryption keys."""

    def __init__(
        self, root: RootProvider, store_id: bytes, random: Random, rotated: Callable[[Tx, str, Reason], None]
    ) -> None:
        """`rotated` is told of every further version, in the transaction that makes it."""
        self._root = root
        self._store_id = store_id
        self._random = random
        self._rotated = rotated
        self._keks: dict[tuple[str, int, bytes], AESGCM] = {}

    def create(
        self, tx: Tx, kind: Kind, purpose: str, name: str, length: int, now: datetime, renewal: str = ""
    ) -> StoredKey:
        """Make the next version of a data key. Raises SubjectErased."""
        check_not_erased(tx, kind, name)
        row = tx.execute(
            "SELECT coalesce(max(version), 0) + 1 FROM data_key WHERE kind = ? AND name = ?", (kind.value, name)
        ).fetchone()
        key = StoredKey(kind, name, row[0], purpose, self._current_kek(tx, purpose, now), b"", 0)
        wrapped = self._wrap(tx, purpose, key.kek_version, self._random(length), key.bound_to)
        tx.execute(
            "INSERT INTO data_key (kind, name, version, purpose, kek_version, wrapped, created_at, renewal)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                kind.value,
                name,
                key.version,
                purpose,
                key.kek_version,
                wrapped,
                now.astimezone(UTC).isoformat(),
                renewal,
            ),
        )
        return StoredKey(kind, name, key.version, purpose, key.kek_version, wrapped, 0)

    def unwrap(self, tx: Tx, key: StoredKey) -> bytes:
        """The data key itself. Raises KeyTampered."""
        return self._unwrap(tx, key.purpose, key.kek_version, key.wrapped, key.bound_to)

    def reserve(self, tx: Tx, key: StoredKey, count: int) -> None:
        """Count `count` uses of a data key in advance."""
        tx.execute(
            "UPDATE data_key SET uses = uses + ? WHERE kind = ? AND name = ? AND version = ?",
            (count, key.kind.value, key.name, key.version),
        )

    def wrap_foreign(self, tx: Tx, purpose: str, context: bytes, key: bytes, now: datetime) -> bytes:
        """Wrap a key that is kept elsewhere; the answer begins with the version of the key-encryption key."""
        version = self._current_kek(tx, purpose, now)
        tx.execute(
            "UPDATE kek SET foreign_keys = foreign_keys + 1 WHERE purpose = ? AND version = ?", (purpose, version)
        )
        bound = bind("subs.foreign-key.v1", purpose, version, context)
        return b"\x01" + pack(">I", version) + self._wrap(tx, purpose, version, key, bound)

    def unwrap_foreign(self, tx: Tx, purpose: str, context: bytes, wrapped: bytes) -> bytes:
        """Raises KeyTampered."""
        if len(wrapped) < 5 or wrapped[0] != 1:
            raise KeyTampered
        version = unpack(">I", wrapped[1:5])[0]
        return self._unwrap(tx, purpose, version, wrapped[5:], bind("subs.foreign-key.v1", purpose, version, context))

    def rotate(self, tx: Tx, purpose: str, now: datetime, reason: Reason) -> int:
        """Add the purpose's next key-encryption key."""
        newest = newest_kek(tx, purpose)
        version = newest + 1
        at = now.astimezone(UTC).isoformat()
        tx.execute(
            "INSERT INTO kek (purpose, version, wrapped, created_at, reason, finished_at) VALUES (?, ?, ?, ?, ?, ?)",
            (
                purpose,
                version,
                self._root.wrap(self._random(32), kek_context(self._store_id, purpose, version)),
                at,
                (reason if newest else Reason.FIRST).value,
                None if left_to_move(tx, purpose, version) else at,
            ),
        )
        if newest:
            self._rotated(tx, purpose, reason)
        return version

    def rewrap(self, tx: Tx, purpose: str, limit: int, now: datetime) -> tuple[int, int]:
        """Wrap up to `limit` data keys under the newest version, each only if it is still as it was read.

        Returns how many moved and how many are left. Raises KeyTampered when those that are left do not open.
        """
        newest = self._current_kek(tx, purpose, now)
        rows = tx.execute(
            _SELECT + " WHERE purpose = ? AND kek_version < ? ORDER BY kek_version LIMIT ?",
            (purpose, newest, limit),
        ).fetchall()
        moved, damaged = 0, None
        for row in rows:
            old = _stored(row)
            try:
                material = self.unwrap(tx, old)
            except KeyTampered as error:
                # one row that was changed from outside must not hold up all others
                damaged = error
                continue
            new = StoredKey(old.kind, old.name, old.version, purpose, newest, b"", old.uses)
            moved += tx.execute(
                "UPDATE data_key SET kek_version = ?, wrapped = ?"
                " WHERE kind = ? AND name = ? AND version = ? AND wrapped = ?",
                (
                    newest,
                    self._wrap(tx, purpose, newest, material, new.bound_to),
                    old.kind.value,
                    old.name,
                    old.version,
                    old.wrapped,
                ),
            ).rowcount
        if damaged is not None and not moved:
            raise damaged
        left = left_to_move(tx, purpose, newest)
        tx.execute(
            "UPDATE kek SET moved = moved + ?, finished_at = CASE WHEN ? THEN NULL ELSE coalesce(finished_at, ?) END"
            " WHERE purpose = ? AND version = ?",
            (moved, left, now.astimezone(UTC).isoformat(), purpose, newest),
        )
        return moved, left

    def forget(self, tx: Tx) -> None:
        """Drop unwrapped key-encryption keys that were destroyed."""
        kept = {(row[0], row[1], row[2]) for row in tx.execute("SELECT purpose, version, wrapped FROM kek")}
        for known in self._keks.keys() - kept:
            self._keks.pop(known, None)

    def _current_kek(self, tx: Tx, purpose: str, now: datetime) -> int:
        row = tx.execute(
            "SELECT version, uses FROM kek WHERE purpose = ? ORDER BY version DESC LIMIT 1", (purpose,)
        ).fetchone()
        if row is None or row[1] >= ROTATE_AT:
            return self.rotate(tx, purpose, now, Reason.BOUND)
        version: int = row[0]
        return version

    def _wrap(self, tx: Tx, purpose: str, version: int, key: bytes, bound_to: bytes) -> bytes:
        tx.execute("UPDATE kek SET uses = uses + 1 WHERE purpose = ? AND version = ?", (purpose, version))
        nonce = self._random(_NONCE)
        return nonce + self._kek(tx, purpose, version).encrypt(nonce, key, bound_to)

    def _unwrap(self, tx: Tx, purpose: str, version: int, wrapped: bytes, bound_to: bytes) -> bytes:
        if len(wrapped) < _NONCE + 16:
            raise KeyTampered
        try:
            return self._kek(tx, purpose, version).decrypt(wrapped[:_NONCE], wrapped[_NONCE:], bound_to)
        except InvalidTag:
            raise KeyTampered from None

    def _kek(self, tx: Tx, purpose: str, version: int) -> AESGCM:
        row = tx.execute("SELECT wrapped FROM kek WHERE purpose = ? AND version = ?", (purpose, version)).fetchone()
        if row is None:
            raise KeyUnavailable(f"Version {version} of the key-encryption key for {purpose} is not here.")
        if not row[0]:
            raise KeyUnavailable(f"Version {version} of the key-encryption key for {purpose} was destroyed.")
        # The row is part of the cache's key: a version made in a transaction that was undone must not stay.
        known = (purpose, version, row[0])
        kek = self._keks.get(known)
        if kek is None:
            self.forget(tx)
            kek = AESGCM(self._root.unwrap(row[0], kek_context(self._store_id, purpose, version)))
            self._keks[known] = kek
        return kek


def kek_context(store_id: bytes, purpose: str, version: int) -> bytes:
    """What a wrapped key-encryption key is bound to."""
    return bind("subs.kek.v1", store_id, purpose, version)


_SELECT = "SELECT kind, name, version, purpose, kek_version, wrapped, uses, closed_at FROM data_key"


def newest_kek(tx: Tx, purpose: str) -> int:
    """The version that wraps now; 0 where there is none yet."""
    row = tx.execute("SELECT version FROM kek WHERE purpose = ? ORDER BY version DESC LIMIT 1", (purpose,)).fetchone()
    return row[0] if row else 0


def left_to_move(tx: Tx, purpose: str, newest: int) -> int:
    """How many data keys are wrapped under versions before `newest`."""
    left: int = tx.execute(
        "SELECT coalesce(sum(data_keys), 0) FROM kek WHERE purpose = ? AND version < ? AND data_keys > 0",
        (purpose, newest),
    ).fetchone()[0]
    return left


def find(tx: Tx, kind: Kind, name: str, version: int | None = None) -> StoredKey:
    """The newest or the named version. Raises SubjectErased (for a version that was destroyed as well), NoSuchKey."""
    check_not_erased(tx, kind, name)
    row = tx.execute(
        _SELECT + " WHERE kind = ? AND name = ? AND (?3 IS NULL OR version = ?3) ORDER BY version DESC LIMIT 1",
        (kind.value, name, version),
    ).fetchone()
    if row is None and version is not None and kind is Kind.SUBJECT and discarded(tx, name, version):
        raise SubjectErased("This version of the key was destroyed.")
    if row is None:
        raise NoSuchKey(f"There is no {kind} key {name}" + (f" version {version}." if version else "."))
    return _stored(row)


def discard(tx: Tx, subject: str, version: int) -> None:
    """Destroy one version of a subject's data key; what is sealed under it is as good as erased."""
    tx.execute("DELETE FROM data_key WHERE kind = 'subject' AND name = ? AND version = ?", (subject, version))
    tx.execute("INSERT INTO meta (name, value) VALUES (?, 1) ON CONFLICT DO NOTHING", (f"gone:{version}:{subject}",))


def discarded(tx: Tx, subject: str, version: int) -> bool:
    """Whether this version was there and was destroyed."""
    return tx.execute("SELECT 1 FROM meta WHERE name = ?", (f"gone:{version}:{subject}",)).fetchone() is not None


def purpose_of(tx: Tx, kind: Kind, name: str) -> str | None:
    """The purpose of an existing key."""
    row = tx.execute(
        "SELECT purpose FROM data_key WHERE kind = ? AND name = ? ORDER BY version DESC LIMIT 1", (kind.value, name)
    ).fetchone()
    return row[0] if row else None


def check_not_erased(tx: Tx, kind: Kind, name: str) -> None:
    """Raises SubjectErased when the subject has a tombstone, whatever rows an old copy brought back."""
    if kind is Kind.SUBJECT and tx.execute("SELECT 1 FROM tombstone WHERE subject = ?", (name,)).fetchone():
        raise SubjectErased


def _stored(row: tuple[str, str, int, str, int, bytes, int, str | None]) -> StoredKey:
    kind, name, version, purpose, kek_version, wrapped, uses, closed_at = row
    return StoredKey(Kind(kind), name, version, purpose, kek_version, wrapped, uses, closed_at is not None)
