"""Signing in with a passkey alone, after the password, and proving oneself again with one."""

from __future__ import annotations

from typing import Any

import msgspec

from subscription_services.identity.ceremonies import Refused, new_challenge, passkeys_of, use_passkey
from subscription_services.identity.configured import relying_party
from subscription_services.identity.errors import PasskeyCopied, SignOnRequired, WrongPasskey
from subscription_services.identity.fields import Device, Earlier, Token
from subscription_services.identity.known import PASSKEY_LIMITS, SOURCE_LIMITS
from subscription_services.identity.model import Ceremony, Kind, State
from subscription_services.identity.passkeys import Credential, request_options
from subscription_services.identity.sessions import hold_account, renew_session
from subscription_services.identity.sign_on import sign_on_required
from subscription_services.kernel.actors import Subscriber, TeamMember
from subscription_services.kernel.context import Context
from subscription_services.kernel.operations import Change, Declined, Limit, Public, operation
from subscription_services.kernel.transaction import Transaction
from subscription_services.mail import SendLetter

from .passkeys import PasskeyOptions
from .second_factor import Nothing
from .sign_in import SignedIn, count_wrong, finish_sign_in, open_for, waiting_sign_in

OWN = (Subscriber.own, TeamMember.own)
STRANGERS = Public("nobody is signed in before signing in")
PROVED = Public("the challenge proves that the password was right")


class PasskeySignIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`credential` is the browser's answer as JSON (AuthenticationResponseJSON); it says itself whose it is."""

    credential: Credential
    device: Device = ""
    replaces: Earlier = ""


class BeginPasskeyFactor(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`challenge` comes from the answer to the password."""

    challenge: Token


class PasskeyFactor(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    challenge: Token
    credential: Credential
    device: Device = ""
    replaces: Earlier = ""


class ConfirmWithPasskey(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    credential: Credential


@operation("identity.begin_passkey_sign_in", by=[STRANGERS], idempotent=False, limits=SOURCE_LIMITS)
def begin_passkey_sign_in(tx: Transaction, ctx: Context, request: Nothing) -> Change[PasskeyOptions]:
    """Begin signing in with a passkey alone; the answer is the same for everybody but for its challenge."""
    challenge = new_challenge(tx, ctx, Ceremony.SIGN_IN)
    return Change(None, PasskeyOptions("", request_options(relying_party(), challenge, (), unlocked=True)))


@operation("identity.passkey_sign_in", by=[STRANGERS], idempotent=False, limits=PASSKEY_LIMITS)
def passkey_sign_in(tx: Transaction, ctx: Context, request: PasskeySignIn) -> Change[SignedIn] | Declined:
    """Sign in with a passkey that its owner unlocked: it counts as two factors."""
    found = use_passkey(tx, ctx, request.credential, Ceremony.SIGN_IN, unlocked=True)
    if isinstance(found, Refused):
        return _declined(tx, found)
    row = hold_account(tx, found.account)
    if row is None or row.state != State.ACTIVE:
        return Declined(WrongPasskey(), object=found.id, subject=found.account)
    if row.kind == Kind.TEAM and sign_on_required():
        return Declined(SignOnRequired(), object=found.id, subject=found.account)
    details = {"step": "done", "by": "passkey alone"}
    return open_for(tx, ctx, row, request.device, request.replaces, second_factor=True, details=details)


@operation("identity.begin_passkey_factor", by=[PROVED], idempotent=False, limits=[Limit(60, 900, "address")])
def begin_passkey_factor(
    tx: Transaction, ctx: Context, request: BeginPasskeyFactor
) -> Change[PasskeyOptions] | Declined:  # fmt: skip
    """Begin finishing a sign-in with a passkey, once the password was right."""
    row = waiting_sign_in(tx, ctx, request.challenge)
    if isinstance(row, Declined):
        return row
    challenge = new_challenge(tx, ctx, Ceremony.SECOND_FACTOR, row.account, row.id)
    options = request_options(relying_party(), challenge, passkeys_of(tx, row.account), unlocked=False)
    return Change(None, PasskeyOptions(row.id, options), subject=row.account)


@operation("identity.passkey_factor", by=[PROVED], idempotent=False, limits=[Limit(60, 900, "address")])
def passkey_factor(tx: Transaction, ctx: Context, request: PasskeyFactor) -> Change[SignedIn] | Declined:
    """Finish signing in with a passkey after the password; that its owner is there is enough. Wrong ones count as
    wrong codes do."""
    row = waiting_sign_in(tx, ctx, request.challenge)
    if isinstance(row, Declined):
        return row
    found = use_passkey(
        tx, ctx, request.credential, Ceremony.SECOND_FACTOR, account=row.account, held_by=row.id, unlocked=False
    )  # fmt: skip
    if isinstance(found, Refused):
        _warn(tx, found)
        return count_wrong(tx, ctx, row, found.error)
    return finish_sign_in(tx, ctx, row, request.device, request.replaces, "passkey")


@operation("identity.begin_passkey_confirm", by=OWN, idempotent=False, limits=[Limit(30, 900, "actor")])
def begin_passkey_confirm(tx: Transaction, ctx: Context, request: Nothing) -> Change[PasskeyOptions]:
    """Begin proving oneself again with a passkey."""
    challenge = new_challenge(tx, ctx, Ceremony.STEP_UP, ctx.actor.id, getattr(ctx.actor, "session", ""))
    options = request_options(relying_party(), challenge, passkeys_of(tx, ctx.actor.id), unlocked=True)
    return Change(None, PasskeyOptions(ctx.actor.id, options))


@operation("identity.confirm_with_passkey", by=OWN, idempotent=False, limits=[Limit(10, 900, "actor")])
def confirm_with_passkey(tx: Transaction, ctx: Context, request: ConfirmWithPasskey) -> Change[SignedIn] | Declined:
    """Prove oneself again with a passkey instead of the password; the session gets a new token."""
    session = getattr(ctx.actor, "session", "")
    found = use_passkey(
        tx, ctx, request.credential, Ceremony.STEP_UP, account=ctx.actor.id, held_by=session, unlocked=True
    )  # fmt: skip
    if isinstance(found, Refused):
        return _declined(tx, found)
    return Change(None, SignedIn(session, token=renew_session(tx, ctx, session, second_factor=True)))


def _declined(tx: Transaction, refused: Refused) -> Declined:
    _warn(tx, refused)
    return Declined(refused.error, object=refused.passkey, subject=refused.account)


def _warn(tx: Transaction, refused: Refused) -> Any:
    """Only who holds the key gets here, or a copy of it."""
    if isinstance(refused.error, PasskeyCopied):
        tx.outbox.add(SendLetter(letter="identity.passkey_copied", account=refused.account))
