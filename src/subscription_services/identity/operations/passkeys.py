"""One's own passkeys: adding, naming and removing them. See `identity.passkeys` for what is checked."""

from __future__ import annotations

from typing import Any

import msgspec
from sqlalchemy import select

from subscription_services.identity import factors, model
from subscription_services.identity.ceremonies import handle_of, new_challenge, passkeys_of, use_challenge
from subscription_services.identity.configured import relying_party
from subscription_services.identity.errors import PasskeyKnown, WrongPasskey
from subscription_services.identity.fields import FactorName, clean_name
from subscription_services.identity.model import Ceremony
from subscription_services.identity.passkeys import Credential, creation_options, read_answer, verify_registration
from subscription_services.identity.queries import contact_of, has_second_factor
from subscription_services.kernel.actors import Subscriber, TeamMember
from subscription_services.kernel.context import Context
from subscription_services.kernel.errors import NotFound
from subscription_services.kernel.needs import recent_sign_in
from subscription_services.kernel.operations import Change, Declined, Limit, operation
from subscription_services.kernel.transaction import ReadTransaction, Transaction
from subscription_services.storage import insert_row

from .second_factor import Nothing, RecoveryCodes, Removed, RemoveFactor, Renamed, RenameFactor

PASSKEY = "Passkey"
OWN = (Subscriber.own, TeamMember.own)


class RegisterPasskey(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`credential` is the browser's answer as JSON (RegistrationResponseJSON); `name` what its owner calls it."""

    credential: Credential
    name: FactorName = PASSKEY


class PasskeyOptions(msgspec.Struct, frozen=True):
    """`options` are for the browser: PublicKeyCredentialCreationOptionsJSON or ...RequestOptionsJSON."""

    id: str
    options: dict[str, Any]


def owner_of_passkey(tx: ReadTransaction, ctx: Context, request: RenameFactor | RemoveFactor) -> str:
    """The account that the passkey belongs to."""
    return factors.owner_of(tx, model.passkey, request.id)


@operation(
    "identity.begin_passkey", by=OWN, needs=[recent_sign_in], idempotent=False, limits=[Limit(30, 900, "actor")]
)  # fmt: skip
def begin_passkey(tx: Transaction, ctx: Context, request: Nothing) -> Change[PasskeyOptions]:
    """Begin adding a passkey: what the browser is to be asked for."""
    factors.check_room(tx, model.passkey, ctx.actor.id)
    contact = contact_of(tx, ctx.actor.id)
    if contact is None:
        raise NotFound()
    challenge = new_challenge(tx, ctx, Ceremony.REGISTER, ctx.actor.id, getattr(ctx.actor, "session", ""))
    options = creation_options(
        relying_party(), challenge, handle=handle_of(tx, ctx.actor.id), email=contact[0], name=contact[1],
        exclude=passkeys_of(tx, ctx.actor.id),
    )  # fmt: skip
    return Change(None, PasskeyOptions(ctx.actor.id, options))


@operation(
    "identity.register_passkey", by=OWN, needs=[recent_sign_in], idempotent=False, limits=[Limit(30, 900, "actor")]
)  # fmt: skip
def register_passkey(tx: Transaction, ctx: Context, request: RegisterPasskey) -> Change[RecoveryCodes] | Declined:
    """Add a passkey. With the first factor other sessions end, and the answer holds recovery codes, once."""
    factors.lock(tx, ctx)
    answer = read_answer(request.credential)
    session = getattr(ctx.actor, "session", "")
    if not use_challenge(tx, ctx, answer, Ceremony.REGISTER, ctx.actor.id, session):
        return Declined(WrongPasskey())
    try:
        made = verify_registration(answer, answer.challenge, relying_party(), unlocked=True)
    except WrongPasskey as error:
        return Declined(error)
    taken = select(model.passkey.c.id).where(model.passkey.c.credential_id == made.credential_id)
    if tx.connection.execute(taken).first() is not None:
        return Declined(PasskeyKnown())
    factors.check_room(tx, model.passkey, ctx.actor.id)
    first = not has_second_factor(tx.connection, ctx.actor.id)
    identifier = ctx.ids.new("psk")
    insert_row(
        tx, model.passkey,
        {
            "id": identifier, "account": ctx.actor.id, "credential_id": made.credential_id,
            "public_key": made.public_key, "sign_count": made.sign_count, "name": clean_name(request.name) or PASSKEY,
            "transports": answer.transports, "aaguid": made.aaguid, "backup_eligible": made.backup_eligible,
            "backed_up": made.backed_up, "discoverable": answer.discoverable, "created_at": ctx.now,
        },
    )  # fmt: skip
    codes, token = factors.turn_on(tx, ctx, first=first)
    return Change(None, RecoveryCodes(identifier, codes, token), object=identifier, details={"first": first})


@operation("identity.rename_passkey", by=OWN, subject=owner_of_passkey)
def rename_passkey(tx: Transaction, ctx: Context, request: RenameFactor) -> Change[Renamed]:
    """Give a passkey another name."""
    factors.rename(tx, ctx, model.passkey, request.id, request.name)
    return Change(None, Renamed(request.id), object=request.id)


@operation("identity.remove_passkey", by=OWN, needs=[recent_sign_in], subject=owner_of_passkey)
def remove_passkey(tx: Transaction, ctx: Context, request: RemoveFactor) -> Change[Removed]:
    """Remove a passkey. The last factor turns two-factor sign-in off; team members keep one."""
    off = factors.remove(tx, ctx, model.passkey, request.id)
    return Change(None, Removed(request.id, not off), object=request.id, details={"off": off})
