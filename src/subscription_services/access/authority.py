"""What an actor is right now, read inside the transaction on every request and never cached."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
from msgspec.structs import replace
from sqlalchemy import BindParameter, Connection, and_, bindparam, func, literal_column, or_, select

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
from subscription_services.storage.prepared import Prepared

from . import catalogue, role_limits, row_codes
from .accounts import active_accounts, session_facts
from .model import ServiceAccountState, grant, service_account, token
from .remembered import task_ended
from .role_limits import Withheld, withheld_of
from .settings import in_force
from .task_model import GLASS, task

_NOW: BindParameter[datetime] = bindparam("now")
_NOT_ENDED = and_(grant.c.ended_at.is_(None), grant.c.granted_at <= _NOW)
_THEIRS = and_(grant.c.account == bindparam("account"), _NOT_ENDED)
_LIVE = and_(_THEIRS, grant.c.ends_at > _NOW)
# beside what is live, an administrator whose time is up: who may be the last one
_OVERDUE = and_(_THEIRS, grant.c.ends_at <= _NOW, grant.c.standing, grant.c.role == Role.ADMINISTRATOR)
_HAS_ROLES = select(grant.c.id, grant.c.role, grant.c.ends_at).where(or_(_LIVE, _OVERDUE))
_ADMINISTRATORS = (
    select(grant.c.id, grant.c.account, grant.c.ends_at, grant.c.standing)
    .where(grant.c.role == Role.ADMINISTRATOR, _NOT_ENDED)
    .order_by(grant.c.ends_at.desc(), grant.c.granted_at, grant.c.id)
)
_ROLES = Prepared(_HAS_ROLES)
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
            select(joined(grant.c.role, literal_column("' '"))).where(_LIVE).scalar_subquery().label("roles"),
            select(grant.c.id).where(_OVERDUE).limit(1).scalar_subquery().label("overdue"),
            select(_TASKS.subquery().c.id).limit(1).scalar_subquery().label("lent"),
        ).select_from(role_limits.SOURCE)
    )
    for dialect, joined in (("sqlite", func.group_concat), ("postgresql", func.string_agg))
}
# what a transaction that writes rests on is held until its commit: whoever ends it waits for what is committing already
_HELD_ROLES = _HAS_ROLES.with_for_update(read=True)
_HELD_TASKS = _TASKS.with_for_update(read=True)
_TOKEN_IS_GOOD = and_(
    token.c.revoked_at.is_(None),
    token.c.expires_at > _NOW,
    service_account.c.state == ServiceAccountState.ACTIVE,
    service_account.c.expires_at > _NOW,
    service_account.c.confirmed_until > _NOW,
)
GOOD_TOKENS = select(token).join(service_account, service_account.c.id == token.c.service_account).where(_TOKEN_IS_GOOD)
"""The tokens that count at `now`."""
_OF_TOKEN = GOOD_TOKENS.where(token.c.id == bindparam("token"), token.c.service_account == bindparam("account"))
_TOKEN_BY_ID = Prepared(_OF_TOKEN)
_HELD_TOKEN = _OF_TOKEN.with_for_update(read=True)
TOKEN_BY_DIGEST = GOOD_TOKENS.where(token.c.digest == bindparam("digest"))
_NOBODY = Standing()
_NO_ROLES: frozenset[Role] = frozenset()
_scopes = msgspec.json.Decoder(frozenset[str])


class HouseAuthority:
    """See `kernel.ports.Authority`: one indexed statement for a subscriber or program, two for a team member.

    Without `keys` no task and no token counts, since their rows cannot be told from forged ones."""

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
                powers = powers_of(connection, self._keys, actor.id, now, held=True)
                return _person(connection, actor, now, powers)
            case ServiceAccount():
                return _program(connection, self._keys, actor, now)


def powers_of(
    connection: Connection, keys: Keys | None, account: str, now: datetime, *, held: bool = False
) -> Standing:
    """What roles and tasks of a team member's account give it now; nothing of any session. `held` as for `roles_of`."""
    rows = _POWERS[connection.dialect.name].all(connection, {"account": account, "now": now})
    first = rows[0]
    if held and holds(connection):
        roles = roles_of(connection, account, now, held=True)
    else:
        roles = frozenset(Role(name) for name in first.roles.split()) if first.roles else _NO_ROLES
        if first.overdue is not None and last_resort(connection, now) == first.overdue:
            roles |= {Role.ADMINISTRATOR}
    withheld = role_limits.judged(rows, keys).withheld(now)
    lent: tuple[Elevation, ...] = ()
    if keys is not None and first.lent is not None:
        lent = elevations_of(connection, keys, account, now, withheld)
    return Standing(roles=roles, elevations=lent, withheld=withheld)


def last_resort(connection: Connection, now: datetime) -> str | None:
    """The standing grant that counts although its time is up, since there would be no administrator otherwise: the one
    that was confirmed last, then the oldest, of somebody who can sign in. None as long as any of theirs is live."""
    rows = connection.execute(_ADMINISTRATORS, {"now": now}).all()
    usable = active_accounts(connection, {row.account for row in rows})
    able = [row for row in rows if row.account in usable]
    if any(row.ends_at > now for row in able):
        return None
    return next((str(row.id) for row in able if row.standing), None)


def roles_of(connection: Connection, account: str, now: datetime, *, held: bool = False) -> frozenset[Role]:
    """The roles that `account` holds now; `held` until the commit where they could be ended meanwhile.

    A grant whose time is up is none, whether or not a job has noticed."""
    values = {"account": account, "now": now}
    hold = held and holds(connection)
    rows: Sequence[Any] = connection.execute(_HELD_ROLES, values).all() if hold else _ROLES.all(connection, values)
    return frozenset(Role(row.role) for row in rows if row.ends_at > now or last_resort(connection, now) == row.id)


def elevations_of(
    connection: Connection, keys: Keys, account: str, now: datetime, withheld: Withheld | None = None
) -> tuple[Elevation, ...]:
    """The tasks of `account` that are open now, with what code, and the limits of roles, let them lend.

    In a transaction that writes they are held until its commit: whoever ends one waits for what is committing already,
    and whatever comes later, on any node, finds it ended.
    """
    values = {"account": account, "now": now}
    hold = holds(connection)
    rows: Sequence[Any] = connection.execute(_HELD_TASKS, values).all() if hold else _OPEN_TASKS.all(connection, values)
    found = [row for row in rows if not task_ended(connection, row.id, row.asked_at)]
    if not found:
        return ()
    return lent_by(keys, found, withheld_of(connection, keys, now) if withheld is None else withheld)


def lent_by(keys: Keys, rows: Sequence[Any], withheld: Withheld) -> tuple[Elevation, ...]:
    """What these rows of tasks lend. A forged row lends nothing."""
    found = []
    for row in rows:
        if not row_codes.is_ours(keys, task.name, row_codes.TASK, row):
            continue
        role, allowed = Role(row.role), lends_under(row)
        if withheld:
            allowed = frozenset(name for name in allowed if (role, name) not in withheld)
        wanted = decode_scopes(row.operations)
        found.append(Elevation(row.id, allowed & wanted if wanted else allowed, row.about, role))
    return tuple(found)


def lends_under(row: Any) -> frozenset[str]:
    """What code lets this task lend at most: less where nobody granted it but the glass was broken."""
    broken = str(row.granted_by or "").startswith(GLASS)
    return catalogue.lends_by_glass(Role(row.role)) if broken else catalogue.lends(Role(row.role))


def decode_scopes(text: str) -> frozenset[str]:
    """The names of operations in a token's row."""
    return _scopes.decode(text)


def _person(connection: Connection, actor: Subscriber | TeamMember, now: datetime, powers: Standing) -> Standing:
    facts = session_facts(connection, actor.session, now)
    if facts is None or facts.account != actor.id or facts.team is not isinstance(actor, TeamMember):
        raise NotSignedIn()
    return replace(powers, signed_in_at=facts.signed_in_at, second_factor=facts.second_factor)


def _program(connection: Connection, keys: Keys | None, actor: ServiceAccount, now: datetime) -> Standing:
    values = {"token": actor.token, "account": actor.id, "now": now}
    held = holds(connection)
    row = connection.execute(_HELD_TOKEN, values).first() if held else _TOKEN_BY_ID.first(connection, values)
    if row is None or keys is None or not row_codes.is_ours(keys, token.name, row_codes.TOKEN, row):
        raise NotSignedIn()
    if (row.jkt or "") != actor.key or (in_force().bound_tokens and not row.jkt):
        raise NotSignedIn()
    return Standing(scopes=decode_scopes(row.scopes))
