"""For each operation of the room: somebody who may, and somebody who may not."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from subscription_services.access.export_model import log_export
from subscription_services.access.operations.approvals import (
    Approve,
    AskApproval,
    ListRequests,
    OneRequest,
    RefuseApproval,
)
from subscription_services.access.operations.leavers import DeactivateLeaver
from subscription_services.access.operations.log import FindOrigin, ReadEntry, SearchLog
from subscription_services.access.operations.log_exports import (
    ExportLog,
    ExportUnmasked,
    ListExports,
    ReadExport,
    RecordPart,
    export_log_unmasked,
)
from subscription_services.access.operations.people import (
    Bootstrap,
    EndGrant,
    FirstPerson,
    GrantRole,
    Invite,
    MyPermissions,
    People,
)
from subscription_services.access.operations.scim import CreateUser, ListUsers, OneUser, UpdateUser
from subscription_services.access.operations.service_accounts import (
    CreateServiceAccount,
    EndServiceAccount,
    IssueToken,
    ListServiceAccounts,
    RecordTokenUse,
    RevokeToken,
    RotateToken,
)
from subscription_services.access.operations.tasks import AskTask, EndTask, ListTasks, MakeTaskRule, OneTask
from subscription_services.access.operations.unmask import Unmask
from subscription_services.access.tasks import About
from subscription_services.kernel.actors import Anonymous, Role, TeamMember
from subscription_services.kernel.errors import NotFound
from subscription_services.testing import Case, World, approving
from subscription_services.testing.cases import Act

from .duty_cases import CASES as DUTIES
from .glass_cases import GLASS
from .limit_cases import LIMITS
from .program_cases import PROGRAM_CASES, directory
from .review_cases import REVIEW_CASES

SCOPES = ["access.audit_log"]


def _boss(world: World) -> TeamMember:
    return world.team(Role.ADMINISTRATOR)


def _grant(world: World) -> str:
    """A grant that can be ended."""
    return str(approving.give_role(world, _boss(world), world.team().id, Role.SUPPORT).id)


def _granting(world: World) -> Act:
    boss, request = _boss(world), GrantRole(world.team().id, Role.BILLING, "invoices")
    approving.approved(world, boss, "access.grant_role", request)
    return boss, request


def _program(world: World) -> str:
    boss = _boss(world)
    return str(world.do("access.create_service_account", boss, CreateServiceAccount("Export", boss.id)).id)


def _token(world: World) -> str:
    return str(world.do("access.issue_token", _boss(world), IssueToken(_program(world), SCOPES)).token.id)


def _create(world: World, role: Role) -> Act:
    owner = _boss(world)
    return world.team(role), CreateServiceAccount("Import", owner.id)


def _export(world: World, who: TeamMember | None = None) -> str:
    return str(world.do("access.export_log", who or world.team(Role.AUDITOR), ExportLog()).id)


def _part(world: World) -> RecordPart:
    return RecordPart(id=_export(world), number=0, events=1, size=10, after="", tree_size=1, note="x", last=True)


def _ready(world: World) -> Act:
    who = world.team(Role.AUDITOR)
    identifier = _export(world, who)
    part = RecordPart(id=identifier, number=0, events=1, size=10, after="", tree_size=1, note="x", last=True)
    world.do("access.record_export_part", world.system("access.exports"), part)
    return who, ReadExport(identifier)


def _over(world: World) -> ReadExport:
    identifier = _export(world)
    hour_ago = world.clock() - timedelta(hours=1)
    world.write(
        lambda c: c.execute(
            log_export.update().where(log_export.c.id == identifier).values(
                expires_at=hour_ago, created_at=hour_ago - timedelta(days=1)
            )
        )
    )  # fmt: skip
    return ReadExport(identifier)


def approved(world: World, asker: TeamMember, request: ExportUnmasked) -> None:
    """Somebody else has approved exactly this request."""
    approving.approved(world, asker, export_log_unmasked.name, request)


def _unmasked(world: World) -> Act:
    who, request = world.team(Role.SECURITY), ExportUnmasked(reason="case 7")
    approved(world, who, request)
    return who, request


def _entry(world: World) -> ReadEntry:
    return ReadEntry(world.events()[0].id)


def _asked(world: World, asker: TeamMember) -> str:
    """A request for approval that somebody else can decide."""
    world.team(Role.SECURITY)
    request = ExportUnmasked(reason=f"case of {asker.id}")
    return approving.ask(world, asker, export_log_unmasked.name, request).id


def _ask(world: World, asker: TeamMember) -> Act:
    world.team(Role.ADMINISTRATOR)
    return asker, AskApproval(export_log_unmasked.name, '{"reason": "case 7"}', "to find the thief")


def _approve(world: World, approver: TeamMember) -> Act:
    identifier = _asked(world, world.team(Role.ADMINISTRATOR))
    shown = world.do("access.approval_request", world.team(Role.SECURITY), OneRequest(identifier)).words.digest
    try:
        return approver, approving.read(world, approver, identifier)
    except NotFound:
        return approver, Approve(identifier, shown)


def _task(world: World, asker: TeamMember | None = None) -> str:
    request = AskTask("Look into case 7", About.INCIDENT, "case-7", Role.BILLING, 60)
    return str(world.do("access.ask_task", asker or world.team(Role.SUPPORT), request).id)


def _open_task(world: World, holder: TeamMember | None = None) -> str:
    identifier = _task(world, holder)
    world.do("access.grant_task", world.team(Role.SECURITY), OneTask(identifier))
    return identifier


def _own(world: World, make: Callable[[World, TeamMember], str], request: Callable[[str], Any]) -> Act:
    member = world.team(Role.SECURITY)
    return member, request(make(world, member))


RULE = MakeTaskRule(Role.SUPPORT, Role.BILLING, ["billing.refund"], 30)


def _rule(world: World) -> Act:
    boss = world.team(Role.ADMINISTRATOR)
    approving.approved(world, boss, "access.make_task_rule", RULE)
    return boss, RULE


def _made_rule(world: World) -> str:
    return str(world.do("access.make_task_rule", *_rule(world)).id)


FIRST = Bootstrap([FirstPerson("first@example.org", "First Person")])
INVITE = Invite("new@example.org", "New Person")

CASES = [
    *DUTIES,
    *PROGRAM_CASES,
    Case("access.bootstrap", lambda w: (w.system("cli"), FIRST), lambda w: (_boss(w), FIRST)),
    Case("access.invite", lambda w: (_boss(w), INVITE), lambda w: (w.team(Role.SECURITY), INVITE)),
    Case(
        "access.grant_role",
        _granting,
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
        "access.rotate_token",
        lambda w: (_boss(w), RotateToken(_token(w))),
        lambda w: (w.team(Role.SECURITY), RotateToken(_token(w))),
    ),
    Case(
        "access.deactivate_leaver",
        lambda w: (_boss(w), DeactivateLeaver(w.team(Role.SUPPORT).id, "left on Friday")),
        lambda w: (w.team(Role.SECURITY), DeactivateLeaver(w.team().id, "left on Friday")),
    ),
    Case(
        "access.scim_users",
        lambda w: (directory(w, "access.scim_users"), ListUsers()),
        lambda w: (w.team(Role.ADMINISTRATOR), ListUsers()),
    ),
    Case(
        "access.scim_user",
        lambda w: (directory(w, "access.scim_user"), OneUser(w.team().id)),
        lambda w: (directory(w, "access.scim_users"), OneUser(w.team().id)),
    ),
    Case(
        "access.scim_create_user",
        lambda w: (directory(w, "access.scim_create_user"), CreateUser("new@example.org", "New", "x-1")),
        lambda w: (directory(w, "access.scim_users"), CreateUser("new@example.org", "New")),
    ),
    Case(
        "access.scim_update_user",
        lambda w: (directory(w, "access.scim_update_user"), UpdateUser(w.team().id, active=False)),
        lambda w: (directory(w, "access.scim_delete_user"), UpdateUser(w.team().id, active=False)),
    ),
    Case(
        "access.scim_delete_user",
        lambda w: (directory(w, "access.scim_delete_user"), OneUser(w.team().id)),
        lambda w: (directory(w, "access.scim_update_user"), OneUser(w.team().id)),
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
    Case(
        "access.log_entry",
        lambda w: (w.team(Role.AUDITOR), _entry(w)),
        lambda w: (w.team(Role.SUPPORT), _entry(w)),
    ),
    Case(
        "access.find_origin",
        lambda w: (w.team(Role.SECURITY), FindOrigin("192.0.2.7")),
        lambda w: (w.team(Role.SUPPORT), FindOrigin("192.0.2.7")),
    ),
    Case(
        "access.export_log",
        lambda w: (w.team(Role.AUDITOR), ExportLog(action="access.")),
        lambda w: (w.team(Role.BILLING), ExportLog()),
    ),
    Case(
        "access.export_log_unmasked",
        _unmasked,
        lambda w: (w.team(Role.SECURITY), ExportUnmasked(reason="case 7")),
    ),
    Case(
        "access.log_exports", lambda w: (w.team(Role.AUDITOR), ListExports()), lambda w: (w.subscriber(), ListExports())
    ),
    Case(
        "access.log_export",
        lambda w: (w.team(Role.ADMINISTRATOR), ReadExport(_export(w))),
        lambda w: (w.team(Role.SUPPORT), ReadExport(_export(w))),
    ),
    Case(
        "access.ask_approval",
        lambda w: _ask(w, w.team(Role.SECURITY)),
        lambda w: _ask(w, w.team(Role.SUPPORT)),
    ),
    Case(
        "access.approve",
        lambda w: _approve(w, w.team(Role.SECURITY)),
        lambda w: _approve(w, w.team(Role.BILLING)),
    ),
    Case(
        "access.refuse_approval",
        lambda w: (w.team(Role.SECURITY), RefuseApproval(_asked(w, w.team(Role.ADMINISTRATOR)), "not needed")),
        lambda w: (w.team(Role.AUDITOR), RefuseApproval(_asked(w, w.team(Role.ADMINISTRATOR)), "not needed")),
    ),
    Case(
        "access.withdraw_request",
        lambda w: _own(w, _asked, OneRequest),
        lambda w: (w.subscriber(), OneRequest(_asked(w, w.team(Role.SECURITY)))),
    ),
    Case(
        "access.approval_requests",
        lambda w: (w.team(), ListRequests()),
        lambda w: (w.subscriber(), ListRequests()),
    ),
    Case(
        "access.approval_request",
        lambda w: _own(w, _asked, OneRequest),
        lambda w: (w.subscriber(), OneRequest(_asked(w, w.team(Role.SECURITY)))),
    ),
    Case(
        "access.ask_task",
        lambda w: (w.team(), AskTask("Look into case 7", About.OTHER, "", Role.SUPPORT, 30)),
        lambda w: (w.subscriber(), AskTask("Look into case 7", About.OTHER, "", Role.SUPPORT, 30)),
    ),
    Case(
        "access.grant_task",
        lambda w: (w.team(Role.SECURITY), OneTask(_task(w))),
        lambda w: (w.team(Role.AUDITOR), OneTask(_task(w))),
    ),
    Case(
        "access.refuse_task",
        lambda w: (w.team(Role.ADMINISTRATOR), EndTask(_task(w), "not needed")),
        lambda w: (w.team(Role.SUPPORT), EndTask(_task(w), "not needed")),
    ),
    Case(
        "access.revoke_task",
        lambda w: (w.team(Role.SECURITY), EndTask(_open_task(w), "it is done")),
        lambda w: (w.team(Role.BILLING), EndTask(_open_task(w), "it is done")),
    ),
    Case(
        "access.close_task",
        lambda w: _own(w, _open_task, OneTask),
        lambda w: (w.subscriber(), OneTask(_open_task(w))),
    ),
    Case(
        "access.make_task_rule",
        _rule,
        lambda w: (w.team(Role.ADMINISTRATOR), RULE),
    ),
    Case(
        "access.end_task_rule",
        lambda w: (w.team(Role.SECURITY), OneTask(_made_rule(w))),
        lambda w: (w.team(Role.SUPPORT), OneTask(_made_rule(w))),
    ),
    Case("access.task_rules", lambda w: (w.team(Role.BILLING), ListTasks()), lambda w: (w.team(), ListTasks())),
    Case("access.tasks", lambda w: (w.team(), ListTasks()), lambda w: (w.subscriber(), ListTasks())),
    Case(
        "access.task_record",
        lambda w: (w.team(Role.AUDITOR), OneTask(_open_task(w))),
        lambda w: (w.subscriber(), OneTask(_open_task(w))),
    ),
    *GLASS,
    Case(
        "access.unmask",
        lambda w: (w.team(Role.SUPPORT), Unmask(w.subscriber().id, "case 7", email=True)),
        lambda w: (w.team(Role.AUDITOR), Unmask(w.subscriber().id, "case 7", email=True)),
    ),
    Case("access.download_log_export", _ready, lambda w: (w.team(Role.SUPPORT), _ready(w)[1])),
    Case(
        "access.record_export_part", lambda w: (w.system(), _part(w)), lambda w: (w.team(Role.ADMINISTRATOR), _part(w))
    ),
    Case(
        "access.delete_log_export",
        lambda w: (w.system(), _over(w)),
        lambda w: (w.team(Role.SECURITY), ReadExport(_export(w))),
    ),
    *REVIEW_CASES,
    *LIMITS,
]
