"""What an actor is right now, read inside the transaction on every request and never cached."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import BindParameter, Connection, Row, and_, bindparam, or_, select

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
from subscription_services.storage import holds

from . import catalogue, row_codes
from .accounts import session_facts
from .model import ServiceAccountState, grant, service_account, token
from .remembered import task_ended
from .task_model import GLASS, task

_NOW: BindParameter[datetime] = bindparam("now")
_ROLES = select(grant.c.role).where(
    grant.c.account == bindparam("account"),
    grant.c.ended_at.is_(None),
    grant.c.granted_at <= _NOW,
    or_(grant.c.ends_at.is_(None), grant.c.ends_at > _NOW),
)
_TASKS = select(task).where(
    task.c.account == bindparam("account"),
    task.c.ended_at.is_(None),
    task.c.granted_at <= _NOW,
    task.c.ends_at > _NOW,
)
# what a transaction that writes rests on is held until its commit: whoever ends it waits for what is committing already
_HELD_ROLES = _ROLES.with_for_update(read=True)
_HELD_TASKS = _TASKS.with_for_update(read=True)
_TOKEN_IS_GOOD = and_(
    token.c.revoked_at.is_(None),
    token.c.expires_at > _NOW,
    service_account.c.state == ServiceAccountState.ACTIVE,
    service_account.c.expires_at > _NOW,
)
_TOKEN = (
    select(token.c.id, token.c.service_account, token.c.digest, token.c.scopes, token.c.last_used_at)
    .join(service_account, service_account.c.id == token.c.service_account)
    .where(_TOKEN_IS_GOOD)
)
_TOKEN_BY_ID = _TOKEN.where(token.c.id == bindparam("token"), token.c.service_account == bindparam("account"))
_HELD_TOKEN = _TOKEN_BY_ID.with_for_update(read=True)
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
                return _person(connection, actor, now, roles_of(connection, actor.id, now, held=True), lent)
            case ServiceAccount():
                return _program(connection, actor, now)


def roles_of(connection: Connection, account: str, now: datetime, *, held: bool = False) -> frozenset[Role]:
    """The roles that `account` holds now; `held` until the commit where they could be ended meanwhile."""
    statement = _HELD_ROLES if held and holds(connection) else _ROLES
    found = connection.execute(statement, {"account": account, "now": now}).scalars()
    return frozenset(Role(name) for name in found)


def elevations_of(connection: Connection, keys: Keys, account: str, now: datetime) -> tuple[Elevation, ...]:
    """The tasks of `account` that are open now, with what code lets them lend.

    In a transaction that writes they are held until its commit: whoever ends one waits for what is committing already,
    and whatever comes later, on any node, finds it ended.
    """
    statement = _HELD_TASKS if holds(connection) else _TASKS
    rows = connection.execute(statement, {"account": account, "now": now}).all()
    return _lent(keys, [row for row in rows if not task_ended(connection, row.id, row.asked_at)])


def _lent(keys: Keys, rows: Sequence[Row[Any]]) -> tuple[Elevation, ...]:
    found = []
    for row in rows:
        if not row_codes.is_ours(keys, task.name, row_codes.TASK, row):
            continue
        allowed = lends_under(row)
        wanted = decode_scopes(row.operations)
        found.append(Elevation(row.id, allowed & wanted if wanted else allowed, row.about))
    return tuple(found)


def lends_under(row: Row[Any]) -> frozenset[str]:
    """What code lets this task lend at most: less where nobody granted it but the glass was broken."""
    broken = str(row.granted_by or "").startswith(GLASS)
    return catalogue.lends_by_glass(Role(row.role)) if broken else catalogue.lends(Role(row.role))


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
    statement = _HELD_TOKEN if holds(connection) else _TOKEN_BY_ID
    row = connection.execute(statement, {"token": actor.token, "account": actor.id, "now": now}).one_or_none()
    if row is None:
        raise NotSignedIn()
    return Standing(scopes=decode_scopes(row.scopes))
