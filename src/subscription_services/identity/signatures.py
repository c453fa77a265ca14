"""A passkey's signature over a digest of what its owner agrees to, such as an approval.

It is not a sign-in: no challenge of ours is used up, since the digest says by itself what was agreed to. It is held
against the passkey when it is given, which counts its use, and whenever something is to be done because of it, which
changes nothing.
"""

from __future__ import annotations

from typing import Any

import msgspec
from sqlalchemy import Select, select
from webauthn.helpers import bytes_to_base64url

from subscription_services.kernel.context import Context
from subscription_services.kernel.errors import DomainError
from subscription_services.kernel.transaction import ReadTransaction, Transaction
from subscription_services.mail import SendLetter

from . import model
from .ceremonies import Refused, record_use
from .configured import relying_party
from .errors import PasskeyCopied, WrongPasskey
from .passkeys import Known, read_answer, verify_assertion


class Signature(msgspec.Struct, frozen=True):
    """An assertion (Web Authentication Level 3, 5.2.2), in parts as they are stored."""

    credential: bytes
    client_data: bytes
    authenticator_data: bytes
    signature: bytes


def check_signature(tx: ReadTransaction, account: str, given: Signature, challenge: bytes) -> None:
    """That a passkey which the account holds now signed this here, unlocked by its owner. Raises WrongPasskey.

    The counter is not compared: it was when the signature was given, and the passkey may have been used since."""
    row = tx.connection.execute(_held_by(account, given)).one_or_none()
    if row is None:
        raise WrongPasskey()
    known = Known(bytes(row.credential_id), bytes(row.public_key), 0, row.backup_eligible)
    verify_assertion(read_answer(_text(given)), challenge, known, relying_party(), unlocked=True)


def take_signature(
    tx: Transaction, ctx: Context, account: str, given: Signature, challenge: bytes
) -> DomainError | None:
    """The same where it is given: the passkey's counter must have grown, and its use is written down.

    What is wrong is returned, since the owner of a copied passkey gets a letter, as at a sign-in."""
    row = tx.connection.execute(_held_by(account, given).with_for_update()).one_or_none()
    if row is None:
        return WrongPasskey()
    try:
        answer = read_answer(_text(given))
    except WrongPasskey as error:
        return error
    found = record_use(tx, ctx, row, answer, challenge, unlocked=True)
    if not isinstance(found, Refused):
        return None
    if isinstance(found.error, PasskeyCopied):
        tx.outbox.add(SendLetter(letter="identity.passkey_copied", account=account))
    return found.error


def _held_by(account: str, given: Signature) -> Select[Any]:
    mine = model.passkey.c
    return select(model.passkey).where(mine.account == account, mine.credential_id == given.credential)


def _text(given: Signature) -> str:
    """As a browser writes it (AuthenticationResponseJSON)."""
    response = {
        "clientDataJSON": bytes_to_base64url(given.client_data),
        "authenticatorData": bytes_to_base64url(given.authenticator_data),
        "signature": bytes_to_base64url(given.signature),
    }
    found = {"id": bytes_to_base64url(given.credential), "type": "public-key", "response": response}
    return msgspec.json.encode(found).decode()
