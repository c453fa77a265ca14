"""Somebody leaves the team."""

from __future__ import annotations

import msgspec

from subscription_services.access import leavers
from subscription_services.kernel.actors import Role, ServiceAccount
from subscription_services.kernel.context import Context
from subscription_services.kernel.needs import recent_sign_in
from subscription_services.kernel.operations import Change, Limit, operation
from subscription_services.kernel.transaction import Transaction

from .people import Id, Reason


class DeactivateLeaver(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    id: Id
    reason: Reason


class Deactivated(msgspec.Struct, frozen=True):
    """`sessions`, `tokens`, `tasks`, `requests` for approval and unused `approvals` are how many ended; `roles` and
    `service_accounts` which."""

    id: str
    sessions: int
    roles: list[str]
    service_accounts: list[str]
    tokens: int
    tasks: int
    requests: int
    approvals: int


@operation(
    "access.deactivate_leaver", by=[Role.ADMINISTRATOR, ServiceAccount.scoped], needs=[recent_sign_in],
    limits=[Limit(600, 60, "actor")],
)  # fmt: skip
def deactivate_leaver(tx: Transaction, ctx: Context, request: DeactivateLeaver) -> Change[Deactivated]:
    """Take everything from a team member who leaves, at once and for good. The last administrator stays."""
    left = leavers.deactivate(tx, ctx, request.id)
    done = Deactivated(
        request.id, left.sessions, left.roles, left.service_accounts, left.tokens,
        left.tasks, left.requests, left.approvals,
    )  # fmt: skip
    return Change(
        None, done, object=request.id, subject=request.id, details=left.details, personal={"reason": request.reason}
    )
