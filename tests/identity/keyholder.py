"""People who hold a passkey, made through the real operations."""

from __future__ import annotations

from collections import Counter

import msgspec
from sqlalchemy import select

from subscription_services.identity.operations.passkey_sign_in import (
    BeginPasskeyFactor,
    ConfirmWithPasskey,
    PasskeyFactor,
    PasskeySignIn,
)
from subscription_services.identity.operations.passkeys import RegisterPasskey
from subscription_services.identity.operations.second_factor import Nothing
from subscription_services.identity.operations.sign_in import SignIn
from subscription_services.jobs.model import job
from subscription_services.kernel.actors import Anonymous, Subscriber, TeamMember
from subscription_services.testing import World
from subscription_services.testing.authenticator import Authenticator
from subscription_services.testing.people import PASSWORD

KEYS = "keys@example.org"
STRANGER = Anonymous()


def begun(
    world: World, actor: Subscriber | TeamMember, maker: Authenticator, name: str = "My laptop"
) -> RegisterPasskey:
    """A new passkey, made but not sent yet."""
    options = world.do("identity.begin_passkey", actor, Nothing()).options
    return RegisterPasskey(maker.create(options), name)


def register(world: World, actor: Subscriber | TeamMember, maker: Authenticator, name: str = "My laptop") -> str:
    """Add a passkey; its id."""
    return str(world.do("identity.register_passkey", actor, begun(world, actor, maker, name)).id)


def with_passkey(world: World, email: str = KEYS) -> tuple[Subscriber, Authenticator]:
    """A subscriber who turned two-factor sign-in on with a passkey."""
    actor, maker = world.subscriber(email), Authenticator()
    register(world, actor, maker)
    return Subscriber(actor.id, actor.session, world.clock(), True), maker


def alone(world: World, maker: Authenticator) -> PasskeySignIn:
    """A sign-in with the passkey alone, signed but not sent yet."""
    return PasskeySignIn(maker.get(world.do("identity.begin_passkey_sign_in", STRANGER, Nothing()).options))


def password_right(world: World, email: str = KEYS) -> str:
    """The challenge of a sign-in that waits for its second factor."""
    return str(world.do("identity.sign_in", STRANGER, SignIn(email, PASSWORD)).challenge)


def second(world: World, maker: Authenticator, challenge: str) -> PasskeyFactor:
    """The second step, signed but not sent yet."""
    options = world.do("identity.begin_passkey_factor", STRANGER, BeginPasskeyFactor(challenge)).options
    return PasskeyFactor(challenge, maker.get(options))


def again(world: World, actor: Subscriber | TeamMember, maker: Authenticator) -> ConfirmWithPasskey:
    """Proving oneself again, signed but not sent yet."""
    return ConfirmWithPasskey(maker.get(world.do("identity.begin_passkey_confirm", actor, Nothing()).options))


def letters(world: World, account: str) -> Counter[str]:
    """How many letters of each kind were asked for to this account."""
    with world.house.store.reading() as connection:
        rows = connection.execute(select(job.c.payload).where(job.c.kind == "mail.send"))
        payloads = [msgspec.json.decode(row.payload) for row in rows]
    return Counter(item["letter"] for item in payloads if item["account"] == account)
