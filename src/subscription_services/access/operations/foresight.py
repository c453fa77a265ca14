"""Tightening with foresight: what a narrower policy would have refused, before it takes effect."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

import msgspec
from msgspec import Meta
from sqlalchemy import ColumnElement, select

from subscription_services.access import catalogue, model
from subscription_services.access import foresight as looking
from subscription_services.access.errors import LimitRefused
from subscription_services.access.foresight import Change, Foresight
from subscription_services.kernel.actors import Role
from subscription_services.kernel.context import Context
from subscription_services.kernel.errors import NotFound
from subscription_services.kernel.operations import Limit, Seen, operation
from subscription_services.kernel.transaction import ReadTransaction
from subscription_services.kernel.words import words

from .explaining import WATCHERS
from .people import Id

Name = Annotated[str, Meta(min_length=3, max_length=120)]


class RoleLoses(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    role: Role
    operations: Annotated[list[Name], Meta(min_length=1, max_length=200)]


class TokenLoses(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    id: Id
    scopes: Annotated[list[Name], Meta(min_length=1, max_length=100)]


class Foresee(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A narrower policy, any of these together: `grants` that end, operations that `roles` lose, scopes that `tokens`
    lose, operations that would need the approval of somebody else (`approvals`). `days` is how far to look back."""

    grants: Annotated[list[Id], Meta(max_length=100)] = []
    roles: Annotated[list[RoleLoses], Meta(max_length=6)] = []
    tokens: Annotated[list[TokenLoses], Meta(max_length=100)] = []
    approvals: Annotated[list[Name], Meta(max_length=50)] = []
    days: Annotated[int, Meta(ge=1, le=365)] = 30


@operation("access.foresee", by=WATCHERS, limits=[Limit(60, 3600, "actor")])
def foresee(tx: ReadTransaction, ctx: Context, request: Foresee) -> Seen[Foresight]:
    """Hold a narrower policy against the log of the last days: who would have been refused what, and how often."""
    change = _change(tx, request)
    found = looking.foresee(tx, change, ctx.now - timedelta(days=request.days), ctx.now)
    refused = sum(row.refused for row in found.rows)
    return Seen(found, details={"days": request.days, "looked_at": found.looked_at, "would_be_refused": refused})


def _change(tx: ReadTransaction, request: Foresee) -> Change:
    """Raises LimitRefused, NotFound."""
    roles = frozenset((item.role, name) for item in request.roles for name in item.operations)
    for role, name in sorted(roles):
        item = catalogue.named(name)
        if item is None or role not in item.by:
            raise LimitRefused(fields={"roles": words("Code does not allow %(name)s to this role.", name=name)})
    for name in request.approvals:
        if catalogue.named(name) is None:
            raise LimitRefused(fields={"approvals": words("There is no operation %(name)s.", name=name)})
    _check_there(tx, model.grant.c.id, request.grants)
    _check_there(tx, model.token.c.id, [item.id for item in request.tokens])
    if not (roles or request.grants or request.tokens or request.approvals):
        raise LimitRefused("Choose what would be narrower: operations of a role, grants, or scopes of a token.")
    scopes = {item.id: frozenset(item.scopes) for item in request.tokens}
    return Change(frozenset(request.grants), roles, scopes, frozenset(request.approvals))


def _check_there(tx: ReadTransaction, column: ColumnElement[str], ids: list[str]) -> None:
    found = set(tx.connection.execute(select(column).where(column.in_(ids))).scalars())
    if set(ids) - found:
        raise NotFound()
