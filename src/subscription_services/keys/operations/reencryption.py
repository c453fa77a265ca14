"""Re-encryption after a data key was compromised: new data keys, every field sealed anew, the old keys closed.

The values are walked twice: at once, and again when no transaction can be under way any more that sealed under the
old version. Then the old version is closed: only the log, which never changes, may still open it.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Any, cast

import msgspec
from msgspec import Meta
from sqlalchemy import Row, insert, select, update

from subscription_services.kernel.context import Context
from subscription_services.kernel.errors import Conflict, Invalid, NotFound
from subscription_services.kernel.needs import approvals, recent_sign_in
from subscription_services.kernel.operations import Change, Limit, Seen, SystemOnly, operation
from subscription_services.kernel.transaction import ReadTransaction, Transaction
from subscription_services.keys.places import places
from subscription_services.keys.sealing import CallerKeys
from subscription_services.keys.tables import Phase, reencryption

from .rotation import OWNERS, READERS, Purpose, Version

SETTLE = timedelta(seconds=60)
"""Longer than any transaction, and than a process may go on with keys it has opened."""
MOST = 500
Subject = Annotated[str, Meta(max_length=200)]
Id = Annotated[str, Meta(min_length=1, max_length=48)]
Count = Annotated[int, Meta(ge=0)]


class Reencrypt(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Everything sealed for one subject; without a subject, for all subjects of the purpose."""

    subject: Subject = ""
    purpose: Purpose = "subject"


class ReadReencryptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The newest ones."""

    limit: Annotated[int, Meta(ge=1, le=100)] = 20


class Reencryption(msgspec.Struct, frozen=True):
    """`place` of `places` tables is being walked, for the `turn`th time of two.

    `renewed` data keys were made, `sealed` values sealed anew, `closed` old versions closed; `unreadable` values did
    not open and stay as they are.
    """

    id: str
    purpose: str
    subject: str
    phase: Phase
    turn: int
    place: int
    places: int
    renewed: int
    sealed: int
    unreadable: int
    closed: int
    started_by: str
    started_at: datetime
    finished_at: datetime | None


class Reencryptions(msgspec.Struct, frozen=True):
    items: list[Reencryption]


class Continue(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Job: go on with a re-encryption where it is."""

    id: Id


class Position(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where a re-encryption stands."""

    phase: Phase
    turn: Count = 0
    place: Annotated[str, Meta(max_length=120)] = ""
    after: Annotated[str, Meta(max_length=200)] = ""


class Replacement(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A sealed value to take another's place, if that is still there."""

    row: Annotated[str, Meta(max_length=200)]
    column: Annotated[str, Meta(max_length=60)]
    old: bytes
    new: bytes


class Step(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """From where it stands to where it goes, with what was done. `pause` ends the job that took it."""

    id: Id
    at: Position
    to: Position
    replaced: Annotated[list[Replacement], Meta(max_length=20 * MOST)] = []
    renewed: Count = 0
    unreadable: Count = 0
    closed: Count = 0
    pause: bool = False


class Stepped(msgspec.Struct, frozen=True):
    phase: Phase
    replaced: int


class DiscardVersion(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Destroy a closed version of a subject's data key."""

    subject: Annotated[str, Meta(min_length=1, max_length=200)]
    version: Version


class Discarded(msgspec.Struct, frozen=True):
    subject: str
    version: int


@operation("keys.reencrypt", by=OWNERS, needs=[recent_sign_in], limits=[Limit(50, 3600, "actor")])
def reencrypt(tx: Transaction, ctx: Context, request: Reencrypt) -> Change[Reencryption]:
    """Give one subject, or all of a purpose, new data keys and seal everything anew under them."""
    walked = places(request.purpose)
    if not walked:
        raise Invalid(fields={"purpose": "No field is sealed for this purpose."})
    identifier, renewed = ctx.ids.new("ren"), 0
    if request.subject:
        # At once, so that from here on nothing more is sealed under the old key.
        renewed = cast("CallerKeys", tx.keys).renew(identifier, [request.subject])
        if not renewed:
            raise Invalid(fields={"subject": "There is no key for this subject."})
    values = {
        "id": identifier, "purpose": request.purpose, "subject": request.subject, "phase": Phase.RENEWING.value,
        "turn": 0, "place": "", "after": "", "renewed": renewed, "sealed": 0, "unreadable": 0, "closed": 0,
        "started_by": ctx.actor.id, "started_at": ctx.now, "renewed_at": None, "finished_at": None,
    }  # fmt: skip
    tx.connection.execute(insert(reencryption), values)
    tx.outbox.add(Continue(identifier), key=f"keys.reencrypt:{identifier}")
    return Change(
        None, progress(values), object=identifier, subject=request.subject, details={"purpose": request.purpose}
    )


@operation("keys.reencryptions", by=READERS)
def reencryptions(tx: ReadTransaction, ctx: Context, request: ReadReencryptions) -> Seen[Reencryptions]:
    """Show re-encryptions and how far they are, the newest first."""
    newest = select(reencryption).order_by(reencryption.c.id.desc()).limit(request.limit)
    return Seen(Reencryptions([progress(row) for row in tx.connection.execute(newest).mappings()]))


@operation("keys.reencrypt_step", by=[SystemOnly("the job of a re-encryption")])
def step(tx: Transaction, ctx: Context, request: Step) -> Change[Stepped]:
    """Replace sealed values, each only if it is still as it was read, and note how far the re-encryption is."""
    row = found(tx, request.id)
    if position(row) != request.at:
        raise Conflict("Another worker went on with this re-encryption.")
    replaced = 0
    if request.replaced:
        place = next(place for place in places(row.purpose) if place.name == request.at.place)
        for item in request.replaced:
            replaced += place.replace(tx.connection, item.row, item.column, item.old, item.new)
    to = request.to
    values: dict[str, Any] = {
        "phase": to.phase.value, "turn": to.turn, "place": to.place, "after": to.after,
        "renewed": row.renewed + request.renewed, "sealed": row.sealed + replaced,
        "unreadable": row.unreadable + request.unreadable, "closed": row.closed + request.closed,
    }  # fmt: skip
    if request.at.phase is Phase.RENEWING and to.phase is not Phase.RENEWING:
        values["renewed_at"] = ctx.now
    if to.phase is Phase.DONE:
        values["finished_at"] = ctx.now
    tx.connection.execute(update(reencryption).where(reencryption.c.id == request.id).values(values))
    if request.pause:
        tx.outbox.add(
            Continue(request.id), run_at=max(ctx.now, starts_at(row, to, ctx.now)),
            key=f"keys.reencrypt:{request.id}:{to.phase}:{to.turn}:{to.place}:{to.after}",
        )  # fmt: skip
    return Change(
        None, Stepped(to.phase, replaced), object=request.id, subject=row.subject,
        details={
            "phase": request.at.phase.value, "place": request.at.place, "replaced": replaced,
            "renewed": request.renewed, "closed": request.closed, "unreadable": request.unreadable,
        },
    )  # fmt: skip


@operation("keys.discard_version", by=OWNERS, needs=[recent_sign_in, approvals(1)])
def discard_version(tx: Transaction, ctx: Context, request: DiscardVersion) -> Change[Discarded]:
    """Destroy a replaced version of a subject's data key; what the log holds under it never opens again."""
    cast("CallerKeys", tx.keys).discard(request.subject, request.version)
    return Change(
        None, Discarded(request.subject, request.version), object=str(request.version), subject=request.subject
    )


def found(tx: ReadTransaction, identifier: str) -> Row[Any]:
    """Raises NotFound."""
    row = tx.connection.execute(select(reencryption).where(reencryption.c.id == identifier)).first()
    if row is None:
        raise NotFound()
    return row


def position(row: Row[Any]) -> Position:
    return Position(Phase(row.phase), row.turn, row.place, row.after)


def starts_at(row: Row[Any], to: Position, now: datetime) -> datetime:
    """When work from this position may begin: the second walk not before everything before it has settled."""
    second = to.phase is Phase.SEALING and to.turn == 2
    return (row.renewed_at or now) + SETTLE if second else now


def progress(row: Any) -> Reencryption:
    """A row, or its values, for people."""
    names = [place.name for place in places(row["purpose"])]
    phase = Phase(row["phase"])
    at = names.index(row["place"]) + 1 if row["place"] in names else 0
    return Reencryption(
        id=row["id"], purpose=row["purpose"], subject=row["subject"], phase=phase, turn=row["turn"], place=at,
        places=len(names), renewed=row["renewed"], sealed=row["sealed"], unreadable=row["unreadable"],
        closed=row["closed"], started_by=row["started_by"], started_at=row["started_at"],
        finished_at=row["finished_at"],
    )  # fmt: skip


OPERATIONS = (reencrypt, reencryptions, step, discard_version)
