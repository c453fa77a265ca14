"""Rotation of key-encryption keys: looking at them, a new version, data keys moving over, old versions destroyed."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Annotated, cast

import msgspec
from msgspec import Meta

from subscription_services.kernel.actors import Role
from subscription_services.kernel.context import Context
from subscription_services.kernel.errors import Invalid
from subscription_services.kernel.needs import approvals, recent_sign_in
from subscription_services.kernel.operations import Change, Limit, Prepared, Seen, SystemOnly, operation
from subscription_services.kernel.transaction import Reading, ReadTransaction, Transaction
from subscription_services.keys.sealing import CallerKeys
from subscription_services.keys.states import KeyStates, Reason

OWNERS = (Role.SECURITY, Role.ADMINISTRATOR)
READERS = (Role.SECURITY, Role.OPERATIONS, Role.AUDITOR, Role.ADMINISTRATOR)
SLICE = 200
"""Data keys moved in one transaction of the key store; others get their turn after each."""
SLICES = 50
PAUSE = 0.005
"""Seconds between two slices."""
Purpose = Annotated[str, Meta(min_length=1, max_length=200)]
Version = Annotated[int, Meta(ge=1, lt=2**31)]


class ReadStates(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Look at every key-encryption key."""


class Rotate(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """With `after` only if that is still the newest version: then repeating it adds no other."""

    purpose: Purpose
    after: Version | None = None


class RotateWhenDue(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The schedule's: `after` is the version whose time has come."""

    purpose: Purpose
    after: Version


class Rotated(msgspec.Struct, frozen=True):
    purpose: str
    version: int


class MoveKeys(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Job: wrap the purpose's data keys under the newest version, to the last."""

    purpose: Purpose


class Rewrap(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Wrap data keys of older versions under the newest one; `most` in one go."""

    purpose: Purpose
    most: Annotated[int, Meta(ge=1, le=SLICE * SLICES)] = SLICE * SLICES


class Rewrapped(msgspec.Struct, frozen=True):
    purpose: str
    left: int


class Retire(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Destroy the versions whose time has come and that no data key depends on."""

    purpose: Purpose


class DestroyVersion(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Destroy this version of a key-encryption key now. What was wrapped under it elsewhere never opens again."""

    purpose: Purpose
    version: Version


class Retired(msgspec.Struct, frozen=True):
    purpose: str
    versions: list[int]


@dataclass(frozen=True, slots=True)
class _Moved:
    left: int


@operation("keys.states", by=READERS)
def states(tx: ReadTransaction, ctx: Context, request: ReadStates) -> Seen[KeyStates]:
    """Show versions, ages, uses, callers and progress of the keys; never a key."""
    return Seen(cast("CallerKeys", tx.keys).states())


@operation("keys.rotate", by=OWNERS, limits=[Limit(100, 3600, "actor")])
def rotate(tx: Transaction, ctx: Context, request: Rotate) -> Change[Rotated]:
    """Give a purpose a new version of its key-encryption key; its data keys move over in the background."""
    found = {state.purpose: state.versions[0].version for state in cast("CallerKeys", tx.keys).states().purposes}
    if request.purpose not in found:
        raise Invalid(fields={"purpose": "No key has this purpose."})
    return _rotated(tx, request.purpose, request.after or found[request.purpose], Reason.DEMAND)


@operation("keys.rotate_when_due", by=[SystemOnly("the schedule of rotation")])
def rotate_when_due(tx: Transaction, ctx: Context, request: RotateWhenDue) -> Change[Rotated]:
    """Give a purpose whose key-encryption key is old enough the next version."""
    return _rotated(tx, request.purpose, request.after, Reason.SCHEDULE)


def _move(reading: Reading, ctx: Context, request: Rewrap) -> _Moved:
    """Slice by slice, before the transaction. Whoever else is moving the same keys only makes it quicker."""
    with reading() as tx:
        keys = cast("CallerKeys", tx.keys)
    pause = threading.Event()
    done = 0
    while True:
        left = keys.rewrap(request.purpose, min(SLICE, request.most - done))
        done += SLICE
        if not left or done >= request.most:
            return _Moved(left)
        pause.wait(PAUSE)


@operation("keys.rewrap", by=[SystemOnly("follows each rotation")], prepare=Prepared(_move))
def rewrap(tx: Transaction, ctx: Context, request: Rewrap, moved: _Moved) -> Change[Rewrapped]:
    """Wrap the data keys of a purpose under the newest version of its key-encryption key. Data stays as it is."""
    return Change(None, Rewrapped(request.purpose, moved.left), object=request.purpose, details={"left": moved.left})


@operation("keys.retire", by=[SystemOnly("the schedule of rotation")])
def retire(tx: Transaction, ctx: Context, request: Retire) -> Change[Retired]:
    """Destroy old versions of a key-encryption key that no data key depends on any more."""
    return _retired(cast("CallerKeys", tx.keys).retire(request.purpose), request.purpose)


@operation("keys.destroy_version", by=OWNERS, needs=[recent_sign_in, approvals(1)])
def destroy_version(tx: Transaction, ctx: Context, request: DestroyVersion) -> Change[Retired]:
    """Destroy one old version of a key-encryption key at once, if no data key depends on it."""
    return _retired(cast("CallerKeys", tx.keys).retire(request.purpose, request.version), request.purpose)


def _rotated(tx: Transaction, purpose: str, after: int, reason: Reason) -> Change[Rotated]:
    version = cast("CallerKeys", tx.keys).rotate(purpose, after, reason)
    tx.outbox.add(MoveKeys(purpose), key=f"keys.move:{purpose}:{version}")
    details = {"after": after, "version": version, "reason": reason.value}
    return Change(None, Rotated(purpose, version), object=purpose, details=details)


def _retired(gone: tuple[int, ...], purpose: str) -> Change[Retired]:
    said = " ".join(str(version) for version in gone)
    return Change(None, Retired(purpose, list(gone)), object=purpose, details={"destroyed": said})


OPERATIONS = (states, rotate, rotate_when_due, rewrap, retire, destroy_version)
