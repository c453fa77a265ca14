"""May this actor do this? Default is deny; an error while deciding is a refusal by exception."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from enum import StrEnum

import msgspec

from .actors import Actor, Anonymous, Elevation, Role, ServiceAccount, Standing, Subscriber, System, TeamMember
from .context import Context
from .errors import ApprovalNeeded, NotFound, NotSignedIn, Refusal, TaskNeeded
from .events import Detail
from .ids import PATTERN, kind
from .needs import ApprovalsNeeded, OpenTask, TeamSecondFactor
from .operations import Operation, Public, SystemOnly
from .ports import Approvals
from .transaction import ReadTransaction

_TEAM_FACTOR = TeamSecondFactor()


class By(StrEnum):
    """What an operation can be allowed by."""

    SYSTEM = "system"
    SCOPE = "scope"
    ROLE = "role"
    TASK = "task"
    OWN = "own"
    PUBLIC = "public"


class Way(msgspec.Struct, frozen=True):
    """One way by which an operation is allowed to somebody: which role or open task, where it is one of those."""

    by: By
    role: Role | None = None
    task: Elevation | None = None


_SYSTEM, _SCOPE, _OWN, _PUBLIC = (Way(by) for by in (By.SYSTEM, By.SCOPE, By.OWN, By.PUBLIC))
_ROLES = {role: Way(By.ROLE, role) for role in Role}


def claimed_standing(ctx: Context) -> Standing:
    """What the actor was when the request came in: enough to refuse cheaply, never enough to allow."""
    match ctx.actor:
        case Subscriber() as actor:
            return Standing(signed_in_at=actor.signed_in_at, second_factor=actor.second_factor)
        case TeamMember() as actor:
            lent = (Elevation("", actor.tasks),) if actor.tasks else ()
            return Standing(
                roles=actor.roles, signed_in_at=actor.signed_in_at, second_factor=actor.second_factor, elevations=lent,
                withheld=actor.withheld,
            )  # fmt: skip
        case ServiceAccount() as actor:
            return Standing(scopes=actor.scopes)
        case _:
            return Standing()


def permit(operation: Operation, ctx: Context, standing: Standing) -> bool:
    """Decide by permission alone. Returns whether it holds for the actor's own account only. Raises Refusal."""
    way = next(ways(operation, ctx.actor, standing), None)
    if way is None:
        raise NotSignedIn() if isinstance(ctx.actor, Anonymous) else Refusal()
    if way.by is By.ROLE or way.by is By.TASK:
        _TEAM_FACTOR.check(ctx, standing)
    return way.by is By.OWN


def ways(operation: Operation, actor: Actor, standing: Standing) -> Iterator[Way]:
    """Every way by which it is allowed, the one that counts first; none is a refusal. Explanations read the same."""
    by = operation.by
    match actor:
        case System():
            if any(isinstance(rule, SystemOnly) for rule in by):
                yield _SYSTEM
        case ServiceAccount():
            if ServiceAccount.scoped in by and operation.name in standing.scopes:
                yield _SCOPE
        case TeamMember():
            for rule in by:
                if isinstance(rule, Role) and rule in standing.roles and not _withheld(rule, operation, standing):
                    yield _ROLES[rule]
            # an open task lends what some role may do; never more than code allows to roles at all
            if standing.elevations and any(isinstance(rule, Role) for rule in by):
                for item in standing.elevations:
                    if operation.name in item.operations:
                        yield Way(By.TASK, task=item)
            if TeamMember.own in by:
                yield _OWN
        case Subscriber():
            if Subscriber.own in by:
                yield _OWN
        case Anonymous():
            pass
    if any(isinstance(rule, Public) for rule in by):
        yield _PUBLIC


def _withheld(role: Role, operation: Operation, standing: Standing) -> bool:
    return bool(standing.withheld) and (role, operation.name) in standing.withheld


def leaning_on(operation: Operation, ctx: Context, standing: Standing) -> tuple[Elevation, ...]:
    """The open tasks that this hangs on; none where the actor's own roles allow it and it asks for no task."""
    if not isinstance(ctx.actor, TeamMember) or not standing.elevations:
        return ()
    first = next(ways(operation, ctx.actor, standing), None)
    by_role = first is not None and first.by is By.ROLE
    if by_role and not any(isinstance(need, OpenTask) for need in operation.needs):
        return ()
    return tuple(item for item in standing.elevations if operation.name in item.operations)


def check_task(tasks: tuple[Elevation, ...], touched: Iterable[str]) -> Mapping[str, Detail]:
    """Which task it was done under, for the log. A task about one person or thing serves no other of its kind.

    `touched` are the ids that the operation was about. Raises TaskNeeded."""
    if not tasks:
        return {}
    named = {item for item in touched if PATTERN.fullmatch(item)}
    for task in tasks:
        if all(item == task.about or kind(item) != kind(task.about) for item in named):
            return {"task": task.id}
    raise TaskNeeded("Your open task is about somebody or something else.")


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
    operation: Operation, tx: ReadTransaction, ctx: Context, request: msgspec.Struct, approvals: Approvals,
    now: datetime,
) -> Mapping[str, Detail]:  # fmt: skip
    """Consume, in the transaction that executes, the approvals that this exact request needs; which, for the log.

    Raises ApprovalNeeded, which then says what to ask the approval of."""
    for need in operation.needs:
        if isinstance(need, ApprovalsNeeded):
            wanted = digest(operation, request, state_of(operation, tx, ctx, request))
            try:
                used = approvals.consume(tx.connection, ctx.actor, operation.name, wanted, need.count, now)
            except ApprovalNeeded as error:
                error.operation, error.arguments = operation.name, canonical(request).decode()
                raise
            return {"approval": used}
    return {}


def canonical(request: msgspec.Struct) -> bytes:
    """The one way to write this request down."""
    return msgspec.json.encode(request, order="deterministic")


def state_of(operation: Operation, tx: ReadTransaction, ctx: Context, request: msgspec.Struct) -> bytes:
    """The state of the rows that the request is about, as far as the operation says which they are."""
    return operation.concerns(tx, ctx, request) if operation.concerns is not None else b""


def digest(operation: Operation, request: msgspec.Struct, state: bytes = b"") -> bytes:
    """SHA-256 over the operation's name, the canonical request and the rows' state: what an approval binds to."""
    return hashlib.sha256(operation.name.encode() + b"\n" + canonical(request) + b"\n" + state).digest()
