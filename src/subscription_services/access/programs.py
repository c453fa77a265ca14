"""From the token that a program sent to the actor that it is."""

from __future__ import annotations

import hmac
from datetime import timedelta

from sqlalchemy import Connection

from subscription_services.kernel.actors import ServiceAccount, System
from subscription_services.kernel.clock import Clock
from subscription_services.kernel.errors import DamagedToken, NotSignedIn
from subscription_services.kernel.perform import Kernel, perform

from . import tokens
from .authority import TOKEN_BY_DIGEST, decode_scopes
from .operations.service_accounts import RecordTokenUse, record_token_use

NOTED_EVERY = timedelta(hours=1)


async def service_account_of(kernel: Kernel, text: str) -> ServiceAccount:
    """The program that this bearer token belongs to, for the edge. Raises NotSignedIn; a token whose checksum is
    wrong costs no look-up (DamagedToken).

    Notes the use of the token at most once an hour.
    """
    if not tokens.well_formed(text):
        raise DamagedToken()
    actor, due = await kernel.store.read(lambda connection: _resolve(connection, text, kernel.clock))
    if due:
        await perform(kernel, record_token_use, System("access"), RecordTokenUse(actor.token))
    return actor


def resolve_token(connection: Connection, text: str, clock: Clock) -> ServiceAccount:
    """The program that this token belongs to. Raises NotSignedIn: malformed, unknown, expired or revoked."""
    return _resolve(connection, text, clock)[0]


def _resolve(connection: Connection, text: str, clock: Clock) -> tuple[ServiceAccount, bool]:
    if not tokens.well_formed(text):
        raise DamagedToken()
    now, digest = clock(), tokens.digest(text)
    row = connection.execute(TOKEN_BY_DIGEST, {"digest": digest, "now": now}).one_or_none()
    if row is None or not hmac.compare_digest(row.digest, digest):
        raise NotSignedIn()
    due = row.last_used_at is None or now - row.last_used_at >= NOTED_EVERY
    return ServiceAccount(row.service_account, row.id, decode_scopes(row.scopes)), due
