"""People at a terminal of this machine, while nothing is running that they could sign in to."""

from __future__ import annotations

from typing import Any, Protocol

import msgspec

from subscription_services import access, identity
from subscription_services.kernel.actors import Actor, Anonymous, TeamMember
from subscription_services.kernel.context import Origin
from subscription_services.kernel.errors import Invalid, NotSignedIn
from subscription_services.kernel.perform import Kernel, perform

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


async def do(kernel: Kernel, name: str, actor: Actor, **fields: str) -> Any:
    """Carry out the operation of that name. Raises Invalid and what it raises."""
    operation = kernel.registry.get(name)
    assert operation is not None
    try:
        request = msgspec.convert(fields, operation.request)
    except msgspec.ValidationError as error:
        raise Invalid(f"That was not accepted: {error}") from None
    return await perform(kernel, operation, actor, request, origin=ORIGIN)
