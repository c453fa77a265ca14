"""Approvals of other people, through the real operations."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from subscription_services.access.approval_queries import ApprovalRequest
from subscription_services.access.approvals import policy_of
from subscription_services.access.operations.approvals import Approve, AskApproval, OneRequest
from subscription_services.kernel.actors import Actor, TeamMember
from subscription_services.kernel.authorise import canonical

if TYPE_CHECKING:
    from .world import World


def ask(world: World, asker: Actor, name: str, request: msgspec.Struct) -> ApprovalRequest:
    """Ask for the approval of exactly this request."""
    text = canonical(request).decode()
    made: ApprovalRequest = world.do("access.ask_approval", asker, AskApproval(name, text, "for a test"))
    return made


def approve(world: World, approver: TeamMember, identifier: str) -> ApprovalRequest:
    """Read the request and approve what was shown."""
    found: ApprovalRequest = world.do("access.approval_request", approver, OneRequest(identifier))
    given: ApprovalRequest = world.do("access.approve", approver, Approve(identifier, found.words.digest))
    return given


def approved(world: World, asker: Actor, name: str, request: msgspec.Struct) -> ApprovalRequest:
    """As many others as are needed approve that `asker` does exactly this, once."""
    policy = policy_of(world.house.kernel.registry.get(name))
    others = [world.team(min(policy.roles)) for _ in range(policy.needed)]
    made = ask(world, asker, name, request)
    for other in others:
        made = approve(world, other, made.id)
    return made
