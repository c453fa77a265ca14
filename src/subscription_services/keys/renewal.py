"""New versions of subjects' data keys after a compromise, and the end of the versions that they replace.

A version is first replaced (new values are sealed under the next one), then closed when no field is sealed under it
(only the log, which never changes, may still open it), then discarded.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from . import hierarchy
from .errors import KeyInUse, NoSuchKey, SubjectErased
from .hierarchy import Hierarchy
from .model import Kind, check_name
from .states import DataKey
from .store import Tx


def page(tx: Tx, purpose: str, after: str, limit: int) -> tuple[DataKey, ...]:
    """Subjects with a key of this purpose by name, those that sort after `after`."""
    rows = tx.execute(
        # SQLite takes the columns beside max() from the row that has it
        "SELECT name, purpose, max(version), count(*) - 1, count(closed_at), created_at FROM data_key"
        " WHERE kind = 'subject' AND purpose = ? AND name > ? GROUP BY name ORDER BY name LIMIT ?",
        (purpose, after, limit),
    ).fetchall()
    return tuple(DataKey(a, b, c, d, e, datetime.fromisoformat(at)) for a, b, c, d, e, at in rows)


def renew(tx: Tx, keys: Hierarchy, renewal: str, subjects: Iterable[str], now: datetime) -> int:
    """Give each subject a new version unless this renewal did; returns how many were new."""
    made = 0
    for subject in subjects:
        try:
            newest = hierarchy.find(tx, Kind.SUBJECT, check_name(subject))
        except (NoSuchKey, SubjectErased):
            continue
        if _version_of(tx, renewal, subject) is None:
            keys.create(tx, Kind.SUBJECT, newest.purpose, subject, 32, now, renewal)
            notice(tx, subject)
            made += 1
    return made


def close(tx: Tx, renewal: str, subjects: Iterable[str], now: datetime) -> int:
    """Close what the renewal replaced; returns how many versions were open."""
    closed = 0
    for subject in subjects:
        version = _version_of(tx, renewal, subject)
        if version is not None:
            found = tx.execute(
                "UPDATE data_key SET closed_at = ?"
                " WHERE kind = 'subject' AND name = ? AND version < ? AND closed_at IS NULL",
                (now.astimezone(UTC).isoformat(), subject, version),
            ).rowcount
            if found:
                notice(tx, subject)
            closed += found
    return closed


def discard(tx: Tx, subject: str, version: int) -> None:
    """Repeating it changes nothing. Raises NoSuchKey, KeyInUse."""
    row = tx.execute(
        "SELECT closed_at FROM data_key WHERE kind = 'subject' AND name = ? AND version = ?",
        (check_name(subject), version),
    ).fetchone()
    if row is None and hierarchy.discarded(tx, subject, version):
        return
    if row is None:
        raise NoSuchKey(f"There is no version {version} of the key of {subject}.")
    if row[0] is None:
        raise KeyInUse(f"Fields may still be sealed under version {version} of the key of {subject}: re-encrypt first.")
    hierarchy.discard(tx, subject, version)
    notice(tx, subject)


def notice(tx: Tx, subject: str) -> None:
    """Have every process drop the opened keys of this subject; of all when it is ""."""
    tx.execute("INSERT INTO notice (subject) VALUES (?)", (subject,))


def _version_of(tx: Tx, renewal: str, subject: str) -> int | None:
    row = tx.execute(
        "SELECT version FROM data_key WHERE kind = 'subject' AND name = ? AND renewal = ?", (subject, renewal)
    ).fetchone()
    return row[0] if row else None
