"""May this actor do this? Default is deny; an error while deciding is a refusal by exception."""

from __future__ import annotations

import hashlib

import msgspec

from .actors import Anonymous, Role, ServiceAccount, Standing, Subscriber, System, TeamMember
from .context import Context
from .errors import NotFound, NotSignedIn, Refusal
from .needs import ApprovalsNeeded, TeamSecondFactor
from .operations import Operation, Public, SystemOnly
from .ports import Approvals
from .transaction import ReadTransaction

_TEAM_FACTOR = TeamSecondFactor()


def claimed_standing(ctx: Context) -> Standing:
    """What the actor was when the request came in: enough to refuse cheaply, never enough to allow."""
    match ctx.actor:
        case Subscriber() as actor:
            return Standing(signed_in_at=actor.signed_in_at, second_factor=actor.second_factor)
        case TeamMember() as actor:
            return Standing(roles=actor.roles, signed_in_at=actor.signed_in_at, second_factor=actor.second_factor)
        case ServiceAccount() as actor:
            return Standing(scopes=actor.scopes)
        case _:
            return Standing()


def permit(operation: Operation, ctx: Context, standing: Standing) -> bool:
    """Decide by permission alone. Returns whether it holds for the actor's own account only. Raises Refusal."""
    actor = ctx.actor
    by = operation.by
    match actor:
        case System():
            if any(isinstance(rule, SystemOnly) for rule in by):
                return False
        case ServiceAccount():
            if ServiceAccount.scoped in by and operation.name in standing.scopes:
                return False
        case TeamMember():
            if any(isinstance(rule, Role) and rule in standing.roles for rule in by):
                _TEAM_FACTOR.check(ctx, standing)
                return False
            if TeamMember.own in by:
                return True
        case Subscriber():
            if Subscriber.own in by:
                return True
        case Anonymous():
            pass
    if any(isinstance(rule, Public) for rule in by):
        return False
    if isinstance(actor, Anonymous):
        raise NotSignedIn()
    raise Refusal()


def check_needs(operation: Operation, ctx: Context, standing: Standing) -> None:
    """Step-up, second factor, open task: whatever the operation declares. Raises a Refusal."""
    for need in operation.needs:
        need.check(ctx, standing)


def check_subject(
    operation: Operation, tx: ReadTransaction, ctx: Context, request: msgspec.Struct, own_only: bool
) -> str:
    """Whom it concerns; somebody else's object looks exactly like one that does not exist. Raises NotFound."""
    subject = operation.subject(tx, ctx, request)
    if own_only and subject != ctx.actor.id:
        raise NotFound()
    return subject


def use_approvals(
    operation: Operation, tx: ReadTransaction, ctx: Context, request: msgspec.Struct, approvals: Approvals
) -> None:
    """Consume, in the transaction that executes, the approvals that this exact request needs. Raises ApprovalNeeded."""
    for need in operation.needs:
        if isinstance(need, ApprovalsNeeded):
            approvals.consume(tx.connection, ctx.actor, operation.name, digest(operation, request), need.count, ctx.now)


def digest(operation: Operation, request: msgspec.Struct) -> bytes:
    """SHA-256 over the operation's name and the canonical request: what an approval binds to."""
    body = msgspec.json.encode(request, order="deterministic")
    return hashlib.sha256(operation.name.encode() + b"\n" + body).digest()
