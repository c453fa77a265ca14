"""When a key-encryption key is due for rotation and when an old version may be destroyed; and what there is to tell."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from .errors import KeyInUse, NoSuchKey
from .hierarchy import left_to_move
from .model import AES_GCM_LIMIT
from .states import KekVersion, PurposeState, Reason, Rewrapping, RotationRule, VersionState
from .store import Tx

AHEAD = timedelta(hours=1)
"""A version made further in the future than this was made under a wrong clock; its age tells nothing."""

REMEMBERED = 50
"""Destroyed versions further back than this are forgotten; the log still tells of them."""

_COLUMNS = "version, reason, created_at, uses, data_keys, foreign_keys, destroyed_at, moved, finished_at"
_Row = tuple[int, str, str, int, int, int, str | None, int, str | None]


def purposes(tx: Tx, rule: RotationRule, now: datetime) -> tuple[PurposeState, ...]:
    """Every purpose that has a key-encryption key."""
    names = [row[0] for row in tx.execute("SELECT DISTINCT purpose FROM kek ORDER BY purpose").fetchall()]
    return tuple(purpose_state(tx, name, rule, now) for name in names)


def purpose_state(tx: Tx, purpose: str, rule: RotationRule, now: datetime) -> PurposeState:
    """Raises NoSuchKey."""
    rows: list[_Row] = tx.execute(
        f"SELECT {_COLUMNS} FROM kek WHERE purpose = ? ORDER BY version DESC",  # noqa: S608
        (purpose,),
    ).fetchall()
    if not rows:
        raise NoSuchKey(f"There is no key-encryption key for {purpose[:80]}.")
    versions: list[KekVersion] = []
    replaced_at: datetime | None = None
    for row in rows:
        version = _version(row, replaced_at, rule)
        # the earliest of all later ones: a version made under a clock that ran ahead delays nothing
        replaced_at = version.created_at if replaced_at is None else min(replaced_at, version.created_at)
        versions.append(version)
    newest = rows[0]
    rewrapping = None
    if newest[0] > 1:
        rewrapping = Rewrapping(
            newest[0], newest[7], left_to_move(tx, purpose, newest[0]), versions[0].created_at, _time(newest[8])
        )
    return PurposeState(purpose, tuple(versions), due(versions[0].created_at, rule, now), rewrapping)


def due(created_at: datetime, rule: RotationRule, now: datetime) -> datetime | None:
    """When a version made at `created_at` is to be followed by the next; None where the schedule is off."""
    if not rule.rotate:
        return None
    return now if created_at > now + AHEAD else created_at + timedelta(days=rule.rotate)


def retire(tx: Tx, purpose: str, version: int | None, rule: RotationRule, now: datetime) -> tuple[int, ...]:
    """Destroy what nothing depends on and whose time has come, or `version` now. Raises KeyInUse, NoSuchKey."""
    state = purpose_state(tx, purpose, rule, now)
    if version is None:
        gone = tuple(
            v.version
            for v in state.versions
            if v.state is VersionState.DECRYPT_ONLY and not v.data_keys and not v.foreign_keys
            if v.retire_at is not None and v.retire_at <= now
        )
    else:
        gone = _named(state, version)
    for number in gone:
        tx.execute(
            "UPDATE kek SET wrapped = x'', destroyed_at = ? WHERE purpose = ? AND version = ? AND data_keys = 0",
            (now.astimezone(UTC).isoformat(), purpose, number),
        )
    tx.execute(
        "DELETE FROM kek WHERE purpose = ? AND destroyed_at IS NOT NULL AND data_keys = 0 AND version <="
        " (SELECT max(version) FROM kek WHERE purpose = ?) - ?",
        (purpose, purpose, REMEMBERED),
    )
    return gone


def _named(state: PurposeState, version: int) -> tuple[int, ...]:
    for found in state.versions:
        if found.version == version:
            if found.state is VersionState.DESTROYED:
                return ()
            if found.state is VersionState.ACTIVE:
                raise KeyInUse(f"Version {version} for {state.purpose} is the one in use: rotate first.")
            if found.data_keys:
                raise KeyInUse(
                    f"{found.data_keys} data keys are still wrapped under version {version} for {state.purpose}."
                )
            return (version,)
    raise NoSuchKey(f"There is no version {version} of the key-encryption key for {state.purpose}.")


def _version(row: _Row, replaced_at: datetime | None, rule: RotationRule) -> KekVersion:
    number, reason, created_at, uses, data_keys, foreign_keys, destroyed_at, _, _ = row
    state = VersionState.ACTIVE if replaced_at is None else VersionState.DECRYPT_ONLY
    retire_at = replaced_at + timedelta(days=rule.retire) if replaced_at and not destroyed_at else None
    return KekVersion(
        version=number, state=VersionState.DESTROYED if destroyed_at else state, reason=Reason(reason),
        created_at=datetime.fromisoformat(created_at), uses=uses, bound=AES_GCM_LIMIT, data_keys=data_keys,
        foreign_keys=foreign_keys, retire_at=retire_at, destroyed_at=_time(destroyed_at),
    )  # fmt: skip


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
