"""For each operation of the room: somebody who may, and somebody who may not."""

from __future__ import annotations

from subscription_services.access.operations.log import SearchLog
from subscription_services.access.operations.people import (
    Bootstrap,
    EndGrant,
    GrantRole,
    Invite,
    MyPermissions,
    People,
)
from subscription_services.access.operations.service_accounts import (
    CreateServiceAccount,
    EndServiceAccount,
    IssueToken,
    ListServiceAccounts,
    RecordTokenUse,
    RevokeToken,
)
from subscription_services.kernel.actors import Anonymous, Role, TeamMember
from subscription_services.testing import Case, World
from subscription_services.testing.cases import Act

SCOPES = ["access.audit_log"]


def _boss(world: World) -> TeamMember:
    return world.team(Role.ADMINISTRATOR)


def _grant(world: World) -> str:
    """A grant that can be ended."""
    grant = world.do("access.grant_role", _boss(world), GrantRole(world.team().id, Role.SUPPORT, "helps"))
    return str(grant.id)


def _program(world: World) -> str:
    boss = _boss(world)
    return str(world.do("access.create_service_account", boss, CreateServiceAccount("Export", boss.id)).id)


def _token(world: World) -> str:
    return str(world.do("access.issue_token", _boss(world), IssueToken(_program(world), SCOPES)).token.id)


def _create(world: World, role: Role) -> Act:
    owner = _boss(world)
    return world.team(role), CreateServiceAccount("Import", owner.id)


FIRST = Bootstrap("first@example.org", "First Person")
INVITE = Invite("new@example.org", "New Person", Role.SUPPORT, "helps subscribers")

CASES = [
    Case("access.bootstrap", lambda w: (w.system("cli"), FIRST), lambda w: (_boss(w), FIRST)),
    Case("access.invite", lambda w: (_boss(w), INVITE), lambda w: (w.team(Role.SECURITY), INVITE)),
    Case(
        "access.grant_role",
        lambda w: (_boss(w), GrantRole(w.team().id, Role.BILLING, "invoices")),
        lambda w: (w.team(Role.SUPPORT), GrantRole(w.team().id, Role.BILLING, "invoices")),
    ),
    Case(
        "access.end_grant",
        lambda w: (_boss(w), EndGrant(_grant(w), "moved on")),
        lambda w: (w.team(Role.AUDITOR), EndGrant(_grant(w), "moved on")),
    ),
    Case("access.people", lambda w: (w.team(Role.AUDITOR), People()), lambda w: (w.team(Role.SUPPORT), People())),
    Case(
        "access.my_permissions", lambda w: (w.subscriber(), MyPermissions()), lambda w: (Anonymous(), MyPermissions())
    ),
    Case(
        "access.create_service_account",
        lambda w: _create(w, Role.ADMINISTRATOR),
        lambda w: _create(w, Role.OPERATIONS),
    ),
    Case(
        "access.end_service_account",
        lambda w: (w.team(Role.SECURITY), EndServiceAccount(_program(w))),
        lambda w: (w.team(Role.AUDITOR), EndServiceAccount(_program(w))),
    ),
    Case(
        "access.issue_token",
        lambda w: (_boss(w), IssueToken(_program(w), SCOPES)),
        lambda w: (w.team(Role.SECURITY), IssueToken(_program(w), SCOPES)),
    ),
    Case(
        "access.revoke_token",
        lambda w: (w.team(Role.SECURITY), RevokeToken(_token(w))),
        lambda w: (w.team(Role.SUPPORT), RevokeToken(_token(w))),
    ),
    Case(
        "access.service_accounts",
        lambda w: (w.team(Role.AUDITOR), ListServiceAccounts()),
        lambda w: (w.subscriber(), ListServiceAccounts()),
    ),
    Case(
        "access.record_token_use",
        lambda w: (w.system("access"), RecordTokenUse(_token(w))),
        lambda w: (_boss(w), RecordTokenUse(_token(w))),
    ),
    Case(
        "access.audit_log",
        lambda w: (w.team(Role.SECURITY), SearchLog(outcome=None, limit=10)),
        lambda w: (w.team(Role.BILLING), SearchLog()),
    ),
]
