"""People at a terminal of this machine, while nothing is running that they could sign in to."""

from __future__ import annotations

import asyncio
from typing import Any, Protocol

import msgspec

from subscription_services import access, app, identity
from subscription_services.kernel.actors import Actor, Anonymous, TeamMember
from subscription_services.kernel.clock import Clock
from subscription_services.kernel.context import Origin
from subscription_services.kernel.errors import ApprovalNeeded, Invalid, NotSignedIn, Refusal
from subscription_services.kernel.operations import Operation
from subscription_services.kernel.perform import Kernel, perform
from subscription_services.kernel.settings import Settings

ORIGIN = Origin(channel="terminal")


class Asking(Protocol):
    """Whoever sits there."""

    def ask(self, what: str, *, secret: bool) -> str: ...


async def sign_in(kernel: Kernel, terminal: Asking, who: str) -> TeamMember:
    """With password and code, as anywhere. Raises Refusal."""
    email = terminal.ask(f"E-mail of {who}", secret=False)
    password = terminal.ask("Password", secret=True)
    signed = await do(kernel, "identity.sign_in", Anonymous(), email=email, password=password)
    if signed.challenge:
        code = terminal.ask("Code", secret=True)
        signed = await do(kernel, "identity.sign_in_code", Anonymous(), challenge=signed.challenge, code=code)
    now = kernel.clock()
    with kernel.store.reading() as connection:
        found = identity.resolve_session(connection, kernel.keys.for_caller("identity"), signed.token, now)
        if found is None:
            raise NotSignedIn()
        claims = access.claims_of(connection, kernel.keys.for_caller("access"), found.account, now)
    return TeamMember(
        found.account, found.session, found.signed_in_at, claims.roles, found.second_factor, claims.tasks,
        claims.withheld,
    )  # fmt: skip


def allow(settings: Settings, operation: Operation, request: msgspec.Struct, terminal: Asking, clock: Clock) -> None:
    """Have a person here carry out what takes two people, in a house that is open for that alone.

    Through perform(), so that role, fresh sign-in, second factor and approval are asked and recorded as anywhere. A
    terminal holds no passkey, so whoever approves does it on the page; here it is asked for, and used once it is given.
    Raises Refusal, which says what comes next.
    """
    house = app.build(settings, clock=clock)
    try:
        asyncio.run(_allow(house.kernel, operation, request, terminal))
    finally:
        house.close()


async def _allow(kernel: Kernel, operation: Operation, request: msgspec.Struct, terminal: Asking) -> None:
    first = await sign_in(kernel, terminal, "the person who does this")
    try:
        await perform(kernel, operation, first, request, origin=ORIGIN)
    except ApprovalNeeded as error:
        if error.code != ApprovalNeeded.code:  # it was asked for already, and waits
            raise
        asked = await _asked(kernel, first, error)
        if asked.way == "alone":
            raise Refusal(
                f"Nobody else could approve this. Do it from {asked.runs_from:%Y-%m-%d %H:%M} UTC on."
            ) from None
        raise Refusal(
            f"Asked for approval ({asked.id}). Start the service, let somebody else approve it with their passkey at "
            "/team/approvals, stop the service and do this again."
        ) from None
    await do(kernel, "identity.sign_out", first)


async def _asked(kernel: Kernel, first: TeamMember, error: ApprovalNeeded) -> Any:
    """The request for approval: a new one, or the one that waits already."""
    found = await do(kernel, "access.approval_requests", first)
    for item in found.mine:
        if item.ended_at is None and (item.words.operation, item.arguments) == (error.operation, error.arguments):
            return item
    reason = "At the terminal of the keys."
    given = {"operation": error.operation, "arguments": error.arguments, "reason": reason}
    return await do(kernel, "access.ask_approval", first, **given)


async def do(kernel: Kernel, name: str, actor: Actor, **fields: str) -> Any:
    """Carry out the operation of that name. Raises Invalid and what it raises."""
    operation = kernel.registry.get(name)
    assert operation is not None
    try:
        request = msgspec.convert(fields, operation.request)
    except msgspec.ValidationError as error:
        raise Invalid(f"That was not accepted: {error}") from None
    return await perform(kernel, operation, actor, request, origin=ORIGIN)
