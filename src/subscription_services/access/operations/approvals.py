"""Asking for approval, giving and refusing it. What was approved is carried out by perform()."""

from __future__ import annotations

import base64
import binascii
from datetime import timedelta
from typing import Annotated, Any

import msgspec
from msgspec import Meta
from sqlalchemy import Row, insert, select, update
from sqlalchemy.exc import IntegrityError

from subscription_services.access import accounts, catalogue, row_codes
from subscription_services.access.approval_model import End, Way, approval
from subscription_services.access.approval_model import request as asked
from subscription_services.access.approval_queries import (
    ApprovalRequest,
    ApprovalRequests,
    arguments_as,
    colleagues_in,
    inbox,
    names_of,
    request_row,
    requester_of,
    seen_by,
    visible,
)
from subscription_services.access.approval_words import sight_of, words_of
from subscription_services.access.approvals import Policy, arguments_of, check_ours, good_approvals, policy_of
from subscription_services.access.authority import HouseAuthority, roles_of
from subscription_services.access.errors import (
    AlreadyApproved,
    ApprovalAsked,
    NotIndependent,
    OtherWords,
    RequestEnded,
)
from subscription_services.access.independence import can_decide, eligible, ids_in, why_not
from subscription_services.access.letter_parts import SECURITY_CONTACT
from subscription_services.access.settings import in_force
from subscription_services.access.signing import Assertion, take_signed
from subscription_services.kernel import authorise
from subscription_services.kernel.actors import Role, ServiceAccount, TeamMember
from subscription_services.kernel.context import Context
from subscription_services.kernel.errors import Invalid, NotFound, Refusal
from subscription_services.kernel.needs import recent_sign_in
from subscription_services.kernel.operations import Change, Declined, Limit, Operation, Seen, operation
from subscription_services.kernel.ports import Writer
from subscription_services.kernel.transaction import ReadTransaction, Transaction
from subscription_services.kernel.words import joined, words
from subscription_services.mail import SendLetter
from subscription_services.storage.rows import insert_row

from .people import Id, Reason

DECIDERS = tuple(role for role in Role if role is not Role.AUDITOR)
Encoded = Annotated[str, Meta(max_length=8000, pattern=r"^[A-Za-z0-9_-]*$")]


class AskApproval(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`operation` is the name of what needs the approval, `arguments` its request as JSON, exactly as it will be made;
    `reason` is what the approvers read."""

    operation: Annotated[str, Meta(min_length=3, max_length=120)]
    arguments: Annotated[str, Meta(min_length=2, max_length=100_000)]
    reason: Reason


class Approve(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`shown` is the digest of the words that were read. The rest is the assertion of a passkey (base64url) over the
    challenge that `access.approval_request` gives, where approvals are signed."""

    id: Id
    shown: Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
    credential: Encoded = ""
    client_data: Encoded = ""
    authenticator_data: Encoded = ""
    signature: Encoded = ""


class RefuseApproval(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    id: Id
    reason: Reason


class OneRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    id: Id


class ListRequests(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pass


@operation("access.ask_approval", by=[TeamMember.own, ServiceAccount.scoped], limits=[Limit(30, 3600, "actor")])
def ask_approval(tx: Transaction, ctx: Context, request: AskApproval) -> Change[ApprovalRequest]:
    """Ask others to approve one exact request; where nobody could, it waits instead and everybody is told."""
    wanted, policy = _wanted(request), policy_of(catalogue.named(request.operation))
    operation = catalogue.operations().get(request.operation)
    assert operation is not None
    standing = HouseAuthority(tx.keys).standing(tx.connection, ctx.actor, ctx.now)
    authorise.check_subject(operation, tx, ctx, wanted, authorise.permit(operation, ctx, standing))
    digest = authorise.digest(operation, wanted, authorise.state_of(operation, tx, ctx, wanted))
    same = select(asked.c.id).where(
        asked.c.digest == digest, asked.c.requester == ctx.actor.id, asked.c.ended_at.is_(None),
        asked.c.expires_at > ctx.now,
    )  # fmt: skip
    if tx.connection.execute(same.limit(1)).first() is not None:
        raise ApprovalAsked()
    named = frozenset(ids_in(msgspec.to_builtins(wanted)))
    others = eligible(tx, policy.roles, ctx.actor.id, named, ctx.now)
    alone = len(others) < policy.needed
    row = _add(tx, ctx, request, wanted, digest, policy, alone=alone)
    for person in accounts.team(tx) if alone else others:
        if person.state == "active":
            _write(tx, "access.alone_asked" if alone else "access.approval_asked", person.id, row.id)
    if alone:
        _write(tx, "access.alone_asked", SECURITY_CONTACT, row.id)
    found = seen_by(tx, ctx, row)
    assert found is not None
    return Change(None, found, details={"asked": operation.name, "way": row.way, "asked_of": len(others)})


@operation(
    "access.approve", by=DECIDERS, needs=[recent_sign_in], limits=[Limit(60, 3600, "actor")], subject=requester_of,
    writer=Writer.APPROVALS,
)  # fmt: skip
def approve(tx: Transaction, ctx: Context, request: Approve) -> Change[ApprovalRequest] | Declined:
    """Approve one exact request of somebody else, as it was shown, with one's own signature."""
    row = _open(tx, ctx, request.id)
    check_ours(tx, row)
    operation = catalogue.named(row.operation)
    policy = policy_of(operation)
    assert operation is not None
    arguments, reason = arguments_of(tx, row)
    named = frozenset(ids_in(msgspec.json.decode(arguments)))
    _check_may(tx, ctx, row, policy, named)
    _check_same(tx, ctx, row, operation, arguments)
    sight, team = sight_of(ctx.actor, _roles(tx, ctx), mine=False), colleagues_in(tx, arguments)
    said = words_of(operation, arguments, reason, _name(tx, ctx, row), sight, team)
    if said.digest != request.shown:
        raise OtherWords()
    assertion = _assertion(request)
    given = select(approval.c.id).where(approval.c.request == row.id, approval.c.approver == ctx.actor.id)
    if tx.connection.execute(given).first() is not None:
        raise AlreadyApproved()
    if refused := take_signed(tx, ctx, row, bytes.fromhex(said.digest), assertion):
        return Declined(refused)
    _insert(tx, ctx, row, bytes.fromhex(said.digest), assertion)
    if len(good_approvals(tx, row, policy, named, ctx.now)) >= row.needed:
        _write(tx, "access.approval_given", row.requester, row.id)
    return _changed(tx, ctx, row.id, {"asked": row.operation, "signed": assertion is not None})


@operation("access.refuse_approval", by=DECIDERS, subject=requester_of)
def refuse_approval(tx: Transaction, ctx: Context, request: RefuseApproval) -> Change[ApprovalRequest]:
    """Refuse a request for approval, or stop one that waits because nobody could approve it."""
    row = _open(tx, ctx, request.id)
    if row.requester == ctx.actor.id:
        raise Refusal("Withdraw your own request instead.")
    if not visible(row, ctx.actor.id, _roles(tx, ctx)):
        raise NotFound()
    _end(tx, ctx, row, End.REFUSED)
    _write(tx, "access.approval_refused", row.requester, row.id)
    return _changed(tx, ctx, row.id, {"asked": row.operation}, request.reason)


@operation("access.withdraw_request", by=[TeamMember.own, ServiceAccount.scoped], subject=requester_of)
def withdraw_request(tx: Transaction, ctx: Context, request: OneRequest) -> Change[ApprovalRequest]:
    """Take back one's own request for approval."""
    row = _open(tx, ctx, request.id)
    if row.requester != ctx.actor.id:
        raise NotFound()
    _end(tx, ctx, row, End.WITHDRAWN)
    return _changed(tx, ctx, row.id, {"asked": row.operation})


@operation("access.approval_requests", by=[*Role, TeamMember.own, ServiceAccount.scoped])
def approval_requests(tx: ReadTransaction, ctx: Context, request: ListRequests) -> Seen[ApprovalRequests]:
    """Requests for approval that wait for the asker, and those that they made."""
    return Seen(inbox(tx, ctx))


@operation("access.approval_request", by=[*Role, TeamMember.own, ServiceAccount.scoped])
def approval_request(tx: ReadTransaction, ctx: Context, request: OneRequest) -> Seen[ApprovalRequest]:
    """One request for approval, in the words that are approved. Its maker finds the exact arguments in it."""
    row = request_row(tx, request.id)
    found = seen_by(tx, ctx, row) if visible(row, ctx.actor.id, _roles(tx, ctx)) else None
    if found is None:
        raise NotFound()
    return Seen(found, object=found.id, details={"masked": found.words.masked})


def _wanted(request: AskApproval) -> msgspec.Struct:
    operation = catalogue.named(request.operation)
    if operation is None or operation.internal:
        raise Invalid(fields={"operation": "There is no such operation."})
    try:
        return arguments_as(operation, request.arguments)
    except msgspec.DecodeError as error:  # a ValidationError is one as well
        text = words("%(operation)s does not take this: %(why)s", operation=operation.name, why=str(error))
        raise Invalid(fields={"arguments": text}) from None


def _add(
    tx: Transaction, ctx: Context, request: AskApproval, wanted: msgspec.Struct, digest: bytes, policy: Policy, *,
    alone: bool,
) -> Row[Any]:  # fmt: skip
    runs_from = ctx.now + timedelta(seconds=in_force().alone_seconds) if alone else None
    values: dict[str, Any] = {
        "id": ctx.ids.new("apq"), "digest": digest, "operation": request.operation, "requester": ctx.actor.id,
        "needed": policy.needed, "roles": msgspec.json.encode(sorted(policy.roles)).decode(),
        "way": Way.ALONE if alone else Way.PEOPLE, "asked_at": ctx.now, "runs_from": runs_from,
        "expires_at": (runs_from or ctx.now) + timedelta(hours=in_force().approval_hours),
    }  # fmt: skip
    code = row_codes.code_of(tx.keys, asked.name, row_codes.REQUEST, values)
    sealed = {"arguments": authorise.canonical(wanted).decode(), "reason": request.reason, "mac": code}
    tx.keys.ensure_subject(ctx.actor.id)
    insert_row(tx, asked, {**values, **sealed})
    return request_row(tx, str(values["id"]))


def _open(tx: Transaction, ctx: Context, identifier: str) -> Row[Any]:
    row = request_row(tx, identifier, held=True)
    if row.ended_at is not None or row.expires_at <= ctx.now:
        raise RequestEnded()
    return row


def _check_may(tx: Transaction, ctx: Context, row: Row[Any], policy: Policy, named: frozenset[str]) -> None:
    me = accounts.people(tx, [ctx.actor.id])
    if not me or not can_decide(tx, policy.roles, me[0], ctx.now):
        raise Refusal(words("Approving this takes one of these roles: %(roles)s.", roles=joined(*sorted(policy.roles))))
    if objection := why_not(tx, row.requester, me[0], named):
        raise NotIndependent(objection)


def _check_same(tx: Transaction, ctx: Context, row: Row[Any], operation: Operation, arguments: str) -> None:
    wanted = arguments_as(operation, arguments)
    if authorise.digest(operation, wanted, authorise.state_of(operation, tx, ctx, wanted)) != bytes(row.digest):
        raise RequestEnded("What this request is about has changed since. It has to be asked for anew.")


def _insert(tx: Transaction, ctx: Context, row: Row[Any], shown: bytes, assertion: Assertion | None) -> None:
    values: dict[str, Any] = {
        "id": ctx.ids.new("apr"), "request": row.id, "requester": row.requester, "approver": ctx.actor.id,
        "shown": shown, "given_at": ctx.now, "expires_at": row.expires_at,
        "credential": assertion.credential if assertion else None,
        "client_data": assertion.client_data if assertion else None,
        "authenticator_data": assertion.authenticator_data if assertion else None,
        "signature": assertion.signature if assertion else None,
    }  # fmt: skip
    code = row_codes.code_of(tx.keys, approval.name, row_codes.APPROVAL, values)
    try:
        tx.connection.execute(insert(approval), {**values, "mac": code})
    except IntegrityError as error:
        raise AlreadyApproved() from error


def _assertion(request: Approve) -> Assertion | None:
    parts = (request.credential, request.client_data, request.authenticator_data, request.signature)
    if not all(parts):
        return None
    try:
        return Assertion(*(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)) for part in parts))
    except (ValueError, binascii.Error):
        raise Invalid("The signature could not be read.") from None


def _end(tx: Transaction, ctx: Context, row: Row[Any], outcome: End) -> None:
    ended = update(asked).where(asked.c.id == row.id, asked.c.ended_at.is_(None))
    if tx.connection.execute(ended.values(ended_at=ctx.now, ended_by=ctx.actor.id, outcome=outcome)).rowcount != 1:
        raise RequestEnded()


def _changed(
    tx: Transaction, ctx: Context, identifier: str, details: dict[str, Any], reason: str = ""
) -> Change[ApprovalRequest]:
    row = request_row(tx, identifier)
    found = seen_by(tx, ctx, row)
    assert found is not None
    personal = {"reason": reason} if reason else {}
    return Change(None, found, subject=row.requester, details=details, personal=personal)


def _roles(tx: ReadTransaction, ctx: Context) -> frozenset[Role]:
    return roles_of(tx.connection, ctx.actor.id, ctx.now)


def _name(tx: ReadTransaction, ctx: Context, row: Row[Any]) -> str:
    return names_of(tx, [row.requester]).get(row.requester, str(row.requester))


def _write(tx: Transaction, letter: str, account: str, request: str) -> None:
    tx.outbox.add(SendLetter(letter=letter, account=account, values={"request": request}))
