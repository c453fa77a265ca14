"""What is not used for long ends, after two notices. The rules, and who is due by what the store knows.

A person was last there when a session of theirs was last used; a program when a token of its was last used, or when
one was last issued; a token when it was. Who never was counts from the beginning. The end is 14 days after the first
notice and 3 after the second at the earliest, however the clock jumps and however long the service was down: then
notices come late, and so does the end.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import select

from subscription_services.kernel.errors import NotFound
from subscription_services.kernel.transaction import ReadTransaction

from . import accounts, queries
from .model import ServiceAccountState, token
from .settings import in_force
from .use_model import NOTICE_DAYS, REMINDER_DAYS, disuse

NOTICE, REMINDER = timedelta(days=NOTICE_DAYS), timedelta(days=REMINDER_DAYS)


class Step(StrEnum):
    NOTHING = "nothing"
    FORGET = "forget"  # it is used again
    NOTICE = "notice"
    REMIND = "remind"
    END = "end"


@dataclass(frozen=True, slots=True)
class Holder:
    """An account, service account or token that may act; `told` is who gets the letters."""

    id: str
    told: str
    last_used_at: datetime
    limit: timedelta


@dataclass(frozen=True, slots=True)
class Notice:
    """That somebody was told; `last_used_at` as it was then."""

    last_used_at: datetime
    reminded_at: datetime | None
    ends_at: datetime


def next_step(holder: Holder, notice: Notice | None, now: datetime) -> Step:
    """What is due for a holder now."""
    idle = now - holder.last_used_at
    if notice is not None and (notice.last_used_at < holder.last_used_at or idle < holder.limit - NOTICE):
        return Step.FORGET
    if notice is None:
        return Step.NOTICE if idle >= holder.limit - NOTICE else Step.NOTHING
    if notice.reminded_at is None:
        return Step.REMIND if now >= notice.ends_at - REMINDER else Step.NOTHING
    return Step.END if now >= notice.ends_at and idle >= holder.limit else Step.NOTHING


def first_end(holder: Holder, now: datetime) -> datetime:
    """When it ends, as its first notice says."""
    return max(holder.last_used_at + holder.limit, now + NOTICE)


def second_end(notice: Notice, now: datetime) -> datetime:
    """When it ends, as its second notice says."""
    return max(notice.ends_at, now + REMINDER)


def holders(tx: ReadTransaction, now: datetime) -> Iterator[Holder]:
    """Everybody and everything on the team that may act now."""
    yield from _people(tx, accounts.team(tx))
    for account in queries.service_accounts(tx):
        yield from _of_program(account, now)


def one_holder(tx: ReadTransaction, identifier: str, now: datetime) -> Holder:
    """Raises NotFound for what may not act any more."""
    found = _people(tx, accounts.people(tx, [identifier]))
    if not identifier.startswith("acc_"):
        program = select(token.c.service_account).where(token.c.id == identifier)
        account = tx.connection.execute(program).scalar() or identifier
        found = (item for row in queries.service_accounts(tx, [account]) for item in _of_program(row, now))
    for holder in found:
        if holder.id == identifier:
            return holder
    raise NotFound()


def notices(tx: ReadTransaction) -> dict[str, Notice]:
    """Who was told, by id."""
    rows = tx.connection.execute(select(disuse))
    return {row.holder: Notice(row.last_used_at, row.reminded_at, row.ends_at) for row in rows}


def due(tx: ReadTransaction, now: datetime) -> list[str]:
    """Ids of those for whom something is to be done; what may not act any more needs no notice either."""
    told, found = notices(tx), []
    for holder in holders(tx, now):
        if next_step(holder, told.pop(holder.id, None), now) is not Step.NOTHING:
            found.append(holder.id)
    return [*found, *told]


def _people(tx: ReadTransaction, found: Collection[accounts.Account]) -> Iterator[Holder]:
    seen = accounts.last_seen(tx, [item.id for item in found])
    limit = timedelta(days=in_force().unused_person_days)
    for person in found:
        if person.team and person.open:
            yield Holder(person.id, person.id, seen.get(person.id, person.created_at), limit)


def _of_program(account: queries.ServiceAccountRow, now: datetime) -> Iterator[Holder]:
    """A program, and its tokens where it is used as a whole: one that is not gets its notice for itself."""
    if account.state is not ServiceAccountState.ACTIVE or account.expires_at <= now:
        return
    limit = timedelta(days=in_force().unused_program_days)
    moments = [account.created_at]
    for item in account.tokens:
        moments += [item.issued_at, item.last_used_at or item.issued_at]
    whole = Holder(account.id, account.owner, max(moments), limit)
    yield whole
    if now - whole.last_used_at >= limit - NOTICE:
        return
    for item in account.tokens:
        if item.revoked_at is None and item.expires_at > now:
            yield Holder(item.id, account.owner, item.last_used_at or item.issued_at, limit)
