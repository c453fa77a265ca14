"""Reads of requests for approval, each as its reader may see it."""

from __future__ import annotations

import base64
from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Annotated, Any

import msgspec
from sqlalchemy import Connection, Row, select

from subscription_services.kernel import authorise
from subscription_services.kernel.actors import Role, TeamMember
from subscription_services.kernel.context import Context
from subscription_services.kernel.errors import ApprovalNeeded, DomainError, NotFound, SubjectErased
from subscription_services.kernel.operations import Operation
from subscription_services.kernel.personal import ColleagueName, NotPersonal
from subscription_services.kernel.transaction import ReadTransaction
from subscription_services.kernel.words import joined, words

from . import accounts, catalogue, signing
from .approval_model import Way, approval
from .approval_model import request as asked
from .approval_words import Words, sight_of, words_of
from .approvals import arguments_of, check_allowed, policy_of, roles_in
from .authority import roles_of
from .errors import NothingToApprove
from .independence import can_decide, ids_in, why_not
from .model import grant, service_account

SHOWN = 50
COUNTED = 99
"""As much as a badge shows."""


class Given(msgspec.Struct, frozen=True):
    """Who approved, when, and whether with a passkey."""

    approver: str
    name: ColleagueName
    given_at: datetime
    signed: bool


class ApprovalRequest(msgspec.Struct, frozen=True):
    """A request for approval. `why_not` says why the reader may not approve it, nothing when they may; `waits_for` why
    it cannot be carried out now, nothing when it can. `challenge` (base64url) is what the reader's passkey has to sign,
    empty while approvals are not signed. `arguments` are there for the person who asked alone."""

    id: str
    words: Words
    requester: str
    requester_name: ColleagueName
    way: Way
    needed: int
    roles: list[Role]
    asked_at: datetime
    runs_from: datetime | None
    expires_at: datetime
    ended_at: datetime | None
    ended_by: str | None
    outcome: str | None
    approvals: list[Given]
    mine: bool
    why_not: str
    waits_for: str
    challenge: str
    credentials: list[str]
    arguments: Annotated[str, NotPersonal("empty for everybody but the person who wrote them")]


class ApprovalRequests(msgspec.Struct, frozen=True):
    """`to_decide` waits for the reader; `others` for somebody else; `mine` are those that the reader asked for."""

    to_decide: list[ApprovalRequest]
    others: list[ApprovalRequest]
    mine: list[ApprovalRequest]


def request_row(tx: ReadTransaction, identifier: str, *, held: bool = False) -> Row[Any]:
    """The row, held until the commit when asked. Raises NotFound."""
    found = select(asked).where(asked.c.id == identifier)
    row = tx.connection.execute(found.with_for_update() if held else found).one_or_none()
    if row is None:
        raise NotFound()
    return row


def requester_of(tx: ReadTransaction, ctx: Context, request: Any) -> str:
    """Who asked, as the subject of operations about a request."""
    return str(request_row(tx, request.id).requester)


def arguments_as(operation: Operation, text: str) -> msgspec.Struct:
    """The arguments (JSON) as the operation's request. Raises msgspec.ValidationError, msgspec.DecodeError."""
    made = msgspec.json.decode(text, type=operation.request)
    assert isinstance(made, msgspec.Struct)
    return made


def visible(row: Row[Any], actor: str, roles: Collection[Role]) -> bool:
    """To who asked, who may decide, and who watches; where there is nobody to decide, to all who hold a role."""
    watching = {Role.AUDITOR, Role.SECURITY, Role.ADMINISTRATOR}
    return (
        row.requester == actor
        or bool(set(roles) & (roles_in(row) | watching))
        or (row.way == Way.ALONE and bool(roles))
    )


def inbox(tx: ReadTransaction, ctx: Context) -> ApprovalRequests:
    """What waits for the actor, and what they asked for, the newest first."""
    roles = roles_of(tx.connection, ctx.actor.id, ctx.now)
    by_age = select(asked).order_by(asked.c.asked_at.desc(), asked.c.id.desc()).limit(SHOWN)
    mine = tx.connection.execute(by_age.where(asked.c.requester == ctx.actor.id)).all()
    alive = by_age.where(asked.c.ended_at.is_(None), asked.c.expires_at > ctx.now, asked.c.requester != ctx.actor.id)
    rest = [row for row in tx.connection.execute(alive).all() if visible(row, ctx.actor.id, roles)]
    shown = [found for row in rest if (found := seen_by(tx, ctx, row)) is not None]
    return ApprovalRequests(
        [item for item in shown if not item.why_not],
        [item for item in shown if item.why_not],
        [found for row in mine if (found := seen_by(tx, ctx, row)) is not None],
    )


def seen_by(tx: ReadTransaction, ctx: Context, row: Row[Any]) -> ApprovalRequest | None:
    """The request as the actor may see it; None once it cannot be read any more."""
    operation = catalogue.named(row.operation)
    try:
        arguments, reason = arguments_of(tx, row)
    except SubjectErased:
        return None
    if operation is None:
        return None
    mine = row.requester == ctx.actor.id
    given = tx.connection.execute(
        select(approval).where(approval.c.request == row.id).order_by(approval.c.given_at)
    ).all()
    names = names_of(tx, [row.requester, *(item.approver for item in given)])
    who = names.get(row.requester, row.requester)
    roles = roles_of(tx.connection, ctx.actor.id, ctx.now)
    sight = sight_of(ctx.actor, roles, mine=mine)
    said = words_of(operation, arguments, reason, who, sight, colleagues_in(tx, arguments))
    objection = _objection(tx, ctx, row, operation, arguments, {item.approver for item in given})
    signatures = signing.joined()
    challenge, held = b"", list[bytes]()
    if signatures is not None and not objection:
        challenge = signing.challenge(row, ctx.actor.id, bytes.fromhex(said.digest))
        held = list(signatures.credentials(tx, ctx.actor.id))
    return ApprovalRequest(
        id=row.id, words=said, requester=row.requester, requester_name=who, way=Way(row.way), needed=row.needed,
        roles=sorted(roles_in(row)), asked_at=row.asked_at, runs_from=row.runs_from, expires_at=row.expires_at,
        ended_at=row.ended_at, ended_by=row.ended_by, outcome=row.outcome,
        approvals=[
            Given(item.approver, names.get(item.approver, item.approver), item.given_at, item.signature is not None)
            for item in given
        ],
        mine=mine, why_not=objection, waits_for=_waits_for(tx, ctx, row, operation, arguments),
        challenge=base64url(challenge),
        credentials=[base64url(item) for item in held],
        arguments=arguments if mine else "",
    )  # fmt: skip


def names_of(tx: ReadTransaction, ids: Iterable[str]) -> dict[str, str]:
    """Names of people and programs by their ids."""
    wanted = sorted(set(ids))
    programs = select(service_account.c.id, service_account.c.name).where(service_account.c.id.in_(wanted))
    found = {row.id: str(row.name) for row in tx.connection.execute(programs)}
    return found | {person.id: person.name for person in accounts.people(tx, wanted)}


def colleagues_in(tx: ReadTransaction, arguments: str) -> dict[str, str]:
    """Names of the team's people whose ids stand in these arguments, so that approvers know whom it is about."""
    wanted = sorted(item for item in ids_in(msgspec.json.decode(arguments)) if item.startswith("acc_"))
    return {person.id: person.name for person in accounts.people(tx, wanted) if person.team}


def waiting_for(connection: Connection, account: str, roles: Collection[Role], now: datetime) -> int:
    """How many requests wait for this person, for the badge: quickly, so without a look at mailboxes and the log."""
    if not roles:
        return 0
    given = select(approval.c.request).where(approval.c.approver == account)
    appointed = select(grant.c.granted_by).where(grant.c.account == account)
    waiting = select(asked.c.roles).where(
        asked.c.ended_at.is_(None), asked.c.expires_at > now, asked.c.requester != account,
        asked.c.id.not_in(given), asked.c.requester.not_in(appointed),
    )  # fmt: skip
    rows = connection.execute(waiting.limit(COUNTED)).all()
    return sum(bool(roles_in(row) & set(roles)) for row in rows)


def base64url(value: bytes) -> str:
    """Without padding, as WebAuthn has it."""
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def _objection(
    tx: ReadTransaction, ctx: Context, row: Row[Any], operation: Operation, arguments: str, given: Collection[str]
) -> str:
    if row.ended_at is not None or row.expires_at <= ctx.now:
        return words("This request has ended.")
    if ctx.actor.id in given:
        return words("You approved it.")
    if not isinstance(ctx.actor, TeamMember):
        return words("Only people approve.")
    found = accounts.people(tx, [ctx.actor.id])
    try:
        policy = policy_of(operation)
    except (ApprovalNeeded, NothingToApprove):
        return words("The policy of this operation has changed.")
    if not found or not can_decide(tx, policy.roles, found[0], ctx.now):
        return words("Approving this takes one of these roles: %(roles)s.", roles=joined(*sorted(policy.roles)))
    return why_not(tx, row.requester, found[0], frozenset(ids_in(msgspec.json.decode(arguments))))


def _waits_for(tx: ReadTransaction, ctx: Context, row: Row[Any], operation: Operation, arguments: str) -> str:
    """Why the requester could not carry it out now; perform() decides it again."""
    if row.ended_at is not None or row.expires_at <= ctx.now:
        return words("This request has ended.")
    try:
        wanted = arguments_as(operation, arguments)
        if authorise.digest(operation, wanted, authorise.state_of(operation, tx, ctx, wanted)) != bytes(row.digest):
            return words("What it is about has changed since. Ask again.")
        check_allowed(tx, row, policy_of(operation), ctx.now)
    except (ApprovalNeeded, NothingToApprove) as error:
        return error.words
    except (msgspec.ValidationError, msgspec.DecodeError):
        return words("The operation has changed since. Ask again.")
    except DomainError as error:  # the rows that it is about do not allow it any more
        return error.words
    return ""
