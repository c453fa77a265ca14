"""Binding a session to a key of its browser, and proving it again before the short-lived cookie ends."""

from __future__ import annotations

import hmac
from datetime import datetime, timedelta
from typing import Annotated, Any

import msgspec
from msgspec import Meta
from sqlalchemy import Select, select, update

from subscription_services.identity import model
from subscription_services.identity.bindings import challenge_of, network_of
from subscription_services.identity.configured import rules
from subscription_services.identity.errors import BadProof, StaleProof, WrongKey
from subscription_services.identity.fields import Token
from subscription_services.identity.model import Held
from subscription_services.identity.proofs import LONGEST, Proof, read_proof, signed_by, thumbprint
from subscription_services.identity.sessions import end_sessions, use_session
from subscription_services.identity.tokens import digest, new_token
from subscription_services.kernel.context import Context
from subscription_services.kernel.errors import NotSignedIn
from subscription_services.kernel.operations import Change, Declined, Limit, Public, SystemOnly, operation
from subscription_services.kernel.transaction import Transaction

ON_THEIR_WAY = timedelta(seconds=60)
"""How long the cookie before the newest still works."""
_BROWSER = SystemOnly("a browser comes by itself, without cookies; its signature says which session it is")

Signed = Annotated[str, Meta(max_length=LONGEST)]


class BindDevice(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    proof: Signed


class RenewDevice(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`session` is what the browser calls it; without `proof` the answer is a challenge."""

    session: Annotated[str, Meta(min_length=1, max_length=100)]
    proof: Signed = ""


class ProveKey(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`session` is its token; without `proof` the answer is a challenge."""

    session: Token
    proof: Signed = ""


class Proven(msgspec.Struct, frozen=True):
    """`step` is challenge, bound, renewed, ended, or none where there is nothing to prove; `challenge` is for the next
    proof. `cookie` shows the proof until `until`; both are secrets of the browser."""

    session: str
    step: str
    challenge: str = ""
    cookie: str = ""
    until: datetime | None = None
    first: bool = False


@operation("identity.bind_device", by=[_BROWSER], idempotent=False, limits=[Limit(600, 900, "address")])
def bind_device(tx: Transaction, ctx: Context, request: BindDevice) -> Change[Proven] | Declined:
    """Bind a session to a key that the browser keeps; once, and soon after signing in."""
    proof = read_proof(request.proof)
    row = _row(tx, _OPEN.where(model.binding.c.offer == digest(proof.challenge)))
    if row is None or row.offer_until <= ctx.now or row.held == Held.DEVICE or _ended(row, ctx):
        return Declined(StaleProof(), subject=row.account if row else "", object=row.session if row else "")
    if not proof.key or not signed_by(proof, proof.key):
        return Declined(BadProof(), subject=row.account, object=row.session)
    return _bind(tx, ctx, row, proof, Held.DEVICE)


@operation("identity.renew_device", by=[_BROWSER], idempotent=False, limits=[Limit(600, 900, "address")])
def renew_device(tx: Transaction, ctx: Context, request: RenewDevice) -> Change[Proven] | Declined:
    """Prove that it is still the same device; another key ends the session."""
    row = _row(tx, _OPEN.where(model.binding.c.handle == request.session))
    if row is None or row.held != Held.DEVICE or _ended(row, ctx):
        return Change(None, Proven(request.session, "ended"), details={"step": "ended"})
    return _prove(tx, ctx, row, request.proof)


@operation(
    "identity.prove_key", by=[Public("the session's own key signs, whether or not it was shown lately")],
    idempotent=False, limits=[Limit(600, 900, "address")],
)  # fmt: skip
def prove_key(tx: Transaction, ctx: Context, request: ProveKey) -> Change[Proven] | Declined:
    """Bind a session to a key that our script made in the browser, soon after signing in, or prove that key again."""
    row = _row(tx, _OPEN.where(model.session.c.digest == digest(request.session)))
    if row is None or _ended(row, ctx):
        raise NotSignedIn()
    if row.held == Held.SCRIPT:
        return _prove(tx, ctx, row, request.proof)
    mine = hmac.compare_digest(row.network, network_of(tx.keys, ctx.origin))
    if row.held != Held.NETWORK or not mine or ctx.now >= row.signed_in_at + rules().bind:
        return Change(None, Proven(row.session, "none"), **_about(row, "none"))
    if not request.proof:
        return _challenge(tx, ctx, row, first=True)
    proof = read_proof(request.proof)
    if not _is_open(tx, ctx, row, proof):
        return Declined(StaleProof(), subject=row.account, object=row.session)
    if not proof.key or not signed_by(proof, proof.key):
        return Declined(BadProof(), subject=row.account, object=row.session)
    return _bind(tx, ctx, row, proof, Held.SCRIPT)


_OPEN = select(
    model.binding, model.session.c.account, model.session.c.ended_at, model.session.c.ends_at,
    model.session.c.idle_until, model.session.c.signed_in_at,
).join(model.session, model.session.c.id == model.binding.c.session)  # fmt: skip


def _row(tx: Transaction, wanted: Select[Any]) -> Any:
    return tx.connection.execute(wanted.with_for_update(of=model.binding)).one_or_none()


def _ended(row: Any, ctx: Context) -> bool:
    return row.ended_at is not None or row.ends_at <= ctx.now or row.idle_until <= ctx.now


def _prove(tx: Transaction, ctx: Context, row: Any, text: str) -> Change[Proven] | Declined:
    if not text:
        return _challenge(tx, ctx, row)
    proof = read_proof(text)
    if not _is_open(tx, ctx, row, proof):
        # a copy of an old proof, or one that crossed another: no reason to end anything
        challenge = _fresh(tx, ctx, row)
        return Declined(StaleProof(challenge), subject=row.account, object=row.session)
    if not signed_by(proof, row.key):
        end_sessions(tx, ctx, row.account, "wrong key", model.session.c.id == row.session)
        return Declined(WrongKey(), subject=row.account, object=row.session)
    cookie, until = new_token(ctx.random), ctx.now + rules().bound
    values = {
        "digest": digest(cookie), "until": until, "earlier_digest": row.digest,
        "earlier_until": min(row.until, ctx.now + ON_THEIR_WAY),
    }  # fmt: skip
    _store(tx, row, values)
    challenge = _fresh(tx, ctx, row, used=True)
    name = row.handle if row.held == Held.DEVICE else row.session
    return Change(None, Proven(name, "renewed", challenge, cookie, until), **_about(row, "renewed"))


def _bind(tx: Transaction, ctx: Context, row: Any, proof: Proof, held: Held) -> Change[Proven]:
    cookie, until = new_token(ctx.random), ctx.now + rules().bound
    values = {
        "held": held, "key": proof.key, "thumbprint": thumbprint(proof.key), "digest": digest(cookie), "until": until,
        "earlier_digest": None, "earlier_until": None, "bound_at": ctx.now,
    }  # fmt: skip
    if held == Held.DEVICE:
        values |= {"offer": None, "offer_until": None}
    _store(tx, row, values)
    use_session(tx, ctx, row.session)
    challenge = _fresh(tx, ctx, row, used=True)
    name = row.handle if held == Held.DEVICE else row.session
    return Change(None, Proven(name, "bound", challenge, cookie, until), **_about(row, f"bound to {held}"))


def _challenge(tx: Transaction, ctx: Context, row: Any, *, first: bool = False) -> Change[Proven]:
    name = row.handle if row.held == Held.DEVICE else row.session
    answer = Proven(name, "challenge", _fresh(tx, ctx, row), first=first)
    return Change(None, answer, **_about(row, "challenge"))


def _fresh(tx: Transaction, ctx: Context, row: Any, *, used: bool = False) -> str:
    """The open challenge, or a new one when it was used or is old."""
    nonce = row.nonce
    if used or nonce is None or row.nonce_until <= ctx.now:
        nonce = ctx.random(16)
        # longer than a cookie lives: it is given ahead, with the cookie
        _store(tx, row, {"nonce": nonce, "nonce_until": ctx.now + 3 * rules().bound})
    return challenge_of(tx.keys, row.session, nonce)


def _is_open(tx: Transaction, ctx: Context, row: Any, proof: Proof) -> bool:
    if row.nonce is None or row.nonce_until <= ctx.now:
        return False
    wanted = challenge_of(tx.keys, row.session, row.nonce)
    return hmac.compare_digest(wanted.encode(), proof.challenge.encode("utf-8", "replace"))


def _store(tx: Transaction, row: Any, values: dict[str, Any]) -> None:
    tx.connection.execute(update(model.binding).where(model.binding.c.session == row.session).values(values))


def _about(row: Any, step: str) -> dict[str, Any]:
    return {"object": row.session, "subject": row.account, "details": {"step": step}}


__all__ = [
    "LONGEST", "BindDevice", "ProveKey", "Proven", "RenewDevice", "Signed", "bind_device", "prove_key", "renew_device",
]  # fmt: skip
