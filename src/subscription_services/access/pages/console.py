"""The team console's door: who may come in, and where they can go from here."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from types import MappingProxyType

import msgspec

from subscription_services.access import catalogue
from subscription_services.access.settings import in_force
from subscription_services.kernel.actors import Anonymous, Role, TeamMember
from subscription_services.kernel.errors import NotFound, NotSignedIn, SecondFactorNeeded
from subscription_services.kernel.operations import Operation
from subscription_services.kernel.words import Words, as_words, counted, words
from subscription_services.web.call import Call
from subscription_services.web.page import NavItem

# operation that opens the page, and its link; other rooms' pages stand here by path only
_LINKS = (
    ("access.my_permissions", NavItem("Overview", "/team", "home")),
    ("identity.find_person", NavItem("Find a subscriber", "/team/find", "search")),
    ("identity.recoveries", NavItem("Recoveries", "/team/recoveries", "shield", "/team/recoveries")),
    ("access.people", NavItem("People and roles", "/team/people", "people", "/team/people")),
    ("access.service_accounts", NavItem("Service accounts", "/team/service-accounts", "key", "/team/service-accounts")),
    ("access.who_can", NavItem("Who can do what", "/team/operations", "person", "/team/operations")),
    ("access.foresee", NavItem("Less for a role", "/team/foresight", "down", "/team/foresight")),
    ("access.unused_permissions", NavItem("Not used", "/team/unused", "question", "/team/unused")),
    ("access.approval_requests", NavItem("Approvals", "/team/approvals", "check", "/team/approvals")),
    ("access.reviews", NavItem("Reviews", "/team/reviews", "repeat", "/team/reviews")),
    ("access.deployments", NavItem("Releases", "/team/deployments", "box", "/team/deployments")),
    ("access.tasks", NavItem("Tasks", "/team/tasks", "clock", "/team/tasks")),
    ("access.glass", NavItem("Break glass", "/team/glass", "warning", "/team/glass")),
    ("keys.states", NavItem("Keys", "/team/keys", "lock", "/team/keys")),
    ("access.audit_log", NavItem("Log", "/team/log", "list")),
    ("mail.queue", NavItem("Mail", "/team/mail", "mail")),
)
ROLE_CHOICES = [(role.value, as_words(role.value.capitalize())) for role in Role]
DAYS = [
    ("", words("As long as reviews keep it")),
    *((str(days), counted("%(num)s day", "%(num)s days", days)) for days in (1, 7, 30, 90)),
]


def team_navigation(
    roles: Iterable[Role], tasks: Collection[str] = (), waiting: Mapping[str, int] = MappingProxyType({}),
    withheld: Collection[tuple[Role, str]] = (),
) -> tuple[NavItem, ...]:  # fmt: skip
    """The console's links for these roles and open tasks; what these may not open is not shown. `waiting` counts what
    waits behind a link."""
    held = set(roles)
    found = []
    for name, link in _LINKS:
        item = catalogue.operations().get(name)
        if item is None:
            continue
        if TeamMember.own in item.by or _gives(held, item, withheld) or name in tasks:
            count = waiting.get(link.href, 0)
            found.append(msgspec.structs.replace(link, count=count) if count else link)
    return tuple(found)


def enter(call: Call) -> frozenset[str]:
    """The names of what this team member may do, by the roles they came with: what the pages offer. perform() decides.

    Raises NotSignedIn, NotFound for everybody who is not on the team, and SecondFactorNeeded before anything else.
    """
    if isinstance(call.actor, Anonymous):
        raise NotSignedIn()
    if not isinstance(call.actor, TeamMember):
        raise NotFound()
    if not call.actor.second_factor:
        raise SecondFactorNeeded()
    roles, withheld = call.actor.roles, call.actor.withheld
    return (
        frozenset(item.name for item in call.site.kernel.registry if _gives(roles, item, withheld)) | call.actor.tasks
    )


def _gives(roles: Collection[Role], item: Operation, withheld: Collection[tuple[Role, str]]) -> bool:
    return any(rule in roles and (rule, item.name) not in withheld for rule in item.by)


def waits() -> Words:
    """How long what takes two people waits where there is nobody to ask."""
    seconds = in_force().alone_seconds
    if seconds % 3600 == 0:
        return counted("%(num)s hour", "%(num)s hours", seconds // 3600)
    return counted("%(num)s second", "%(num)s seconds", seconds)


def short(identifier: str) -> str:
    """An id as a table can show it: the kind, and the end, which tells ids of one moment apart."""
    head, found, tail = identifier.partition("_")
    return f"{head}_…{tail[-8:]}" if found and len(tail) == 32 else identifier
