"""Approvals of exact requests, used up in the transaction that executes."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, bindparam, select, update

from subscription_services.kernel.actors import Actor, Anonymous, System
from subscription_services.kernel.errors import ApprovalNeeded

from .model import approval, service_account

# a service account is its owner's hand: the owner cannot approve what it asks for
_OWNER = select(service_account.c.owner).where(service_account.c.id == bindparam("asker"))
_CONSUME = (
    update(approval)
    .where(
        approval.c.digest == bindparam("wanted"),
        approval.c.operation == bindparam("named"),
        approval.c.requester == bindparam("asker"),
        approval.c.approver != bindparam("asker"),
        approval.c.approver.not_in(_OWNER),
        approval.c.consumed_at.is_(None),
        approval.c.given_at <= bindparam("now"),
        approval.c.expires_at > bindparam("now"),
    )
    .values(consumed_at=bindparam("now"))
    .returning(approval.c.approver)
)


class DatabaseApprovals:
    """See `kernel.ports.Approvals`. Every approval of the request is used up at once, so none is left for a second run;
    where they are too few the refusal rolls that back."""

    def consume(
        self, connection: Connection, actor: Actor, operation: str, digest: bytes, needed: int, now: datetime
    ) -> None:
        """Raises ApprovalNeeded: too few people, nobody who could be asked, or a policy that asks for none."""
        if needed < 1 or isinstance(actor, Anonymous | System):
            raise ApprovalNeeded()
        values = {"wanted": digest, "named": operation, "asker": actor.id, "now": now}
        approvers = set(connection.execute(_CONSUME, values).scalars())
        if len(approvers) < needed:
            raise ApprovalNeeded()
