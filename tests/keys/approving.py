"""Approvals of other people, through the real operations."""

from __future__ import annotations

import msgspec

from subscription_services.kernel.actors import TeamMember
from subscription_services.testing import World, approving
from subscription_services.testing.cases import Act


def approved(world: World, name: str, asker: TeamMember, request: msgspec.Struct) -> Act:
    """`asker` may now do exactly this once; returns both."""
    approving.approved(world, asker, name, request)
    return asker, request
