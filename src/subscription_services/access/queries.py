"""Reads of grants and service accounts, as frozen rows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from datetime import datetime
from typing import Annotated, Any

import msgspec
from sqlalchemy import Row, and_, func, or_, select

from subscription_services.kernel.actors import Role
from subscription_services.kernel.errors import NotFound, SubjectErased
from subscription_services.kernel.personal import ColleagueName, FieldKind, FreeText, NotPersonal, Personal
from subscription_services.kernel.transaction import ReadTransaction, Transaction
from subscription_services.storage.rows import open_row

from . import accounts
from .authority import decode_scopes, last_resort
from .model import ServiceAccountState, grant, service_account, token

CANARY = "system:live-check"
"""Owns the program that the live checks make for a moment; it is nobody's, and no list shows it."""
_STANDING = (
    select(grant.c.account, grant.c.ends_at)
    .where(grant.c.role == Role.ADMINISTRATOR, grant.c.ended_at.is_(None), grant.c.standing)
    .order_by(grant.c.id)
)


class Grant(msgspec.Struct, frozen=True):
    """A role that somebody holds or held until `ends_at`; a review that keeps a `standing` one moves its end on.

    Since `moved_at` its holder has another role, and this one lapses at `ends_at` unless it is confirmed."""

    id: str
    account: str
    role: Role
    granted_by: str
    granted_at: datetime
    ends_at: datetime
    ended_at: datetime | None
    reason: FreeText
    standing: bool
    moved_at: datetime | None = None


class TeamPerson(msgspec.Struct, frozen=True):
    id: str
    email: Annotated[str, Personal(FieldKind.COLLEAGUE_EMAIL, of="id")]
    name: ColleagueName
    state: str
    second_factor: bool
    grants: list[Grant]


class Team(msgspec.Struct, frozen=True):
    """`others` says, to an administrator, how many other administrators could approve what they ask for."""

    people: list[TeamPerson]
    others: int | None = None

    @property
    def administrators(self) -> list[TeamPerson]:
        return [person for person in self.people if Role.ADMINISTRATOR in {item.role for item in person.grants}]


class Token(msgspec.Struct, frozen=True):
    """What is known of a token; never its text or digest. `key` is the thumbprint of the key that it is bound to, and
    `replaces` the token that it was rotated from."""

    id: str
    service_account: str
    scopes: list[str]
    issued_by: str
    issued_at: datetime
    expires_at: datetime
    last_used_at: datetime | None
    revoked_at: datetime | None
    key: str | None = None
    replaces: str | None = None


class ServiceAccountRow(msgspec.Struct, frozen=True):
    id: str
    name: Annotated[str, NotPersonal("a program's name")]
    owner: str
    owner_name: ColleagueName
    state: ServiceAccountState
    created_at: datetime
    expires_at: datetime
    confirmed_until: datetime
    tokens: list[Token]


class ServiceAccounts(msgspec.Struct, frozen=True):
    accounts: list[ServiceAccountRow]


def live(now: datetime) -> Any:
    """The condition that a grant holds at `now`."""
    return and_(grant.c.ended_at.is_(None), grant.c.ends_at > now)


def team(tx: ReadTransaction, now: datetime) -> Team:
    """Everybody with an account of the team or a live grant, by name."""
    held: dict[str, list[Grant]] = defaultdict(list)
    counts = or_(live(now), grant.c.id == (last_resort(tx.connection, now) or ""))
    for row in tx.connection.execute(select(grant).where(counts).order_by(grant.c.granted_at)):
        held[row.account].append(open_grant(tx, row))
    people = [
        TeamPerson(item.id, item.email, item.name, item.state, item.second_factor, held.get(item.id, []))
        for item in accounts.team(tx)
    ]
    return Team(sorted(people, key=lambda person: (person.name.casefold(), person.id)))


def held_by(tx: ReadTransaction, account: str, now: datetime) -> list[Grant]:
    """The grants of this account that hold now, by their ids."""
    rows = tx.connection.execute(select(grant).where(grant.c.account == account, live(now)).order_by(grant.c.id)).all()
    return [open_grant(tx, row) for row in rows]


def ended_of(tx: ReadTransaction, account: str) -> int:
    """How many grants of this account have ended."""
    ended = select(func.count()).where(grant.c.account == account, grant.c.ended_at.is_not(None))
    return int(tx.connection.execute(ended).scalar_one())


def grant_row(tx: ReadTransaction, identifier: str) -> Row[Any]:
    """Raises NotFound."""
    row = tx.connection.execute(select(grant).where(grant.c.id == identifier)).one_or_none()
    if row is None:
        raise NotFound()
    return row


def one_grant(tx: ReadTransaction, identifier: str) -> Grant:
    """Raises NotFound."""
    return open_grant(tx, grant_row(tx, identifier))


def open_grant(tx: ReadTransaction, row: Any) -> Grant:
    """The row of a grant; the reason of somebody erased is gone."""
    try:
        reason = str(open_row(tx, grant, row)["reason"])
    except SubjectErased:
        reason = ""
    return Grant(
        id=row.id, account=row.account, role=Role(row.role), granted_by=row.granted_by, granted_at=row.granted_at,
        ends_at=row.ends_at, ended_at=row.ended_at, reason=reason, standing=row.standing, moved_at=row.moved_at,
    )  # fmt: skip


def lock_standing_administrators(tx: Transaction, now: datetime) -> frozenset[str]:
    """See `standing_administrators`; held until the commit so that two cannot end each other."""
    return standing_administrators(tx, now, held=True)


def standing_administrators(tx: ReadTransaction, now: datetime, *, held: bool = False) -> frozenset[str]:
    """Accounts that are administrators for good and can sign in.

    Those whose time is up count only while nobody else's is not: one of them is the last resort."""
    found = tx.connection.execute(_STANDING.with_for_update() if held else _STANDING).all()
    able = accounts.active_accounts(tx.connection, {row.account for row in found})
    fresh = able & {row.account for row in found if row.ends_at > now}
    return frozenset(fresh or able)


def service_accounts(tx: ReadTransaction, ids: Collection[str] | None = None) -> list[ServiceAccountRow]:
    """All of them or some, by name, each with its tokens, the newest first."""
    statement = select(service_account).where(service_account.c.owner != CANARY).order_by(service_account.c.name)
    tokens = select(token).order_by(token.c.issued_at.desc(), token.c.id.desc())
    if ids is not None:
        statement = statement.where(service_account.c.id.in_(ids))
        tokens = tokens.where(token.c.service_account.in_(ids))
    issued: dict[str, list[Token]] = defaultdict(list)
    for row in tx.connection.execute(tokens):
        issued[row.service_account].append(token_of(row))
    rows = tx.connection.execute(statement).all()
    names = {item.id: item.name for item in accounts.people(tx, sorted({row.owner for row in rows}))}
    return [
        ServiceAccountRow(
            id=row.id, name=row.name, owner=row.owner, owner_name=names.get(row.owner, ""),
            state=ServiceAccountState(row.state), created_at=row.created_at, expires_at=row.expires_at,
            confirmed_until=row.confirmed_until, tokens=issued.get(row.id, []),
        )
        for row in rows
    ]  # fmt: skip


def one_service_account(tx: ReadTransaction, identifier: str) -> ServiceAccountRow:
    """Raises NotFound."""
    found = service_accounts(tx, [identifier])
    if not found:
        raise NotFound()
    return found[0]


def token_of(row: Any) -> Token:
    """The row of a token, without its digest."""
    return Token(
        id=row.id, service_account=row.service_account, scopes=sorted(decode_scopes(row.scopes)),
        issued_by=row.issued_by, issued_at=row.issued_at, expires_at=row.expires_at, last_used_at=row.last_used_at,
        revoked_at=row.revoked_at, key=row.jkt, replaces=row.replaces,
    )  # fmt: skip
