"""Programs: service accounts, and their scoped tokens that always expire and may be bound to a key."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

import msgspec
from msgspec import Meta
from sqlalchemy import insert, update
from sqlalchemy.exc import IntegrityError

from subscription_services.access import accounts, catalogue, model, policy, queries, token_rows, tokens
from subscription_services.access.dpop import thumbprint_of
from subscription_services.access.errors import (
    HandedOver,
    NameTaken,
    NotATeamMember,
    NothingLeft,
    ServiceAccountEnded,
    TokenRevoked,
)
from subscription_services.access.review_policy import stands_until
from subscription_services.access.settings import in_force
from subscription_services.kernel.actors import Role
from subscription_services.kernel.context import Context
from subscription_services.kernel.errors import Invalid
from subscription_services.kernel.events import Detail
from subscription_services.kernel.needs import recent_sign_in
from subscription_services.kernel.operations import Change, Seen, SystemOnly, operation
from subscription_services.kernel.transaction import ReadTransaction, Transaction
from subscription_services.kernel.words import words
from subscription_services.mail import SendLetter

from .people import Id

Scope = Annotated[str, Meta(min_length=1, max_length=120)]
Key = Annotated[str, Meta(max_length=1000)]


class CreateServiceAccount(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`owner` is the team member who answers for the program."""

    name: Annotated[str, Meta(min_length=3, max_length=80)]
    owner: Id
    days: Annotated[int, Meta(ge=1, le=366)] = 366


class EndServiceAccount(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    id: Id


class HandOverServiceAccount(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`owner` is the team member who answers for the program from now on."""

    id: Id
    owner: Id


class IssueToken(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`scopes` are names of operations; `days` until the token expires, 90 at most, or less by the settings. `key`
    binds it to a key of the program: its public half as JWK, or the SHA-256 thumbprint of that (RFC 9449, RFC 7638)."""

    service_account: Id
    scopes: Annotated[list[Scope], Meta(min_length=1, max_length=100)]
    days: Annotated[int, Meta(ge=1, le=model.LONGEST_TOKEN_DAYS)] = 30
    key: Key = ""


class RotateToken(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`overlap_hours` is how long the replaced token still works; by default what the settings say. `key` as for a new
    one; without it the new token is bound to the key of the one before, if that was."""

    id: Id
    days: Annotated[int, Meta(ge=1, le=model.LONGEST_TOKEN_DAYS)] = 30
    overlap_hours: Annotated[int, Meta(ge=0, le=168)] | None = None
    key: Key = ""


class IssuedToken(msgspec.Struct, frozen=True):
    """`text` is the token itself; it is shown once and not kept. `replaced` is the one before, with its new end."""

    text: str
    token: queries.Token
    replaced: queries.Token | None = None


class RevokeToken(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    id: Id


class NarrowToken(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`remove` are the operations that the token may do no more."""

    id: Id
    remove: Annotated[list[Scope], Meta(min_length=1, max_length=100)]


class ListServiceAccounts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pass


class RecordTokenUse(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    id: Id


@operation("access.create_service_account", by=[Role.ADMINISTRATOR], needs=[recent_sign_in])
def create_service_account(
    tx: Transaction, ctx: Context, request: CreateServiceAccount
) -> Change[queries.ServiceAccountRow]:
    """Make an account for a program, with an owner and an end. It can do nothing until it gets a token."""
    owner = _owner(tx, ctx, request.owner)
    made = queries.ServiceAccountRow(
        id=ctx.ids.new("svc"), name=request.name, owner=request.owner, owner_name=owner.name,
        state=model.ServiceAccountState.ACTIVE, created_at=ctx.now,
        expires_at=ctx.now + timedelta(days=request.days), confirmed_until=stands_until(None, ctx.now), tokens=[],
    )  # fmt: skip
    known = model.service_account.c
    values = {name: value for name, value in msgspec.structs.asdict(made).items() if name in known}
    try:
        tx.connection.execute(insert(model.service_account), {**values, "created_by": ctx.actor.id})
    except IntegrityError as error:
        raise NameTaken(fields={"name": NameTaken.message}) from error
    return Change(None, made, details={"owner": made.owner})


@operation("access.end_service_account", by=[Role.ADMINISTRATOR, Role.SECURITY])
def end_service_account(tx: Transaction, ctx: Context, request: EndServiceAccount) -> Change[queries.ServiceAccountRow]:
    """End a service account and every token of it, at once and for good."""
    before = queries.one_service_account(tx, request.id)
    ended, _ = token_rows.end_accounts(tx, ctx.now, model.service_account.c.id == before.id)
    if not ended:
        raise ServiceAccountEnded()
    return Change(before, queries.one_service_account(tx, before.id))


@operation("access.hand_over_service_account", by=[Role.ADMINISTRATOR], needs=[recent_sign_in])
def hand_over_service_account(
    tx: Transaction, ctx: Context, request: HandOverServiceAccount
) -> Change[queries.ServiceAccountRow]:
    """Make somebody else answer for a program, before its owner leaves. Both are told by letter."""
    before = queries.one_service_account(tx, request.id)
    owner = _owner(tx, ctx, request.owner)
    table = model.service_account
    current = update(table).where(
        table.c.id == before.id, table.c.owner == before.owner, table.c.state == model.ServiceAccountState.ACTIVE
    )
    if before.expires_at <= ctx.now:
        raise ServiceAccountEnded()
    if before.owner == owner.id:
        raise HandedOver(fields={"owner": HandedOver.message})
    if not tx.connection.execute(current.values(owner=owner.id)).rowcount:
        raise ServiceAccountEnded()
    for account in (owner.id, before.owner):
        values = {"program": before.id, "from": before.owner, "to": owner.id}
        tx.outbox.add(SendLetter(letter="access.handed_over", account=account, values=values))
    details: dict[str, Detail] = {"from": before.owner, "to": owner.id}
    return Change(before, queries.one_service_account(tx, before.id), subject=before.owner, details=details)


@operation("access.issue_token", by=[Role.ADMINISTRATOR], needs=[recent_sign_in], idempotent=False)
def issue_token(tx: Transaction, ctx: Context, request: IssueToken) -> Change[IssuedToken]:
    """Issue a token for a service account, for the named operations only. The answer shows it once."""
    policy.check_scopes(request.scopes, catalogue.scopes())
    key = thumbprint_of(request.key) if request.key.strip() else None
    text, made = _new_token(tx, ctx, request.service_account, request.scopes, request.days, key)
    details: dict[str, Detail] = {
        "service_account": made.service_account, "scopes": made.scopes, "key": made.key or "none",
    }  # fmt: skip
    return Change(None, IssuedToken(text, made), object=made.id, details=details)


@operation("access.rotate_token", by=[Role.ADMINISTRATOR], needs=[recent_sign_in], idempotent=False)
def rotate_token(tx: Transaction, ctx: Context, request: RotateToken) -> Change[IssuedToken]:
    """Replace a token by one for the same operations; the old one works on for a while, so that nothing stops."""
    row = token_rows.lock_token(tx, request.id)
    before = queries.token_of(row)
    if before.revoked_at is not None or before.expires_at <= ctx.now:
        raise TokenRevoked()
    key = thumbprint_of(request.key) if request.key.strip() else before.key
    text, made = _new_token(tx, ctx, before.service_account, before.scopes, request.days, key, before.id)
    hours = in_force().rotation_hours if request.overlap_hours is None else request.overlap_hours
    until = min(before.expires_at, ctx.now + timedelta(hours=hours))
    # an overlap of nothing ends it here and now, also where it was issued in this very moment
    if until <= before.issued_at or not hours:
        token_rows.revoke(tx, ctx.now, model.token.c.id == before.id)
    else:
        token_rows.change_token(tx, row, {"expires_at": until})
    details: dict[str, Detail] = {
        "service_account": made.service_account, "scopes": made.scopes, "replaces": before.id, "overlap_hours": hours,
        "key": made.key or "none",
    }  # fmt: skip
    answer = IssuedToken(text, made, _one_token(tx, before.id))
    return Change(None, answer, object=made.id, details=details)


@operation("access.revoke_token", by=[Role.ADMINISTRATOR, Role.SECURITY])
def revoke_token(tx: Transaction, ctx: Context, request: RevokeToken) -> Change[queries.Token]:
    """Revoke a token: the next request with it is refused, also one that is under way."""
    before = _one_token(tx, request.id)
    if not token_rows.revoke(tx, ctx.now, model.token.c.id == before.id):
        raise TokenRevoked()
    after = msgspec.structs.replace(before, revoked_at=ctx.now)
    return Change(before, after, details={"service_account": before.service_account})


@operation("access.narrow_token", by=[Role.ADMINISTRATOR, Role.SECURITY])
def narrow_token(tx: Transaction, ctx: Context, request: NarrowToken) -> Change[queries.Token]:
    """Take operations away from a token, at once and for good, also from requests under way. Never gives any."""
    row = token_rows.lock_token(tx, request.id)
    before = queries.token_of(row)
    if before.revoked_at is not None or before.expires_at <= ctx.now:
        raise TokenRevoked()
    left = [scope for scope in before.scopes if scope not in request.remove]
    unknown = sorted(set(request.remove) - set(before.scopes))
    if unknown:
        raise Invalid(fields={"remove": words("This token may not do %(operation)s anyway.", operation=unknown[0])})
    if not left:
        raise NothingLeft()
    token_rows.change_token(tx, row, {"scopes": msgspec.json.encode(left).decode()})
    details: dict[str, Detail] = {"service_account": before.service_account, "removed": sorted(set(request.remove))}
    return Change(before, msgspec.structs.replace(before, scopes=left), details=details)


@operation("access.service_accounts", by=[Role.ADMINISTRATOR, Role.AUDITOR, Role.SECURITY])
def service_accounts(tx: ReadTransaction, ctx: Context, request: ListServiceAccounts) -> Seen[queries.ServiceAccounts]:
    """Every service account with its owner and its tokens, never their text."""
    return Seen(queries.ServiceAccounts(queries.service_accounts(tx)))


@operation("access.record_token_use", by=[SystemOnly("the edge notes that a token is in use, at most once an hour")])
def record_token_use(tx: Transaction, ctx: Context, request: RecordTokenUse) -> Change[queries.Token]:
    """Note when a token was last used, so that unused ones can be found."""
    before = _one_token(tx, request.id)
    tx.connection.execute(update(model.token).where(model.token.c.id == before.id), {"last_used_at": ctx.now})
    after = msgspec.structs.replace(before, last_used_at=ctx.now)
    return Change(before, after, details={"service_account": before.service_account})


def _owner(tx: Transaction, ctx: Context, account: str) -> accounts.Account:
    """Somebody who can answer for a program. Leaving takes the same lock, so that nobody becomes the owner while they
    leave. Raises NotATeamMember."""
    queries.lock_standing_administrators(tx, ctx.now)
    found = accounts.people(tx, [account])
    if not found or not found[0].open or not found[0].team:
        raise NotATeamMember(fields={"owner": "Choose a team member whose account is open."})
    return found[0]


def _new_token(
    tx: Transaction, ctx: Context, service_account: str, scopes: list[str], days: int, key: str | None,
    replaces: str | None = None,
) -> tuple[str, queries.Token]:  # fmt: skip
    """Raises NotFound, ServiceAccountEnded, and Invalid where the settings allow fewer days or want a key."""
    longest = in_force().token_days
    if days > longest:
        raise Invalid(fields={"days": words("Choose %(longest)s days or fewer.", longest=longest)})
    if key is None and in_force().bound_tokens:
        raise Invalid(fields={"key": "Tokens have to be bound to a key here. Give the program's public key."})
    account = queries.one_service_account(tx, service_account)
    if (
        account.state is not model.ServiceAccountState.ACTIVE
        or min(account.expires_at, account.confirmed_until) <= ctx.now
    ):
        raise ServiceAccountEnded()
    text = tokens.new_token(ctx.random)
    made = queries.Token(
        id=ctx.ids.new("tok"), service_account=account.id, scopes=sorted(set(scopes)),
        issued_by=ctx.actor.id, issued_at=ctx.now, last_used_at=None, revoked_at=None,
        expires_at=min(ctx.now + timedelta(days=days), account.expires_at), key=key, replaces=replaces,
    )  # fmt: skip
    values = msgspec.structs.asdict(made)
    token_rows.insert_token(tx, {**values, "jkt": values.pop("key"), "digest": tokens.digest(text)})
    return text, made


def _one_token(tx: ReadTransaction, identifier: str) -> queries.Token:
    return queries.token_of(token_rows.token_row(tx, identifier))
