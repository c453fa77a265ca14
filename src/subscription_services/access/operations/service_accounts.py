"""Programs: service accounts, and their scoped tokens that always expire."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

import msgspec
from msgspec import Meta
from sqlalchemy import insert, update
from sqlalchemy.exc import IntegrityError

from subscription_services.access import accounts, catalogue, model, policy, queries, tokens
from subscription_services.access.errors import NameTaken, NotATeamMember, ServiceAccountEnded, TokenRevoked
from subscription_services.access.review_policy import stands_until
from subscription_services.access.settings import in_force
from subscription_services.kernel.actors import Role
from subscription_services.kernel.context import Context
from subscription_services.kernel.errors import Invalid, NotFound
from subscription_services.kernel.events import Detail
from subscription_services.kernel.needs import recent_sign_in
from subscription_services.kernel.operations import Change, Seen, SystemOnly, operation
from subscription_services.kernel.transaction import ReadTransaction, Transaction
from subscription_services.kernel.words import words

from .people import Id

Scope = Annotated[str, Meta(min_length=1, max_length=120)]


class CreateServiceAccount(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`owner` is the team member who answers for the program."""

    name: Annotated[str, Meta(min_length=3, max_length=80)]
    owner: Id
    days: Annotated[int, Meta(ge=1, le=366)] = 366


class EndServiceAccount(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    id: Id


class IssueToken(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`scopes` are names of operations; `days` until the token expires, 90 at most, or less by the settings."""

    service_account: Id
    scopes: Annotated[list[Scope], Meta(min_length=1, max_length=100)]
    days: Annotated[int, Meta(ge=1, le=model.LONGEST_TOKEN_DAYS)] = 30


class RotateToken(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`overlap_hours` is how long the replaced token still works; by default what the settings say."""

    id: Id
    days: Annotated[int, Meta(ge=1, le=model.LONGEST_TOKEN_DAYS)] = 30
    overlap_hours: Annotated[int, Meta(ge=0, le=168)] | None = None


class IssuedToken(msgspec.Struct, frozen=True):
    """`text` is the token itself; it is shown once and not kept. `replaced` is the one before, with its new end."""

    text: str
    token: queries.Token
    replaced: queries.Token | None = None


class RevokeToken(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    id: Id


class ListServiceAccounts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pass


class RecordTokenUse(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    id: Id


@operation("access.create_service_account", by=[Role.ADMINISTRATOR], needs=[recent_sign_in])
def create_service_account(
    tx: Transaction, ctx: Context, request: CreateServiceAccount
) -> Change[queries.ServiceAccountRow]:
    """Make an account for a program, with an owner and an end. It can do nothing until it gets a token."""
    found = accounts.people(tx, [request.owner])
    if not found or not found[0].open or not found[0].team:
        raise NotATeamMember(fields={"owner": "Choose a team member whose account is open."})
    made = queries.ServiceAccountRow(
        id=ctx.ids.new("svc"), name=request.name, owner=request.owner, owner_name=found[0].name,
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
    account, token = model.service_account, model.token
    active = update(account).where(account.c.id == before.id, account.c.state == model.ServiceAccountState.ACTIVE)
    if not tx.connection.execute(active.values(state=model.ServiceAccountState.ENDED)).rowcount:
        raise ServiceAccountEnded()
    tx.connection.execute(
        update(token).where(token.c.service_account == before.id, token.c.revoked_at.is_(None)),
        {"revoked_at": ctx.now},
    )
    return Change(before, queries.one_service_account(tx, before.id))


@operation("access.issue_token", by=[Role.ADMINISTRATOR], needs=[recent_sign_in], idempotent=False)
def issue_token(tx: Transaction, ctx: Context, request: IssueToken) -> Change[IssuedToken]:
    """Issue a token for a service account, for the named operations only. The answer shows it once."""
    policy.check_scopes(request.scopes, catalogue.scopes())
    text, made = _new_token(tx, ctx, request.service_account, request.scopes, request.days)
    details: dict[str, Detail] = {"service_account": made.service_account, "scopes": made.scopes}
    return Change(None, IssuedToken(text, made), object=made.id, details=details)


@operation("access.rotate_token", by=[Role.ADMINISTRATOR], needs=[recent_sign_in], idempotent=False)
def rotate_token(tx: Transaction, ctx: Context, request: RotateToken) -> Change[IssuedToken]:
    """Replace a token by one for the same operations; the old one works on for a while, so that nothing stops."""
    before = _one_token(tx, request.id)
    if before.revoked_at is not None or before.expires_at <= ctx.now:
        raise TokenRevoked()
    text, made = _new_token(tx, ctx, before.service_account, before.scopes, request.days)
    hours = in_force().rotation_hours if request.overlap_hours is None else request.overlap_hours
    until = min(before.expires_at, ctx.now + timedelta(hours=hours))
    # an overlap of nothing ends it here and now, also where it was issued in this very moment
    change = {"revoked_at": ctx.now} if until <= before.issued_at or not hours else {"expires_at": until}
    tx.connection.execute(update(model.token).where(model.token.c.id == before.id), change)
    details: dict[str, Detail] = {
        "service_account": made.service_account, "scopes": made.scopes, "replaces": before.id, "overlap_hours": hours,
    }  # fmt: skip
    answer = IssuedToken(text, made, _one_token(tx, before.id))
    return Change(None, answer, object=made.id, details=details)


@operation("access.revoke_token", by=[Role.ADMINISTRATOR, Role.SECURITY])
def revoke_token(tx: Transaction, ctx: Context, request: RevokeToken) -> Change[queries.Token]:
    """Revoke a token: the next request with it is refused, also one that is under way."""
    before = _one_token(tx, request.id)
    live = update(model.token).where(model.token.c.id == before.id, model.token.c.revoked_at.is_(None))
    if not tx.connection.execute(live.values(revoked_at=ctx.now)).rowcount:
        raise TokenRevoked()
    after = msgspec.structs.replace(before, revoked_at=ctx.now)
    return Change(before, after, details={"service_account": before.service_account})


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


def _new_token(
    tx: Transaction, ctx: Context, service_account: str, scopes: list[str], days: int
) -> tuple[str, queries.Token]:
    """Raises NotFound, ServiceAccountEnded, and Invalid where the settings allow fewer days."""
    longest = in_force().token_days
    if days > longest:
        raise Invalid(fields={"days": words("Choose %(longest)s days or fewer.", longest=longest)})
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
        expires_at=min(ctx.now + timedelta(days=days), account.expires_at),
    )  # fmt: skip
    values = {**msgspec.structs.asdict(made), "scopes": msgspec.json.encode(made.scopes).decode()}
    tx.connection.execute(insert(model.token), {**values, "digest": tokens.digest(text)})
    return text, made


def _one_token(tx: ReadTransaction, identifier: str) -> queries.Token:
    row = tx.connection.execute(model.token.select().where(model.token.c.id == identifier)).one_or_none()
    if row is None:
        raise NotFound()
    return queries.token_of(row)
