"""Joins approvals to passkeys: an approver signs with what they sign in with."""

from __future__ import annotations

from collections.abc import Sequence

from subscription_services import identity
from subscription_services.access import Assertion
from subscription_services.kernel.context import Context
from subscription_services.kernel.errors import DomainError
from subscription_services.kernel.transaction import ReadTransaction, Transaction


class PasskeySignatures:
    """See `access.Signatures`."""

    def credentials(self, tx: ReadTransaction, account: str) -> Sequence[bytes]:
        """The ids of the account's passkeys."""
        return [credential for credential, _ in identity.passkeys_of(tx, account)]

    def take(
        self, tx: Transaction, ctx: Context, account: str, assertion: Assertion, challenge: bytes
    ) -> DomainError | None:
        """Counts the use of the passkey."""
        return identity.take_signature(tx, ctx, account, _signature(assertion), challenge)

    def verify(self, tx: ReadTransaction, account: str, assertion: Assertion, challenge: bytes) -> None:
        """Raises identity's refusal of a wrong passkey."""
        identity.check_signature(tx, account, _signature(assertion), challenge)


def _signature(given: Assertion) -> identity.Signature:
    return identity.Signature(given.credential, given.client_data, given.authenticator_data, given.signature)
