"""What an actor is right now, read inside the transaction on every request and never cached."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import BindParameter, Connection, Row, and_, bindparam, or_, select, text

from subscription_services.kernel.actors import (
    Actor,
    Anonymous,
    Elevation,
    Role,
    ServiceAccount,
    Standing,
    Subscriber,
    System,
    TeamMember,
)
from subscription_services.kernel.errors import NotSignedIn
from subscription_services.kernel.ports import Keys

from . import catalogue, row_codes
from .accounts import active_accounts, session_facts
from .model import ServiceAccountState, grant, service_account, token
from .task_model import task

_NOW: BindParameter[datetime] = bindparam("now")
_STANDING_ADMINISTRATOR = and_(grant.c.standing, grant.c.role == Role.ADMINISTRATOR)
_HELD = and_(grant.c.ended_at.is_(None), grant.c.granted_at <= _NOW)
# beside what is live, an administrator whose time is up: who may be the last one
_ROLES = select(grant.c.id, grant.c.role, grant.c.ends_at).where(
    grant.c.account == bindparam("account"), _HELD, or_(grant.c.ends_at > _NOW, _STANDING_ADMINISTRATOR)
)
_ADMINISTRATORS = (
    select(grant.c.id, grant.c.account, grant.c.ends_at, grant.c.standing)
    .where(grant.c.role == Role.ADMINISTRATOR, _HELD)
    .order_by(grant.c.ends_at.desc(), grant.c.granted_at, grant.c.id)
)
_TASKS = select(task).where(
    task.c.account == bindparam("account"),
    task.c.ended_at.is_(None),
    task.c.granted_at <= _NOW,
    task.c.ends_at > _NOW,
)
_HELD_TASKS = _TASKS.with_for_update(read=True)
_MAY_WRITE = text("SELECT current_setting('transaction_read_only') = 'off'")
_TOKEN_IS_GOOD = and_(
    token.c.revoked_at.is_(None),
    token.c.expires_at > _NOW,
    service_account.c.state == ServiceAccountState.ACTIVE,
    service_account.c.expires_at > _NOW,
    service_account.c.confirmed_until > _NOW,
)
_TOKEN = (
    select(token.c.id, token.c.service_account, token.c.digest, token.c.scopes, token.c.last_used_at)
    .join(service_account, service_account.c.id == token.c.service_account)
    .where(_TOKEN_IS_GOOD)
)
_TOKEN_BY_ID = _TOKEN.where(token.c.id == bindparam("token"), token.c.service_account == bindparam("account"))
TOKEN_BY_DIGEST = _TOKEN.where(token.c.digest == bindparam("digest"))
_NOBODY = Standing()
_scopes = msgspec.json.Decoder(frozenset[str])


class HouseAuthority:
    """See `kernel.ports.Authority`: one indexed statement for a subscriber or program, three for a team member.

    Without `keys` no task counts, since their rows cannot be told from forged ones."""

    def __init__(self, keys: Keys | None = None) -> None:
        self._keys = keys

    def standing(self, connection: Connection, actor: Actor, now: datetime) -> Standing:
        """Raises NotSignedIn when the session, account or token has ended, or is not the actor's."""
        match actor:
            case Anonymous() | System():
                return _NOBODY
            case Subscriber():
                return _person(connection, actor, now, frozenset(), ())
            case TeamMember():
                lent = () if self._keys is None else elevations_of(connection, self._keys, actor.id, now)
                return _person(connection, actor, now, roles_of(connection, actor.id, now), lent)
            case ServiceAccount():
                return _program(connection, actor, now)


def roles_of(connection: Connection, account: str, now: datetime) -> frozenset[Role]:
    """The roles that `account` holds now. A grant whose time is up is none, whether or not a job has noticed."""
    found = connection.execute(_ROLES, {"account": account, "now": now})
    return frozenset(
        Role(row.role) for row in found if row.ends_at > now or last_resort(connection, now) == row.id
    )  # fmt: skip


def last_resort(connection: Connection, now: datetime) -> str | None:
    """The standing grant that counts although its time is up, since there would be no administrator otherwise: the one
    that was confirmed last, then the oldest, of somebody who can sign in. None as long as any of theirs is live."""
    rows = connection.execute(_ADMINISTRATORS, {"now": now}).all()
    usable = active_accounts(connection, {row.account for row in rows})
    able = [row for row in rows if row.account in usable]
    if any(row.ends_at > now for row in able):
        return None
    return next((str(row.id) for row in able if row.standing), None)


def elevations_of(connection: Connection, keys: Keys, account: str, now: datetime) -> tuple[Elevation, ...]:
    """The tasks of `account` that are open now, with what code lets them lend.

    In a transaction that writes they are held until its commit: whoever ends one waits for what is committing already,
    and whatever comes later, on any node, finds it ended.
    """
    values = {"account": account, "now": now}
    rows = connection.execute(_TASKS, values).all()
    if rows and connection.dialect.name == "postgresql" and connection.execute(_MAY_WRITE).scalar():
        rows = connection.execute(_HELD_TASKS, values).all()
    return _lent(keys, rows)


def _lent(keys: Keys, rows: Sequence[Row[Any]]) -> tuple[Elevation, ...]:
    found = []
    for row in rows:
        if not row_codes.is_ours(keys, task.name, row_codes.TASK, row):
            continue
        allowed = catalogue.lends(Role(row.role))
        wanted = decode_scopes(row.operations)
        found.append(Elevation(row.id, allowed & wanted if wanted else allowed, row.about))
    return tuple(found)


def decode_scopes(text: str) -> frozenset[str]:
    """The names of operations in a token's row."""
    return _scopes.decode(text)


def _person(
    connection: Connection, actor: Subscriber | TeamMember, now: datetime, roles: frozenset[Role],
    lent: tuple[Elevation, ...],
) -> Standing:  # fmt: skip
    facts = session_facts(connection, actor.session, now)
    if facts is None or facts.account != actor.id or facts.team is not isinstance(actor, TeamMember):
        raise NotSignedIn()
    return Standing(
        roles=roles, signed_in_at=facts.signed_in_at, second_factor=facts.second_factor, elevations=lent
    )  # fmt: skip


def _program(connection: Connection, actor: ServiceAccount, now: datetime) -> Standing:
    row = connection.execute(_TOKEN_BY_ID, {"token": actor.token, "account": actor.id, "now": now}).one_or_none()
    if row is None:
        raise NotSignedIn()
    return Standing(scopes=decode_scopes(row.scopes))
