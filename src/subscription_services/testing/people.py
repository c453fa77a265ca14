"""People of every role, made through the real operations."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pyotp

from subscription_services.access.model import grant
from subscription_services.identity import create_team_account, enrolment_token
from subscription_services.identity.model import Purpose
from subscription_services.identity.operations.people import Enrol
from subscription_services.identity.operations.second_factor import ConfirmTotp, Nothing
from subscription_services.identity.operations.sign_in import SignedIn, SignIn
from subscription_services.identity.operations.sign_up import IssueLink, SignUp, VerifyAddress
from subscription_services.kernel.actors import Anonymous, Role, Subscriber, System, TeamMember
from subscription_services.kernel.transaction import BoundOutbox, Transaction
from subscription_services.storage import insert_row

if TYPE_CHECKING:
    from .world import World

PASSWORD = "correct horse battery staple 7"  # noqa: S105  typed by people who exist in tests only
AGES = timedelta(days=3650)
"""How long the roles of people made here stand: tests that let months go by are not about reviews, mostly."""
STRANGER_LINKS = System("identity.letters")


def sign_up_subscriber(world: World, email: str) -> Subscriber:
    """Sign up, prove the address, sign in."""
    world.do("identity.sign_up", Anonymous(), SignUp(email, "Ada Example", PASSWORD))
    account = world.account(email)
    token = world.do("identity.issue_link", STRANGER_LINKS, IssueLink(account, Purpose.VERIFY)).token
    world.do("identity.verify_address", Anonymous(), VerifyAddress(token, password=PASSWORD))
    return sign_in_subscriber(world, email)


def sign_in_subscriber(world: World, email: str) -> Subscriber:
    """A session of its own for an account without second factor."""
    signed: SignedIn = world.do("identity.sign_in", Anonymous(), SignIn(email, PASSWORD))
    return Subscriber(world.account(email), signed.id, world.clock(), False)


def sign_up_team_member(world: World, email: str, roles: frozenset[Role]) -> TeamMember:
    """Enrol, turn on the second factor, hold the roles. The account and its grants are laid as rows: a test that
    is about joining the team uses access.bootstrap and access.invite instead."""
    ctx = world.house.kernel.context(System("testing"))

    def lay(connection: object) -> tuple[str, str]:
        keys = world.house.ring.for_caller("identity")
        outbox = BoundOutbox(connection, world.house.outbox, ctx.now)  # type: ignore[arg-type]
        tx = Transaction(connection, keys, outbox)  # type: ignore[arg-type]  # the store's own connection
        account = create_team_account(tx, ctx, email, "Tess Team")
        for role in sorted(roles):
            row = {
                "id": ctx.ids.new("grt"), "account": account, "role": role, "granted_by": "system:testing",
                "granted_at": ctx.now, "reason": "testing", "standing": True, "ends_at": ctx.now + AGES,
            }  # fmt: skip
            insert_row(tx, grant, row)
        return account, enrolment_token(tx, ctx, account)

    account, token = world.write(lay)
    signed: SignedIn = world.do("identity.enrol", Anonymous(), Enrol(token, PASSWORD))
    bare = TeamMember(account, signed.id, world.clock(), frozenset(), False)
    secret = world.do("identity.start_totp", bare, Nothing()).secret
    world.do("identity.confirm_totp", bare, ConfirmTotp(pyotp.TOTP(secret).at(world.clock())))
    return TeamMember(account, signed.id, world.clock(), roles, True)
