"""Signing in through the provider of the team's organisation (OpenID Connect): for the team alone, and it makes nobody.

Whom the provider means is known by issuer and subject. They are tied to an account once: to one that was invited or
exists, and whose address the provider has verified. Afterwards the address counts for nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from hmac import compare_digest
from typing import Annotated, Any

import msgspec
from msgspec import Meta
from sqlalchemy import delete, select, update
from sqlalchemy.exc import IntegrityError

from subscription_services.identity import model
from subscription_services.identity.errors import SignOnFailed, SignOnOff
from subscription_services.identity.fields import Device, Earlier, Id
from subscription_services.identity.model import Kind, Purpose, State
from subscription_services.identity.oidc import Claims, Untrusted
from subscription_services.identity.queries import account_by_email, account_by_id, ways_of
from subscription_services.identity.sign_on import Flow, open_flow, sign_on
from subscription_services.identity.sign_on_model import sign_on as links
from subscription_services.identity.sign_on_model import sign_on_use
from subscription_services.kernel.actors import Role
from subscription_services.kernel.context import Context
from subscription_services.kernel.errors import NotFound
from subscription_services.kernel.needs import recent_sign_in
from subscription_services.kernel.operations import Change, Declined, Limit, Prepared, Public, operation
from subscription_services.kernel.ports import Keys
from subscription_services.kernel.transaction import Reading, ReadTransaction, Transaction
from subscription_services.mail import SendLetter

from .sign_in import SignedIn, challenge_for, open_for
from .sign_up import end_links

INDEX = "identity.sign-on"
LONG_AGO = timedelta(hours=1)
"""How old a proof counts as whose time the provider does not tell: good for signing in, not for what is sensitive."""
BEGIN_AGAIN = "This sign-in was begun in another browser, was finished already or took too long. Start again."
NOT_SIGNED_IN = "Your provider did not sign you in. Start again, or ask whoever looks after your account there."
NOT_BELIEVED = "The provider's answer could not be trusted. Start again; tell an administrator if it stays."
NOT_KNOWN = (
    "No open account of the team belongs to you. Ask an administrator for an invitation to the address that your "
    "provider knows and has verified."
)
ANOTHER = (
    "Your provider now calls you by another identity than when your account was tied to it. An administrator has to "
    "untie it first."
)


class SignInOidc(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The provider's answer (`code`, `state`, `iss` or `error`), and the `flow` that this browser kept."""

    flow: Annotated[str, Meta(max_length=3000)]
    state: Annotated[str, Meta(max_length=200)] = ""
    code: Annotated[str, Meta(max_length=4000)] = ""
    iss: Annotated[str, Meta(max_length=300)] = ""
    error: Annotated[str, Meta(max_length=100)] = ""
    device: Device = ""
    replaces: Earlier = ""


class ForgetSignOn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    id: Id


class Forgotten(msgspec.Struct, frozen=True):
    id: str
    ended: int


@dataclass(frozen=True, slots=True)
class Answered:
    """Whom the provider signed in, or `why` not, with what to say."""

    flow: Flow | None = None
    claims: Claims | None = None
    why: str = ""
    text: str = ""


def ask_provider(reading: Reading, ctx: Context, request: SignInOidc) -> Answered:
    """Check the flow, then the provider's answer; nothing is asked of it for a flow that is not this browser's.

    Raises SignOnOff, ProviderSilent."""
    configured = sign_on()
    if configured is None:
        raise SignOnOff()
    with reading() as tx:
        flow = open_flow(tx.keys, request.flow, ctx.now)
        if flow is None:
            return Answered(why="flow", text=BEGIN_AGAIN)
        if not compare_digest(request.state.encode(), flow.state.encode()):
            return Answered(why="state", text=BEGIN_AGAIN)
        if _used(tx, flow):
            return Answered(why="replayed", text=BEGIN_AGAIN)
    provider = configured.provider

    def stranger(subject: str) -> bool:
        with reading() as tx:
            return _link(tx, _index(tx.keys, provider.registration.issuer, subject)) is None

    try:
        provider.check_answer(request.iss)
        if request.error or not request.code:
            return Answered(flow, why="provider", text=NOT_SIGNED_IN)
        claims = provider.redeem(
            code=request.code, verifier=flow.verifier, nonce=flow.nonce, now=ctx.now, stranger=stranger
        )
    except Untrusted as error:
        return Answered(flow, why=error.why, text=NOT_SIGNED_IN if error.why == "code" else NOT_BELIEVED)
    return Answered(flow, claims)


@operation(
    "identity.sign_in_oidc", by=[Public("nobody is signed in before signing in")], idempotent=False,
    prepare=Prepared(ask_provider, "sign-on"),
    limits=[Limit(60, 900, "address"), Limit(300, 900, "block"), Limit(2000, 900, "all")],
)  # fmt: skip
def sign_in_oidc(tx: Transaction, ctx: Context, request: SignInOidc, answered: Answered) -> Change[SignedIn] | Declined:
    """Sign in with single sign-on; where the provider asked for no second factor, the answer says if a code is due."""
    if answered.flow is None or answered.claims is None:
        return Declined(SignOnFailed(answered.text), details={"why": answered.why})
    claims = answered.claims
    if not _use(tx, ctx, answered.flow):
        return Declined(SignOnFailed(BEGIN_AGAIN), details={"why": "replayed"})
    index = _index(tx.keys, claims.issuer, claims.subject)
    link = _link(tx, index)
    row = account_by_id(tx, link.account) if link is not None else account_by_email(tx, claims.email or "-")
    why, text = _refusal(tx, row, claims, linked=link is not None)
    if why or row is None:
        found = str(row.id) if row is not None and link is not None else ""
        return Declined(SignOnFailed(text), object=found, subject=found, details={"why": why})
    joined = row.state == State.INVITED
    if link is None:
        _tie(tx, ctx, row, claims, index)
        row = account_by_id(tx, row.id)
    else:
        tx.connection.execute(update(links).where(links.c.id == link.id).values(last_used_at=ctx.now))
    details: dict[str, Any] = {"tied": link is None, "factor_at_provider": claims.factor}
    assert row is not None
    if not claims.factor and (ways := ways_of(tx.connection, row.id)):
        challenge = challenge_for(tx, ctx, row.id, ways)
        return Change(None, challenge, subject=row.id, details={"step": "provider", **details})
    opened = open_for(
        tx, ctx, row, request.device, request.replaces, second_factor=claims.factor, details={"step": "done", **details}
    )  # fmt: skip
    proved = ctx.now if joined else claims.proved_at or ctx.now - LONG_AGO
    session = update(model.session).where(model.session.c.id == opened.after.id)
    tx.connection.execute(session.values(signed_in_at=proved))
    return opened


@operation("identity.forget_sign_on", by=[Role.ADMINISTRATOR], needs=[recent_sign_in])
def forget_sign_on(tx: Transaction, ctx: Context, request: ForgetSignOn) -> Change[Forgotten]:
    """Untie a team member from the provider when it calls them by a new identity; their address ties them once more."""
    row = account_by_id(tx, request.id)
    if row is None or row.kind != Kind.TEAM:
        raise NotFound()
    ended = tx.connection.execute(delete(links).where(links.c.account == row.id)).rowcount
    return Change(None, Forgotten(row.id, ended), subject=row.id, details={"ended": ended})


def _refusal(tx: Transaction, row: Any, claims: Claims, *, linked: bool) -> tuple[str, str]:
    """Why this person may not come in, and what to tell them; nothing when they may."""
    configured = sign_on()
    if configured is None:
        return "off", SignOnOff.message
    if not linked and not claims.email:
        return "unverified-email", NOT_KNOWN
    if not linked and configured.domains and claims.email.rpartition("@")[2].lower() not in configured.domains:
        return "domain", NOT_KNOWN
    if row is None or row.kind != Kind.TEAM:
        return "unknown", NOT_KNOWN
    if row.state != State.ACTIVE and (linked or row.state != State.INVITED):
        return "not-open", NOT_KNOWN
    if not linked and _tied(tx, row.id, claims.issuer):
        return "another-subject", ANOTHER
    return "", ""


def _tie(tx: Transaction, ctx: Context, row: Any, claims: Claims, index: bytes) -> None:
    """Once and for all: the account is what this issuer means by this subject. Whoever was invited has joined."""
    values = {
        "id": ctx.ids.new("sso"), "account": row.id, "issuer": claims.issuer, "subject_index": index,
        "linked_at": ctx.now, "last_used_at": ctx.now,
    }  # fmt: skip
    try:
        tx.connection.execute(links.insert().values(values))
    except IntegrityError as error:
        raise SignOnFailed(BEGIN_AGAIN) from error
    if row.state == State.INVITED:
        invited = update(model.account).where(model.account.c.id == row.id, model.account.c.state == State.INVITED)
        tx.connection.execute(invited.values(state=State.ACTIVE, verified_at=ctx.now))
        end_links(tx, ctx, row.id, Purpose.ENROL)
    tx.outbox.add(SendLetter(letter="identity.sign_on_linked", account=row.id))


def _tied(tx: ReadTransaction, account: str, issuer: str) -> bool:
    found = select(links.c.id).where(links.c.account == account, links.c.issuer == issuer)
    return tx.connection.execute(found).first() is not None


def _used(tx: ReadTransaction, flow: Flow) -> bool:
    found = select(sign_on_use.c.until).where(sign_on_use.c.digest == flow.digest)
    return tx.connection.execute(found).first() is not None


def _use(tx: Transaction, ctx: Context, flow: Flow) -> bool:
    """Finish the flow; of two at once one fails. Those that are over anyway are forgotten."""
    tx.connection.execute(delete(sign_on_use).where(sign_on_use.c.until < ctx.now))
    if _used(tx, flow):
        return False
    try:
        tx.connection.execute(sign_on_use.insert().values(digest=flow.digest, until=flow.until))
    except IntegrityError as error:
        raise SignOnFailed(BEGIN_AGAIN) from error
    return True


def _index(keys: Keys, issuer: str, subject: str) -> bytes:
    return keys.blind_index(INDEX, f"{issuer}\n{subject}")


def _link(tx: ReadTransaction, index: bytes) -> Any:
    return tx.connection.execute(select(links).where(links.c.subject_index == index)).one_or_none()
