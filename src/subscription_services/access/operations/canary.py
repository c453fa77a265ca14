"""What a token says of itself, and the program that the live checks try the door with."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated

import msgspec
from msgspec import Meta
from sqlalchemy import delete, insert, update

from subscription_services.access import model, queries, token_rows, tokens
from subscription_services.kernel.actors import ServiceAccount
from subscription_services.kernel.context import Context
from subscription_services.kernel.errors import NotSignedIn
from subscription_services.kernel.operations import Change, Seen, SystemOnly, operation
from subscription_services.kernel.transaction import ReadTransaction, Transaction

LASTS = timedelta(minutes=5)
NAME = "Live check"


class MyToken(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pass


class TokenFacts(msgspec.Struct, frozen=True):
    """`key` is the thumbprint of the key that the token is bound to."""

    id: str
    service_account: str
    scopes: list[str]
    expires_at: datetime
    key: str | None


class OpenCanary(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`key` is the thumbprint of the key that its token is bound to."""

    key: Annotated[str, Meta(min_length=43, max_length=43, pattern=r"^[A-Za-z0-9_-]*$")]


class Canary(msgspec.Struct, frozen=True):
    id: str
    text: str


class CloseCanary(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    id: Annotated[str, Meta(max_length=48)]


@operation("access.my_token", by=[ServiceAccount.scoped])
def my_token(tx: ReadTransaction, ctx: Context, request: MyToken) -> Seen[TokenFacts]:
    """What the token that asks may do, until when, and which key it is bound to."""
    if not isinstance(ctx.actor, ServiceAccount):
        raise NotSignedIn()
    found = queries.token_of(token_rows.token_row(tx, ctx.actor.token))
    facts = TokenFacts(found.id, found.service_account, found.scopes, found.expires_at, found.key)
    return Seen(facts, object=found.id)


@operation("access.open_canary", by=[SystemOnly("live checks ask the door as a program would")])
def open_canary(tx: Transaction, ctx: Context, request: OpenCanary) -> Change[Canary]:
    """Make the live checks' program and its token, which may only ask what it is itself, for five minutes."""
    account, token = model.service_account, model.token
    values = {
        "owner": queries.CANARY, "state": model.ServiceAccountState.ACTIVE, "created_by": ctx.actor.id,
        "created_at": ctx.now, "expires_at": ctx.now + LASTS, "confirmed_until": ctx.now + LASTS,
    }  # fmt: skip
    again = update(account).where(account.c.owner == queries.CANARY).values(values).returning(account.c.id)
    identifier = tx.connection.execute(again).scalar()
    if identifier is None:
        identifier = ctx.ids.new("svc")
        name = f"{NAME} {identifier[-6:]}"
        tx.connection.execute(insert(account), {"id": identifier, "name": name, **values})
    tx.connection.execute(delete(token).where(token.c.service_account == identifier))
    made = {
        "id": ctx.ids.new("tok"), "service_account": identifier, "scopes": [my_token.name], "jkt": request.key,
        "replaces": None, "issued_by": ctx.actor.id, "issued_at": ctx.now, "expires_at": ctx.now + LASTS,
        "last_used_at": None, "revoked_at": None,
    }  # fmt: skip
    text = tokens.new_token(ctx.random)
    token_rows.insert_token(tx, {**made, "digest": tokens.digest(text)})
    return Change(None, Canary(identifier, text), object=str(made["id"]))


@operation("access.close_canary", by=[SystemOnly("live checks ask the door as a program would")])
def close_canary(tx: Transaction, ctx: Context, request: CloseCanary) -> Change[CloseCanary]:
    """End the live checks' program and its token, as any service account ends."""
    account = model.service_account.c
    token_rows.end_accounts(tx, ctx.now, (account.id == request.id) & (account.owner == queries.CANARY))
    return Change(None, request)
