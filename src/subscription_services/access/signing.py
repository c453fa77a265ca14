"""An approver's own signature: a passkey assertion over exactly what they approve.

Passkeys are identity's. `sign_with` is the one place where they are joined to approvals, called once by app.py. Once
it was called an approval without a good assertion is worth nothing, when it is given and when it is used.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, Protocol

import msgspec

from subscription_services.kernel.columns import to_microseconds
from subscription_services.kernel.context import Context
from subscription_services.kernel.errors import DomainError
from subscription_services.kernel.transaction import ReadTransaction, Transaction

from .errors import NotSigned

_DOMAIN = b"subscription-services approval 1\n"


class Assertion(msgspec.Struct, frozen=True):
    """What the browser got from the authenticator (WebAuthn level 3, PublicKeyCredential and its response)."""

    credential: bytes
    client_data: bytes
    authenticator_data: bytes
    signature: bytes


class Signatures(Protocol):
    """What approvals need of passkeys."""

    def credentials(self, tx: ReadTransaction, account: str) -> Sequence[bytes]:
        """The ids of the account's passkeys; none: the person has to enrol one first."""
        ...

    def take(
        self, tx: Transaction, ctx: Context, account: str, assertion: Assertion, challenge: bytes
    ) -> DomainError | None:
        """As `verify`, once, where the signature is given: whatever the passkey counts is written down.

        What is wrong is returned, so that a refusal can leave something behind (a letter about a copied passkey)."""
        ...

    def verify(self, tx: ReadTransaction, account: str, assertion: Assertion, challenge: bytes) -> None:
        """That a passkey which the account holds now signed these 32 bytes for our origin, user verified.

        Changes nothing: it is asked each time that the approval is looked at. Raises a Refusal."""
        ...


_joined: list[Signatures] = []


def sign_with(signatures: Signatures | None) -> None:
    """Ask for a signature with every approval from now on."""
    _joined[:] = [] if signatures is None else [signatures]


def joined() -> Signatures | None:
    """How approvers sign; None while passkeys are not joined, and then the row's own code has to do."""
    return _joined[0] if _joined else None


def challenge(request: Any, approver: str, shown: bytes) -> bytes:
    """The 32 bytes that `approver` signs: the request's row, who approves it, and the words as they saw them."""
    what = [
        request.id, request.digest.hex(), request.requester, approver, shown.hex(), request.needed, request.roles,
        to_microseconds(request.expires_at),
    ]  # fmt: skip
    return hashlib.sha256(_DOMAIN + msgspec.json.encode(what)).digest()


def take_signed(
    tx: Transaction, ctx: Context, request: Any, shown: bytes, assertion: Assertion | None
) -> DomainError | None:
    """The signature of who approves now: what is wrong with it, if anything."""
    signatures = joined()
    if signatures is None:
        return None
    if assertion is None:
        return NotSigned()
    return signatures.take(tx, ctx, ctx.actor.id, assertion, challenge(request, ctx.actor.id, shown))


def check_signed(tx: ReadTransaction, request: Any, approver: str, shown: bytes, assertion: Assertion | None) -> None:
    """Raises NotSigned, or what the verifier raises. Holds everybody to it once passkeys are joined."""
    signatures = joined()
    if signatures is None:
        return
    if assertion is None:
        raise NotSigned()
    signatures.verify(tx, approver, assertion, challenge(request, approver, shown))
