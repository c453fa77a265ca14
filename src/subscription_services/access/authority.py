"""What an actor is right now, read inside the transaction on every request and never cached."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
from msgspec.structs import replace
from sqlalchemy import BindParameter, Connection, and_, bindparam, func, literal_column, or_, select, text

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
from subscription_services.storage.prepared import Prepared

from . import catalogue, role_limits, row_codes
from .accounts import session_facts
from .model import ServiceAccountState, grant, service_account, token
from .role_limits import Withheld, withheld_of
from .task_model import task

_NOW: BindParameter[datetime] = bindparam("now")
_GRANTED = and_(
    grant.c.account == bindparam("account"),
    grant.c.ended_at.is_(None),
    grant.c.granted_at <= _NOW,
    or_(grant.c.ends_at.is_(None), grant.c.ends_at > _NOW),
)
_ROLES = Prepared(select(grant.c.role).where(_GRANTED))
_TASKS = select(task).where(
    task.c.account == bindparam("account"),
    task.c.ended_at.is_(None),
    task.c.granted_at <= _NOW,
    task.c.ends_at > _NOW,
)
_OPEN_TASKS = Prepared(_TASKS)
# all that decides about a team member, but for the tasks themselves, in one statement: it is asked at every request
_POWERS = {
    dialect: Prepared(
        select(
            *role_limits.COLUMNS,
            select(joined(grant.c.role, literal_column("' '"))).where(_GRANTED).scalar_subquery().label("roles"),
            select(_TASKS.subquery().c.id).limit(1).scalar_subquery().label("lent"),
        ).select_from(role_limits.SOURCE)
    )
    for dialect, joined in (("sqlite", func.group_concat), ("postgresql", func.string_agg))
}
_HELD_TASKS = _TASKS.with_for_update(read=True)
_MAY_WRITE = text("SELECT current_setting('transaction_read_only') = 'off'")
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
_TOKEN_BY_ID = Prepared(_TOKEN.where(token.c.id == bindparam("token"), token.c.service_account == bindparam("account")))
GOOD_TOKENS = select(token).join(service_account, service_account.c.id == token.c.service_account).where(_TOKEN_IS_GOOD)
"""The tokens that count at `now`."""
TOKEN_BY_DIGEST = _TOKEN.where(token.c.digest == bindparam("digest"))
_NOBODY = Standing()
_NO_ROLES: frozenset[Role] = frozenset()
_scopes = msgspec.json.Decoder(frozenset[str])


class HouseAuthority:
    """See `kernel.ports.Authority`: one indexed statement for a subscriber or program, two for a team member.

    Without `keys` no task counts, since their rows cannot be told from forged ones."""

    def __init__(self, keys: Keys | None = None) -> None:
        self._keys = keys

    def standing(self, connection: Connection, actor: Actor, now: datetime) -> Standing:
        """Raises NotSignedIn when the session, account or token has ended, or is not the actor's."""
        match actor:
            case Anonymous() | System():
                return _NOBODY
            case Subscriber():
                return _person(connection, actor, now, _NOBODY)
            case TeamMember():
                return _person(connection, actor, now, powers_of(connection, self._keys, actor.id, now))
            case ServiceAccount():
                return _program(connection, actor, now)


def powers_of(connection: Connection, keys: Keys | None, account: str, now: datetime) -> Standing:
    """What roles and tasks of a team member's account give it now; nothing of any session."""
    rows = _POWERS[connection.dialect.name].all(connection, {"account": account, "now": now})
    withheld = role_limits.judged(rows, keys).withheld(now)
    roles = frozenset(Role(name) for name in rows[0].roles.split()) if rows[0].roles else _NO_ROLES
    lent: tuple[Elevation, ...] = ()
    if keys is not None and rows[0].lent is not None:
        lent = elevations_of(connection, keys, account, now, withheld)
    return Standing(roles=roles, elevations=lent, withheld=withheld)


def roles_of(connection: Connection, account: str, now: datetime) -> frozenset[Role]:
    """The roles that `account` holds now."""
    return frozenset(Role(row.role) for row in _ROLES.all(connection, {"account": account, "now": now}))


def elevations_of(
    connection: Connection, keys: Keys, account: str, now: datetime, withheld: Withheld | None = None
) -> tuple[Elevation, ...]:
    """The tasks of `account` that are open now, with what code, and the limits of roles, let them lend.

    In a transaction that writes they are held until its commit: whoever ends one waits for what is committing already,
    and whatever comes later, on any node, finds it ended.
    """
    values = {"account": account, "now": now}
    rows: Sequence[Any] = _OPEN_TASKS.all(connection, values)
    if not rows:
        return ()
    if connection.dialect.name == "postgresql" and connection.execute(_MAY_WRITE).scalar():
        rows = connection.execute(_HELD_TASKS, values).all()
    return lent_by(keys, rows, withheld_of(connection, keys, now) if withheld is None else withheld)


def lent_by(keys: Keys, rows: Sequence[Any], withheld: Withheld) -> tuple[Elevation, ...]:
    """What these rows of tasks lend. A forged row lends nothing."""
    found = []
    for row in rows:
        if not row_codes.is_ours(keys, task.name, row_codes.TASK, row):
            continue
        role = Role(row.role)
        allowed = catalogue.lends(role)
        if withheld:
            allowed = frozenset(name for name in allowed if (role, name) not in withheld)
        wanted = decode_scopes(row.operations)
        found.append(Elevation(row.id, allowed & wanted if wanted else allowed, row.about))
    return tuple(found)


def decode_scopes(text: str) -> frozenset[str]:
    """The names of operations in a token's row."""
    return _scopes.decode(text)


def _person(connection: Connection, actor: Subscriber | TeamMember, now: datetime, powers: Standing) -> Standing:
    facts = session_facts(connection, actor.session, now)
    if facts is None or facts.account != actor.id or facts.team is not isinstance(actor, TeamMember):
        raise NotSignedIn()
    return replace(powers, signed_in_at=facts.signed_in_at, second_factor=facts.second_factor)


def _program(connection: Connection, actor: ServiceAccount, now: datetime) -> Standing:
    row = _TOKEN_BY_ID.first(connection, {"token": actor.token, "account": actor.id, "now": now})
    if row is None:
        raise NotSignedIn()
    return Standing(scopes=decode_scopes(row.scopes))
