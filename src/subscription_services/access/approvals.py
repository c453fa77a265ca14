"""Approvals of exact requests, used up in the transaction that executes."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, insert, select, update
from sqlalchemy.exc import IntegrityError

from subscription_services.kernel.actors import Actor, Role, ServiceAccount, TeamMember
from subscription_services.kernel.errors import ApprovalNeeded, Refusal, SubjectErased
from subscription_services.kernel.needs import ApprovalsNeeded
from subscription_services.kernel.operations import Operation
from subscription_services.kernel.ports import Keys
from subscription_services.kernel.transaction import ReadTransaction
from subscription_services.ledger import queries as ledger
from subscription_services.storage.rows import open_row

from . import accounts, catalogue, row_codes
from .approval_model import End, Way, approval, use, void
from .approval_model import request as asked
from .errors import ApprovalForged, ApprovalWaits, NothingToApprove
from .independence import can_decide, eligible, ids_in, owners_of, why_not
from .remembered import has_left
from .signing import Assertion, check_signed

ENDINGS = frozenset({"access.refuse_approval", "access.withdraw_request"})


@dataclass(frozen=True, slots=True)
class Policy:
    """How many approvals an operation needs, and the roles whose holders give them."""

    needed: int
    roles: frozenset[Role]


def policy_of(operation: Operation | None) -> Policy:
    """What code asks for this operation. Raises NothingToApprove; ApprovalNeeded where the policy makes no sense."""
    needs = [need for need in (operation.needs if operation else ()) if isinstance(need, ApprovalsNeeded)]
    if operation is None or not needs:
        raise NothingToApprove()
    (need, *more) = needs
    roles = frozenset(need.roles or (rule for rule in operation.by if isinstance(rule, Role))) - {Role.AUDITOR}
    if more or need.count < 1 or not roles:
        raise ApprovalNeeded("The policy of this operation names nobody who could approve it, so it cannot be done.")
    return Policy(need.count, roles)


class DatabaseApprovals:
    """See `kernel.ports.Approvals`. Whatever is unclear is a refusal, which rolls back what was marked as used."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys

    def consume(
        self, connection: Connection, actor: Actor, operation: str, digest: bytes, needed: int, now: datetime
    ) -> str:
        """Raises ApprovalNeeded: too few people, nobody who could be asked, or a policy that asks for none."""
        if needed < 1 or not isinstance(actor, TeamMember | ServiceAccount):
            raise ApprovalNeeded()
        try:
            policy = policy_of(catalogue.named(operation))
        except NothingToApprove:
            raise ApprovalNeeded() from None
        if policy.needed != needed:
            raise ApprovalNeeded()
        tx = ReadTransaction(connection, self._keys)
        wanted = (
            select(asked)
            .where(
                asked.c.digest == digest, asked.c.operation == operation, asked.c.requester == actor.id,
                asked.c.ended_at.is_(None), asked.c.asked_at <= now, asked.c.expires_at > now,
            )
            .order_by(asked.c.asked_at)
            .with_for_update()
        )  # fmt: skip
        refusal = ApprovalNeeded()
        for row in connection.execute(wanted).all():
            try:
                check_allowed(tx, row, policy, now)
            except ApprovalForged:
                raise
            except ApprovalNeeded as error:
                refusal = error
                continue
            _use(connection, row, actor.id, now)
            return str(row.id)
        raise refusal


def check_allowed(tx: ReadTransaction, row: Row[Any], policy: Policy, now: datetime) -> None:
    """That this request may be carried out now, everything looked at anew. Raises ApprovalNeeded and its kinds."""
    check_ours(tx, row)
    if row.needed != policy.needed or roles_in(row) != policy.roles:
        raise ApprovalNeeded("What this needs has changed since it was asked for. Ask again.")
    try:
        named = ids_named(tx, row)
    except SubjectErased:
        raise ApprovalNeeded() from None
    given = len(good_approvals(tx, row, policy, named, now))
    if given < policy.needed:
        if row.way != Way.ALONE:
            raise ApprovalNeeded()
        _check_alone(tx, row, policy, named, given, now)


def check_ours(tx: ReadTransaction, row: Row[Any]) -> None:
    """That this service wrote the request, and that it did not end before. Raises ApprovalForged."""
    if not row_codes.is_ours(tx.keys, asked.name, row_codes.REQUEST, row):
        raise ApprovalForged()
    # whoever can write to the database can put an old row back; the log remembers what became of it
    ended = ledger.search(tx.connection, ledger.Search(object=row.id, outcome="success"), limit=ledger.LARGEST_PAGE)
    used = ledger.Search(actor=row.requester, action=row.operation, outcome="success", since=row.asked_at)
    runs = ledger.search(tx.connection, used, limit=ledger.LARGEST_PAGE)
    if (
        runs.next
        or any(item.event.action in ENDINGS for item in ended.found)
        or any(item.event.details.get("approval") == row.id for item in runs.found)
        or any(has_left(tx.connection, person, row.asked_at) for person in owners_of(tx, row.requester))
    ):
        raise ApprovalForged()


def good_approvals(
    tx: ReadTransaction, row: Row[Any], policy: Policy, named: Collection[str], now: datetime
) -> list[Row[Any]]:
    """The approvals of a request that count now: ours, in time, signed, by people who may still decide it."""
    good = []
    people = set()
    ended = select(void.c.approval)
    counted = select(approval).where(approval.c.request == row.id, approval.c.id.not_in(ended))
    for given in tx.connection.execute(counted).all():
        if not row_codes.is_ours(tx.keys, approval.name, row_codes.APPROVAL, given):
            raise ApprovalForged()
        found = accounts.people(tx, [given.approver])
        if given.given_at > now or given.expires_at <= now or given.requester != row.requester or not found:
            continue
        if not can_decide(tx, policy.roles, found[0], now) or why_not(tx, row.requester, found[0], named):
            continue
        try:
            check_signed(tx, row, given.approver, bytes(given.shown), assertion_of(given))
        except Refusal:  # no signature, or a passkey that was taken away since
            continue
        if found[0].id not in people:
            people.add(found[0].id)
            good.append(given)
    return good


def ids_named(tx: ReadTransaction, row: Row[Any]) -> frozenset[str]:
    """Every id that the request is about. Raises SubjectErased."""
    return frozenset(ids_in(msgspec.json.decode(arguments_of(tx, row)[0])))


def arguments_of(tx: ReadTransaction, row: Row[Any]) -> tuple[str, str]:
    """The arguments (canonical JSON) and the reason. Raises SubjectErased."""
    opened = open_row(tx, asked, row)
    return str(opened["arguments"]), str(opened["reason"])


def roles_in(row: Row[Any]) -> frozenset[Role]:
    """The roles of a stored policy; an unknown one is no role of anybody."""
    known = {role.value for role in Role}
    return frozenset(Role(name) for name in msgspec.json.decode(row.roles) if name in known)


def assertion_of(given: Row[Any]) -> Assertion | None:
    """The signature that is stored with an approval."""
    if given.credential is None:
        return None
    return Assertion(
        bytes(given.credential), bytes(given.client_data), bytes(given.authenticator_data), bytes(given.signature)
    )


def _check_alone(
    tx: ReadTransaction, row: Row[Any], policy: Policy, named: Collection[str], given: int, now: datetime
) -> None:
    """Waiting stands in for the people that there are not; whoever there is has to approve nevertheless."""
    others = len(eligible(tx, policy.roles, row.requester, named, now))
    if others >= policy.needed or given < others:
        raise ApprovalWaits("By now somebody else can approve this. It waits for them in their list of requests.")
    if row.runs_from is None or now < row.runs_from:
        raise ApprovalWaits("There is nobody else who could approve this, so it waits, and everybody was told.")


def _use(connection: Connection, row: Row[Any], actor: str, now: datetime) -> None:
    try:
        connection.execute(insert(use), {"request": row.id, "at": now})
    except IntegrityError:
        raise ApprovalNeeded() from None
    ended = update(asked).where(asked.c.id == row.id, asked.c.ended_at.is_(None))
    connection.execute(ended.values(ended_at=now, ended_by=actor, outcome=End.USED))
