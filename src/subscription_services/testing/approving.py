"""Approvals of other people, through the real operations."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import msgspec

from subscription_services.access.approval_queries import ApprovalRequest
from subscription_services.access.approvals import policy_of
from subscription_services.access.operations.approvals import Approve, AskApproval, OneRequest
from subscription_services.access.operations.people import EndGrant, GrantRole, Invite, People
from subscription_services.access.queries import Grant
from subscription_services.identity import relying_party
from subscription_services.identity.operations.passkeys import RegisterPasskey
from subscription_services.identity.operations.second_factor import Nothing
from subscription_services.kernel.actors import Actor, Role, TeamMember
from subscription_services.kernel.authorise import canonical

from .authenticator import Authenticator

if TYPE_CHECKING:
    from .world import World


def ask(world: World, asker: Actor, name: str, request: msgspec.Struct) -> ApprovalRequest:
    """Ask for the approval of exactly this request."""
    text = canonical(request).decode()
    made: ApprovalRequest = world.do("access.ask_approval", asker, AskApproval(name, text, "for a test"))
    return made


def approve(world: World, approver: TeamMember, identifier: str) -> ApprovalRequest:
    """Read the request and approve what was shown, with a passkey that the approver adds where they have none."""
    given: ApprovalRequest = world.do("access.approve", approver, read(world, approver, identifier))
    return given


def read(world: World, approver: TeamMember, identifier: str) -> Approve:
    """What the page of this request sends once its reader has signed; without a signature where they may not approve.

    It is made as the page's script makes it, with the authenticator that `world.passkeys` has for the account."""
    found: ApprovalRequest = world.do("access.approval_request", approver, OneRequest(identifier))
    if not found.challenge:
        return Approve(identifier, found.words.digest)
    passkey = passkey_of(world, approver)
    return Approve(identifier, found.words.digest, **signature(passkey, found.challenge))


def passkey_of(world: World, member: TeamMember, made: Authenticator | None = None) -> Authenticator:
    """The member's own, added to their account through the real operations."""
    if member.id not in world.passkeys:
        maker = made or Authenticator()
        options = world.do("identity.begin_passkey", member, Nothing()).options
        world.do("identity.register_passkey", member, RegisterPasskey(maker.create(options), "Approving"))
        world.passkeys[member.id] = maker
    return world.passkeys[member.id]


def signature(passkey: Authenticator, challenge: str) -> dict[str, str]:
    """The fields that the page's script fills in."""
    answer = json.loads(passkey.get({"challenge": challenge, "rpId": relying_party().id}))
    response = answer["response"]
    return {
        "credential": answer["id"], "client_data": response["clientDataJSON"],
        "authenticator_data": response["authenticatorData"], "signature": response["signature"],
    }  # fmt: skip


def give_role(
    world: World, boss: TeamMember, account: str, role: Role, reason: str = "helps", days: int | None = None
) -> Grant:
    """The role, asked for by `boss`, approved by an administrator who is there for that alone, and carried out."""
    request = GrantRole(account, role, reason, days)
    other = world.team(Role.ADMINISTRATOR)
    approve(world, other, ask(world, boss, "access.grant_role", request).id)
    given: Grant = world.do("access.grant_role", boss, request)
    held = next(person for person in world.do("access.people", other, People()).people if person.id == other.id)
    world.do("access.end_grant", boss, EndGrant(held.grants[0].id, "was there to approve"))
    return given


def invited(world: World, boss: TeamMember, email: str, role: Role, name: str = "New Person") -> str:
    """The account of somebody new whom `boss` invited, who holds the role."""
    account = str(world.do("access.invite", boss, Invite(email, name)).account)
    give_role(world, boss, account, role)
    return account


def approved(world: World, asker: Actor, name: str, request: msgspec.Struct) -> ApprovalRequest:
    """As many others as are needed approve that `asker` does exactly this, once."""
    policy = policy_of(world.house.kernel.registry.get(name))
    others = [world.team(min(policy.roles)) for _ in range(policy.needed)]
    made = ask(world, asker, name, request)
    for other in others:
        made = approve(world, other, made.id)
    return made
