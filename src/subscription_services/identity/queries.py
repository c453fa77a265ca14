"""Reads of accounts and sessions."""

from __future__ import annotations

import hmac
from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, bindparam, func, literal_column, or_, select

from subscription_services.kernel.personal import Email, PersonName
from subscription_services.kernel.ports import Keys
from subscription_services.kernel.transaction import ReadTransaction
from subscription_services.storage import Prepared, holds, open_row

from . import model
from .bindings import Binding
from .configured import rules
from .model import Held, Kind, State
from .recovery_model import LIVE, recovery
from .tokens import digest

EMAIL_INDEX = "identity.email"
_SESSION = (
    select(
        model.session.c.id, model.session.c.account, model.session.c.signed_in_at, model.session.c.second_factor,
        model.account.c.kind,
    )
    .join(model.account, model.account.c.id == model.session.c.account)
    .where(
        model.session.c.ended_at.is_(None), model.session.c.ends_at > bindparam("now"),
        model.session.c.last_used_at > bindparam("idle_since"), model.session.c.idle_until > bindparam("now"),
        model.account.c.state == State.ACTIVE,
    )
)  # fmt: skip
_RECOVERING = (
    select(recovery.c.id)
    .where(recovery.c.account == model.session.c.account, recovery.c.expires_at > bindparam("now"))
    # written out, so that the store sees that the index of live ones is enough
    .where(recovery.c.state.in_([literal_column(f"'{state}'") for state in LIVE]))
    .exists()
    .label("recovering")
)
_BY_DIGEST = Prepared(
    _SESSION.join(model.binding, model.binding.c.session == model.session.c.id)
    .where(model.session.c.digest == bindparam("digest"))
    .add_columns(
        model.session.c.digest,
        model.session.c.last_used_at,
        model.session.c.idle_until,
        model.account.c.email,
        model.account.c.name,
        model.binding.c.held,
        model.binding.c.network,
        model.binding.c.digest.label("bound"),
        model.binding.c.until,
        model.binding.c.earlier_digest,
        model.binding.c.earlier_until,
        model.binding.c.bound_at,
        _RECOVERING,
    )
)
_ONE = _SESSION.where(model.session.c.id == bindparam("session"))
_BY_ID = Prepared(_ONE)
# as weak as can be: noting the use of a session does not wait for this, ending it does (sessions.end_sessions)
_HELD_BY_ID = Prepared(_ONE.with_for_update(read=True, key_share=True, of=model.session))
_TOTP = select(model.totp.c.id).where(model.totp.c.confirmed_at.is_not(None))
_PASSKEY = select(model.passkey.c.id)
_TWO_FACTOR = or_(
    _TOTP.where(model.totp.c.account == model.account.c.id).exists(),
    _PASSKEY.where(model.passkey.c.account == model.account.c.id).exists(),
).label("second_factor")
_ACCOUNTS = select(model.account, _TWO_FACTOR).order_by(model.account.c.created_at).limit(1000)
_OPEN_SESSIONS = select(func.count()).where(
    model.session.c.account == model.account.c.id, model.session.c.ended_at.is_(None),
    model.session.c.ends_at > bindparam("now"), model.session.c.last_used_at > bindparam("idle_since"),
    model.session.c.idle_until > bindparam("now"),
)  # fmt: skip
_OWN = Prepared(
    select(
        model.account.c.id, model.account.c.email, model.account.c.name, model.account.c.created_at, _TWO_FACTOR,
        model.account.c.idle_minutes, model.account.c.session_hours, _OPEN_SESSIONS.scalar_subquery().label("sessions"),
    ).where(model.account.c.id == bindparam("account"))
)  # fmt: skip


class SessionFacts(msgspec.Struct, frozen=True):
    """A session that is good now."""

    session: str
    account: str
    kind: Kind
    signed_in_at: datetime
    second_factor: bool


class SignedInPerson(SessionFacts, frozen=True):
    """The same with what a page's header shows; `touch_due` when its last use should be written down, `recovering` when
    somebody asked to get into the account without its second factor."""

    email: str
    name: str
    touch_due: bool
    bound: Binding
    recovering: bool = False


class Profile(msgspec.Struct, frozen=True):
    """An account as its owner sees it; `sessions` are those that are open.

    `idle_minutes` is the time without use after which they end, `idle_longest` the most that may be chosen;
    `session_hours` and `session_longest` are the same for the time after which they end in any case."""

    id: str
    email: Email
    name: PersonName
    second_factor: bool
    sessions: int
    created_at: datetime
    idle_minutes: int
    idle_longest: int
    session_hours: int
    session_longest: int


class AccountFacts(msgspec.Struct, frozen=True):
    """An account as the team sees it."""

    id: str
    kind: str
    state: str
    email: Email
    name: PersonName
    second_factor: bool
    created_at: datetime
    verified_at: datetime | None


def session_facts(connection: Connection, session: str, now: datetime) -> SessionFacts | None:
    """The session by its id, or None when it or its account has ended.

    In a transaction that writes it is held until the commit: whoever ends it waits for what is committing already."""
    values = {"session": session, "now": now, "idle_since": now - rules().idle}
    row = (_HELD_BY_ID if holds(connection) else _BY_ID).first(connection, values)
    if row is None:
        return None
    return SessionFacts(row.id, row.account, Kind(row.kind), row.signed_in_at, row.second_factor)


def resolve_session(connection: Connection, keys: Keys, token: str, now: datetime) -> SignedInPerson | None:
    """The session of a cookie's token, or None."""
    wanted = digest(token)
    row = _BY_DIGEST.first(connection, {"digest": wanted, "now": now, "idle_since": now - rules().idle})
    if row is None or not hmac.compare_digest(row.digest, wanted):
        return None
    email = keys.unseal(row.account, "identity.account.email", row.account, row.email).decode()
    name = keys.unseal(row.account, "identity.account.name", row.account, row.name).decode()
    due = now - row.last_used_at > (row.idle_until - row.last_used_at) / 10 or now - row.last_used_at < timedelta(0)
    bound = Binding(
        Held(row.held), row.network, row.bound, row.until, row.earlier_digest, row.earlier_until, row.bound_at
    )  # fmt: skip
    return SignedInPerson(
        row.id, row.account, Kind(row.kind), row.signed_in_at, row.second_factor, email, name, due, bound,
        row.recovering,
    )  # fmt: skip


def email_index(keys: Keys, email: str) -> bytes:
    """The keyed index under which an address is found; case does not matter."""
    return keys.blind_index(EMAIL_INDEX, email.casefold())


def account_by_email(tx: ReadTransaction, email: str) -> Row[Any] | None:
    """The account that holds this address."""
    return tx.connection.execute(
        select(model.account).where(model.account.c.email_index == email_index(tx.keys, email))
    ).one_or_none()


def account_by_id(tx: ReadTransaction, identifier: str) -> Row[Any] | None:
    return tx.connection.execute(select(model.account).where(model.account.c.id == identifier)).one_or_none()


def contact_of(tx: ReadTransaction, identifier: str) -> tuple[str, str] | None:
    """Address and name of an account that is not closed, for letters and invoices."""
    row = account_by_id(tx, identifier)
    if row is None or row.state == State.CLOSED:
        return None
    opened = open_row(tx, model.account, row)
    return opened["email"], opened["name"]


def email_of(tx: ReadTransaction, identifier: str) -> str | None:
    """The address of an account that is not closed."""
    found = contact_of(tx, identifier)
    return found[0] if found else None


def accounts(tx: ReadTransaction, ids: Collection[str]) -> list[AccountFacts]:
    """Accounts by id; unknown ones are left out."""
    return _facts(tx, model.account.c.id.in_(list(ids)))


def active_accounts(connection: Connection, ids: Collection[str]) -> frozenset[str]:
    """Those of these accounts whose owners can sign in: neither closed nor still to be enrolled. Opens no field."""
    known = select(model.account.c.id).where(model.account.c.id.in_(list(ids)), model.account.c.state == State.ACTIVE)
    return frozenset(connection.execute(known).scalars()) if ids else frozenset()


def own_profile(tx: ReadTransaction, identifier: str, now: datetime) -> Profile | None:
    """The account as its owner sees it."""
    values = {"account": identifier, "now": now, "idle_since": now - rules().idle}
    row = _OWN.first(tx.connection, values)
    if row is None:
        return None
    opened = open_row(tx, model.account, row._asdict())
    return Profile(
        row.id, opened["email"], opened["name"], row.second_factor, row.sessions, row.created_at,
        int(idle_of(row.idle_minutes).total_seconds() // 60), int(rules().idle.total_seconds() // 60),
        int(longest_of(row.session_hours).total_seconds() // 3600), int(rules().absolute.total_seconds() // 3600),
    )  # fmt: skip


def idle_of(chosen: int | None) -> timedelta:
    """The operators' time without use, or the shorter one that the owner chose, in minutes."""
    return min(rules().idle, timedelta(minutes=chosen)) if chosen else rules().idle


def longest_of(chosen: int | None) -> timedelta:
    """The operators' longest time of a session, or the shorter one that the owner chose, in hours."""
    return min(rules().absolute, timedelta(hours=chosen)) if chosen else rules().absolute


def team_accounts(tx: ReadTransaction) -> list[AccountFacts]:
    """Every account of the team; those of live checks are nobody's."""
    return _facts(tx, model.account.c.kind == Kind.TEAM, model.account.c.probe.is_(False))


def is_probe(tx: ReadTransaction, identifier: str) -> bool:
    """Whether this is an account of live checks."""
    found = select(model.account.c.probe).where(model.account.c.id == identifier)
    return bool(tx.connection.execute(found).scalar())


def last_seen(tx: ReadTransaction, ids: Collection[str]) -> dict[str, datetime]:
    """When each of these accounts was last used, by its sessions; those that never were are left out."""
    session = model.session.c
    newest = select(session.account, func.max(session.last_used_at)).group_by(session.account)
    return {row[0]: row[1] for row in tx.connection.execute(newest.where(session.account.in_(list(ids))))}


def ways_of(connection: Connection, identifier: str) -> tuple[str, ...]:
    """The second factors that an account has: code, passkey; recovery codes come with either."""
    ways = {
        "code": _TOTP.where(model.totp.c.account == identifier),
        "passkey": _PASSKEY.where(model.passkey.c.account == identifier),
    }
    return tuple(way for way, found in ways.items() if connection.execute(found.limit(1)).first() is not None)


def has_second_factor(connection: Connection, identifier: str) -> bool:
    """Whether signing in takes more than the password."""
    return bool(ways_of(connection, identifier))


def _facts(tx: ReadTransaction, *where: Any) -> list[AccountFacts]:
    found = []
    for row in tx.connection.execute(_ACCOUNTS.where(*where)):
        opened = open_row(tx, model.account, row)
        found.append(AccountFacts(**{name: opened[name] for name in AccountFacts.__struct_fields__}))
    return found
