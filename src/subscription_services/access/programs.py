"""From the token that a program sent to the actor that it is."""

from __future__ import annotations

import hmac
from datetime import datetime, timedelta

from sqlalchemy import Connection

from subscription_services.kernel.actors import ServiceAccount, System
from subscription_services.kernel.clock import Clock
from subscription_services.kernel.errors import DamagedToken, DomainError, NotSignedIn, TokenUnproved, TooMany
from subscription_services.kernel.perform import Kernel, perform
from subscription_services.kernel.ports import Keys

from . import tokens
from .authority import TOKEN_BY_DIGEST, decode_scopes
from .dpop import Presented, Proof, read_proof
from .operations.service_accounts import RecordTokenUse, record_token_use
from .settings import in_force

NOTED_EVERY = timedelta(hours=1)
NONCE_LASTS = timedelta(minutes=5)
REMEMBERED = 15 * 60
"""Seconds for which a proof is known to have been used: longer than any can be good."""
_NONCE = "access.dpop-nonce"


async def service_account_of(kernel: Kernel, shown: Presented) -> ServiceAccount:
    """The program that this token belongs to, for the edge. Raises NotSignedIn; a token whose checksum is wrong costs
    no look-up (DamagedToken); one that is bound to a key comes with a proof of it (TokenUnproved), which works once.

    Notes the use of the token at most once an hour.
    """
    if not tokens.well_formed(shown.token):
        raise DamagedToken()
    actor, due = await kernel.store.read(lambda connection: _resolve(connection, shown.token, kernel.clock))
    if shown.scheme != "dpop":
        if actor.key:
            raise TokenUnproved()
        if in_force().bound_tokens:
            raise TokenUnproved("Only tokens that are bound to a key are taken here. Have this one replaced.")
    else:
        await _prove(kernel, actor.key, shown)
    if due:
        await perform(kernel, record_token_use, System("access"), RecordTokenUse(actor.token))
    return actor


def resolve_token(connection: Connection, text: str, clock: Clock) -> ServiceAccount:
    """The program that this token belongs to, as if its key had been shown. Raises NotSignedIn: malformed, unknown,
    expired or revoked."""
    return _resolve(connection, text, clock)[0]


def new_nonce(keys: Keys, now: datetime) -> str:
    """What a proof has to hold for the next minutes, so that none can be made long before it is used."""
    moment = str(int(now.timestamp()))
    return f"{moment}.{keys.mac(_NONCE, moment.encode()).hex()}"


async def _prove(kernel: Kernel, key: str, shown: Presented) -> None:
    if not key:
        raise TokenUnproved("This token is not bound to a key. Send it as “Authorization: Bearer …”.")
    now, keys = kernel.clock(), kernel.keys.for_caller("access")
    try:
        proof = read_proof(shown, now)
        if not hmac.compare_digest(proof.key, key):
            raise TokenUnproved("The proof is by another key than the one that this token is bound to.")
        if not _is_fresh(keys, proof.nonce, now):
            says = "Sign again, with the nonce of the DPoP-Nonce header."
            raise TokenUnproved(says, error="use_dpop_nonce")
        await _once(kernel, proof)
    except TokenUnproved as error:
        error.nonce = new_nonce(keys, now)
        raise


async def _once(kernel: Kernel, proof: Proof) -> None:
    """Counted where limits are, so that no process and no node takes it again."""
    try:
        await kernel.limiter.spend("access.dpop", f"{proof.key}\n{proof.jti}", 1, REMEMBERED)
    except TooMany as error:
        says = "This proof was used before. Sign each request anew, with a jti of its own."
        raise TokenUnproved(says, error="invalid_dpop_proof") from error


def _is_fresh(keys: Keys, nonce: str, now: datetime) -> bool:
    moment, _, code = nonce.partition(".")
    if not (moment.isascii() and moment.isdigit() and len(moment) <= 12):
        return False
    if abs(int(moment) - now.timestamp()) > NONCE_LASTS.total_seconds():
        return False
    try:
        keys.verify_mac(_NONCE, moment.encode(), bytes.fromhex(code))
    except (ValueError, DomainError):
        return False
    return True


def _resolve(connection: Connection, text: str, clock: Clock) -> tuple[ServiceAccount, bool]:
    if not tokens.well_formed(text):
        raise DamagedToken()
    now, digest = clock(), tokens.digest(text)
    row = connection.execute(TOKEN_BY_DIGEST, {"digest": digest, "now": now}).one_or_none()
    if row is None or not hmac.compare_digest(row.digest, digest):
        raise NotSignedIn()
    due = row.last_used_at is None or now - row.last_used_at >= NOTED_EVERY
    return ServiceAccount(row.service_account, row.id, decode_scopes(row.scopes), row.jkt or ""), due
