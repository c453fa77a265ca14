"""Which kinds of personal data a role sees unmasked, and which it may have shown with a reason. Pure.

What a role's daily task needs and no more. Nothing that is stored widens this; see docs/decisions/0028.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from .actors import Actor, Role, ServiceAccount, TeamMember
from .personal import FieldKind

NOTHING: frozenset[FieldKind] = frozenset()
EVERYTHING = frozenset(FieldKind)

# who works here knows the others by name and reads what they write; addresses inside of texts are masked all the same
TEAM = frozenset({FieldKind.COLLEAGUE_NAME, FieldKind.TEXT})
PROGRAMS = frozenset({FieldKind.TEXT})

SEES: Mapping[Role, frozenset[FieldKind]] = {
    # talks with people: calls them by their name and knows which card they speak of
    Role.SUPPORT: TEAM | {FieldKind.NAME, FieldKind.CARD},
    # corrects what stands on invoices
    Role.BILLING: TEAM | {FieldKind.NAME, FieldKind.ADDRESS, FieldKind.CARD},
    # tells colleagues that something happened with their account
    Role.SECURITY: TEAM | {FieldKind.COLLEAGUE_EMAIL},
    Role.OPERATIONS: TEAM,
    Role.AUDITOR: TEAM,
    # invites colleagues, and holds their addresses against the list of who works here
    Role.ADMINISTRATOR: TEAM | {FieldKind.COLLEAGUE_EMAIL},
}
UNMASKS: Mapping[Role, frozenset[FieldKind]] = {
    Role.SUPPORT: frozenset({FieldKind.EMAIL, FieldKind.NAME, FieldKind.ADDRESS}),
    Role.BILLING: frozenset({FieldKind.EMAIL, FieldKind.NAME, FieldKind.ADDRESS}),
    Role.SECURITY: frozenset({FieldKind.EMAIL, FieldKind.NAME}),
    Role.OPERATIONS: NOTHING,
    Role.AUDITOR: NOTHING,
    Role.ADMINISTRATOR: NOTHING,
}


def is_masked_for(actor: Actor) -> bool:
    """People on the team and programs; a subscriber sees their own alone, a stranger nothing, the service all."""
    return isinstance(actor, TeamMember | ServiceAccount)


def seen_by(actor: Actor, roles: Collection[Role]) -> frozenset[FieldKind]:
    """The kinds that these roles see unmasked. A program sees none, whatever its scopes: it asks for each."""
    if not is_masked_for(actor):
        return EVERYTHING
    if isinstance(actor, ServiceAccount):
        return PROGRAMS
    return TEAM.union(*(SEES[role] for role in roles))


def unmaskable(roles: Collection[Role]) -> frozenset[FieldKind]:
    """The kinds that these roles may have shown, one person at a time, with a reason."""
    return NOTHING.union(*(UNMASKS[role] for role in roles))
