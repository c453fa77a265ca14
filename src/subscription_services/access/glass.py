"""The sealed second way: its code, who broke it, and what is not reviewed yet."""

from __future__ import annotations

import base64
import hmac
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, select, update

from subscription_services.kernel.actors import Role
from subscription_services.kernel.clock import Random
from subscription_services.kernel.context import Context
from subscription_services.kernel.errors import NotFound, SubjectErased
from subscription_services.kernel.personal import FreeText
from subscription_services.kernel.ports import Keys
from subscription_services.kernel.transaction import ReadTransaction, Transaction
from subscription_services.kernel.words import words
from subscription_services.ledger import queries as ledger
from subscription_services.storage.rows import open_row

from . import accounts, row_codes
from .errors import NothingSealed
from .glass_model import GlassVerdict, SealEnd, glass, seal
from .independence import can_decide, eligible, why_not
from .settings import in_force
from .task_model import task
from .tasks import Task, shown

BREAKERS = (Role.ADMINISTRATOR, Role.SECURITY, Role.OPERATIONS)
"""Whose work may have to be done at night, and who know what they do."""
REVIEWERS = (Role.ADMINISTRATOR, Role.SECURITY)
SHOWN = 50
_DIGEST = "access.glass"
_GROUPS, _LETTERS = 6, 4


class Seal(msgspec.Struct, frozen=True):
    """What is known of the code in the envelope; never the code."""

    id: str
    sealed_by: str
    sealer: str
    sealed_at: datetime
    tested_at: datetime | None
    ours: bool


class Broken(msgspec.Struct, frozen=True):
    """One time that the glass was broken. `why_not` says why the reader may not close the review, nothing when they
    may; `open` that what it lent has not ended."""

    id: str
    task: Task
    started_at: datetime
    ends_at: datetime
    due_at: datetime
    open: bool
    closed_at: datetime | None
    closed_by: str
    verdict: GlassVerdict | None
    findings: FreeText
    why_not: str


class GlassState(msgspec.Struct, frozen=True):
    """`seal` is the code in force; without one the glass cannot be broken. `last_used_at` is when one was used up."""

    seal: Seal | None
    last_used_at: datetime | None
    broken: list[Broken]


def new_code(random: Random) -> str:
    """120 bits in six groups of four letters and digits (RFC 4648 base32): what a person can write and type."""
    text = base64.b32encode(random(15)).decode().lower()
    return "-".join(text[place : place + _LETTERS] for place in range(0, _GROUPS * _LETTERS, _LETTERS))


def digest_of(keys: Keys, identifier: str, typed: str) -> bytes:
    """What is kept of a code. Keyed, and random enough to need no slow function; as with codes of the second factor."""
    plain = "".join(typed.split()).replace("-", "").casefold()
    return keys.mac(_DIGEST, f"{identifier}\n{plain}".encode())


def live_seal(tx: ReadTransaction, *, held: bool = False) -> Row[Any]:
    """The code in force, held until the commit when asked. Raises NothingSealed, also for one that was put back."""
    found = select(seal).where(seal.c.ended_at.is_(None))
    row = tx.connection.execute(found.with_for_update() if held else found).one_or_none()
    if row is None or not in_its_place(tx, row):
        raise NothingSealed()
    return row


def in_its_place(tx: ReadTransaction, row: Row[Any]) -> bool:
    """Whether this service wrote the seal as it stands, it is the newest, and nothing was opened with it before.

    Who can write to the database can put an old row back; the log remembers what became of it."""
    if not row_codes.is_ours(tx.keys, seal.name, row_codes.SEAL, row):
        return False
    later = row.sealed_at + timedelta(microseconds=1)
    sealed = ledger.Search(action="access.seal_glass", outcome="success", since=later)
    if ledger.search(tx.connection, sealed, limit=1).found:
        return False
    opened = ledger.Search(action="access.break_glass", outcome="success", since=row.sealed_at)
    page = ledger.search(tx.connection, opened, limit=ledger.LARGEST_PAGE)
    return not any(item.event.details.get("seal") == row.id for item in page.found)


def is_code(tx: ReadTransaction, row: Row[Any], typed: str) -> bool:
    """Whether this is the code of the seal."""
    return hmac.compare_digest(bytes(row.digest), digest_of(tx.keys, row.id, typed))


def change_seal(tx: Transaction, row: Row[Any], changes: Mapping[str, Any]) -> None:
    """Write the next step of a seal, with a new code over all of it. A row that was not ours stays one that is not."""
    mac = bytes(row.mac)
    if row_codes.is_ours(tx.keys, seal.name, row_codes.SEAL, row):
        mac = row_codes.code_of(tx.keys, seal.name, row_codes.SEAL, {**row._mapping, **changes})
    tx.connection.execute(update(seal).where(seal.c.id == row.id).values(**changes, mac=mac))


def glass_row(tx: ReadTransaction, identifier: str, *, held: bool = False) -> Row[Any]:
    """Raises NotFound."""
    found = select(glass).where(glass.c.id == identifier)
    row = tx.connection.execute(found.with_for_update() if held else found).one_or_none()
    if row is None:
        raise NotFound()
    return row


def breaker_of(tx: ReadTransaction, ctx: Context, request: Any) -> str:
    """Who broke it, as the subject of operations about the review."""
    return str(glass_row(tx, request.id).account)


def unreviewed(tx: ReadTransaction, account: str) -> bool:
    """Whether this person broke the glass and nobody closed the review."""
    mine = select(glass.c.id).where(glass.c.account == account, glass.c.closed_at.is_(None))
    return tx.connection.execute(mine.limit(1)).first() is not None


def unclosed(connection: Connection) -> list[tuple[str, str]]:
    """Id and account of each glass whose review is open, the newest first, for the banner and the badge."""
    found = select(glass.c.id, glass.c.account).where(glass.c.closed_at.is_(None)).order_by(glass.c.started_at.desc())
    return [(row.id, row.account) for row in connection.execute(found.limit(SHOWN))]


def reviewers(tx: ReadTransaction, account: str, now: datetime) -> list[accounts.Account]:
    """Who could close a review of what this person did."""
    return eligible(tx, REVIEWERS, account, (), now)


def may_not_close(tx: ReadTransaction, ctx: Context, row: Row[Any]) -> str:
    """Why the actor may not close this review; nothing when they may."""
    found = accounts.people(tx, [ctx.actor.id])
    if not found or not can_decide(tx, REVIEWERS, found[0], ctx.now):
        return words("Closing the review takes the role administrator or security.")
    if ctx.actor.id != row.account:
        return why_not(tx, row.account, found[0])
    if row.others or reviewers(tx, row.account, ctx.now):
        return words("You broke the glass yourself: somebody else has to review what you did.")
    if ctx.now < row.ends_at + timedelta(seconds=in_force().alone_seconds):
        return words("There is nobody else. You can close it yourself after a while; until then everybody can object.")
    return ""


def state_of_glass(tx: ReadTransaction, ctx: Context, *, full: bool) -> GlassState:
    """The envelope, and the newest times that it was opened. `full` shows what for, and what came of it."""
    rows = tx.connection.execute(select(glass).order_by(glass.c.started_at.desc()).limit(SHOWN)).all()
    used = select(seal.c.ended_at).where(seal.c.outcome == SealEnd.BROKEN).order_by(seal.c.ended_at.desc()).limit(1)
    return GlassState(
        _seal(tx), tx.connection.execute(used).scalar(), [broken_of(tx, ctx, row, full=full) for row in rows]
    )


def broken_of(tx: ReadTransaction, ctx: Context, row: Row[Any], *, full: bool = True) -> Broken:
    """One time that it was broken."""
    lent = tx.connection.execute(select(task).where(task.c.id == row.task)).one()
    (found,) = shown(tx, ctx, [lent])
    findings = ""
    if full and row.closed_at is not None:
        try:
            findings = str(open_row(tx, glass, row)["findings"])
        except SubjectErased:
            findings = ""
    names = {person.id: person.name for person in accounts.people(tx, [row.closed_by])} if row.closed_by else {}
    closing = "" if row.closed_at is not None else may_not_close(tx, ctx, row)
    return Broken(
        id=row.id, task=found if full else msgspec.structs.replace(found, title="", about=""),
        started_at=row.started_at, ends_at=row.ends_at, due_at=row.due_at,
        open=lent.ended_at is None and lent.ends_at > ctx.now, closed_at=row.closed_at,
        closed_by=names.get(row.closed_by or "", row.closed_by or ""),
        verdict=GlassVerdict(row.verdict) if row.verdict else None, findings=findings, why_not=closing,
    )  # fmt: skip


def done_meanwhile(connection: Connection, row: Row[Any], now: datetime) -> tuple[list[ledger.Found], bool]:
    """Everything that the person did while the glass was broken, oldest first, by whatever right; and whether that is
    all. What hangs on the glass carries its task."""
    lent = connection.execute(select(task).where(task.c.id == row.task)).one()
    end = min(lent.ended_at or lent.ends_at, lent.ends_at, now)
    wanted = ledger.Search(actor=row.account, since=row.started_at, until=end + timedelta(microseconds=1))
    page = ledger.search(connection, wanted, limit=ledger.LARGEST_PAGE, oldest_first=True)
    found = list(page.found)
    while page.next is not None and len(found) < 5 * ledger.LARGEST_PAGE:
        page = ledger.search(connection, wanted, after=page.next, limit=ledger.LARGEST_PAGE, oldest_first=True)
        found += page.found
    return found, page.next is None


def _seal(tx: ReadTransaction) -> Seal | None:
    row = tx.connection.execute(select(seal).where(seal.c.ended_at.is_(None))).one_or_none()
    if row is None:
        return None
    names = {person.id: person.name for person in accounts.people(tx, [row.sealed_by])}
    sealer = names.get(row.sealed_by, row.sealed_by)
    return Seal(row.id, row.sealed_by, sealer, row.sealed_at, row.tested_at, in_its_place(tx, row))
