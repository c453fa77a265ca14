"""Cases of programs: owners, keys, and what is not used."""

from __future__ import annotations

from subscription_services.access.operations.canary import CloseCanary, MyToken, OpenCanary
from subscription_services.access.operations.service_accounts import (
    CreateServiceAccount,
    HandOverServiceAccount,
    IssueToken,
    NarrowToken,
)
from subscription_services.access.operations.unused import KeepUnused, NoteUses, ReportUnused
from subscription_services.access.programs import resolve_token
from subscription_services.kernel.actors import Role, ServiceAccount, TeamMember
from subscription_services.testing import Case, World

CANARY, GONE = OpenCanary("a" * 43), CloseCanary("svc_x")
WIDE = ["access.audit_log", "access.scim_users"]


def _boss(world: World) -> TeamMember:
    return world.team(Role.ADMINISTRATOR)


def _program(world: World) -> str:
    boss = _boss(world)
    return str(world.do("access.create_service_account", boss, CreateServiceAccount("Export", boss.id)).id)


def _wide(world: World) -> str:
    """A token that may do more than one thing."""
    request = IssueToken(_program(world), WIDE)
    return str(world.do("access.issue_token", _boss(world), request).token.id)


def directory(world: World, *scopes: str) -> ServiceAccount:
    """The program of the team's directory, with a token for these operations."""
    boss = _boss(world)
    account = world.do("access.create_service_account", boss, CreateServiceAccount("Directory", boss.id)).id
    text = world.do("access.issue_token", boss, IssueToken(account, list(scopes))).text
    with world.house.store.reading() as connection:
        return resolve_token(connection, text, world.clock)


PROGRAM_CASES = [
    Case(
        "access.hand_over_service_account",
        lambda w: (_boss(w), HandOverServiceAccount(_program(w), w.team().id)),
        lambda w: (w.team(Role.SECURITY), HandOverServiceAccount(_program(w), w.team().id)),
    ),
    Case(
        "access.narrow_token",
        lambda w: (w.team(Role.SECURITY), NarrowToken(_wide(w), ["access.scim_users"])),
        lambda w: (w.team(Role.AUDITOR), NarrowToken(_wide(w), ["access.scim_users"])),
    ),
    Case(
        "access.my_token",
        lambda w: (directory(w, "access.my_token"), MyToken()),
        lambda w: (_boss(w), MyToken()),
    ),
    Case("access.open_canary", lambda w: (w.system(), CANARY), lambda w: (_boss(w), CANARY)),
    Case("access.close_canary", lambda w: (w.system(), GONE), lambda w: (_boss(w), GONE)),
    Case(
        "access.unused_permissions",
        lambda w: (w.team(Role.AUDITOR), ReportUnused()),
        lambda w: (w.team(Role.BILLING), ReportUnused()),
    ),
    Case("access.note_uses", lambda w: (w.system(), NoteUses()), lambda w: (_boss(w), NoteUses())),
    Case(
        "access.keep_unused",
        lambda w: (w.system(), KeepUnused(w.team().id)),
        lambda w: (_boss(w), KeepUnused(w.team().id)),
    ),
]
