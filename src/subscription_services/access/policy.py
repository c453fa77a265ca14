"""Rules of roles, grants and tokens; pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from subscription_services.kernel.actors import Role, ServiceAccount
from subscription_services.kernel.operations import Operation
from subscription_services.kernel.words import table, words

from .errors import LastAdministrator, NotToOneself, ScopeRefused

ROLE_SUMMARIES = table(
    {
        Role.SUPPORT: "Helps subscribers: finds them and manages their subscriptions.",
        Role.BILLING: "Looks after invoices, payments and refunds.",
        Role.SECURITY: "Watches the log and reacts to what it shows.",
        Role.OPERATIONS: "Keeps the service running: jobs, mail, keys, backups.",
        Role.AUDITOR: "Reads the log and the records; changes nothing.",
        Role.ADMINISTRATOR: "Manages the team, roles and service accounts.",
    }
)


# whoever decides about power does so by a role of their own, never by one that was lent
NEVER_LENT = frozenset(
    {
        "access.approve", "access.refuse_approval", "access.grant_task", "access.refuse_task", "access.grant_role",
        "access.invite", "access.confirm_role", "access.seal_glass", "access.try_glass", "access.break_glass",
        "access.close_glass_review",
    }
)  # fmt: skip
# nobody granted it, so nothing that outlasts the hour: no secret of a program, no rule, no way in, no second voice
NEVER_BY_GLASS = frozenset(
    {
        "access.create_service_account", "access.issue_token", "access.rotate_token", "access.make_task_rule",
        "identity.approve_recovery", "identity.approve_team_recovery", "keys.agree_to_restore", "ledger.release",
    }
)  # fmt: skip


def lendable(operations: Iterable[Operation], role: Role) -> frozenset[str]:
    """Names of the operations of `role` that may be lent for a task."""
    return frozenset(item.name for item in operations if role in item.by and not item.internal) - NEVER_LENT


def check_grant(actor_id: str, account: str) -> None:
    """Raises NotToOneself."""
    if actor_id == account:
        raise NotToOneself()


def check_stays_managed(role: Role, account: str, standing_administrators: Collection[str]) -> None:
    """Ending this grant must leave an administrator whose role has no end. Raises LastAdministrator."""
    if role is Role.ADMINISTRATOR and not set(standing_administrators) - {account}:
        raise LastAdministrator()


def grantable_scopes(operations: Iterable[Operation]) -> frozenset[str]:
    """Names of the operations that a service account may be scoped to."""
    return frozenset(item.name for item in operations if ServiceAccount.scoped in item.by)


def check_scopes(scopes: Collection[str], grantable: Collection[str]) -> None:
    """Raises ScopeRefused, naming what is not an operation for service accounts."""
    unknown = sorted(set(scopes) - set(grantable))
    if unknown:
        text = words("Service accounts cannot be given %(operation)s.", operation=unknown[0])
        raise ScopeRefused(fields={"scopes": text})
    if not scopes:
        raise ScopeRefused(fields={"scopes": "Choose at least one operation."})
