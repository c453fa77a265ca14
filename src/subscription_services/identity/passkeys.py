"""Passkeys (Web Authentication Level 3): what a browser is asked for, and whether its answer is right.

Pure rules: no transaction, no clock. The library checks types, origin, relying party, flags and signature; what it
leaves out is checked here: strict encoding, frames of other sites, the counter after the signature, and that a passkey
does not change whether it may be copied.
"""

from __future__ import annotations

import binascii
import hashlib
import re
from base64 import urlsafe_b64decode
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
import webauthn
from cryptography.exceptions import UnsupportedAlgorithm
from msgspec import Meta
from webauthn.helpers import bytes_to_base64url, parse_attestation_object
from webauthn.helpers.exceptions import WebAuthnException
from webauthn.helpers.structs import (
    AttestationConveyancePreference,
    AttestationFormat,
    AuthenticatorSelectionCriteria,
    AuthenticatorTransport,
    CredentialDeviceType,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from .configured import RelyingParty
from .errors import PasskeyCopied, WrongPasskey

LONGEST = 16384
"""Characters of an answer; an attestation with certificates is the longest."""
SECONDS = 300
"""How long a person may take over it."""
_FORMATS = (AttestationFormat.NONE, AttestationFormat.PACKED)
_TEXT = re.compile(r"[A-Za-z0-9_-]*")
_WRONG = (WebAuthnException, UnsupportedAlgorithm, ValueError, TypeError, LookupError, AttributeError, OverflowError)

Base64Url = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]+$")]
Credential = Annotated[str, Meta(min_length=2, max_length=LONGEST)]


class _Response(msgspec.Struct, frozen=True):
    """Members that other versions of a browser add are ignored, as the standard asks."""

    clientDataJSON: Base64Url
    attestationObject: Base64Url = ""
    authenticatorData: Base64Url = ""
    signature: Base64Url = ""
    userHandle: str | None = None
    transports: list[str] = []


class _Properties(msgspec.Struct, frozen=True):
    rk: bool | None = None


class _Extensions(msgspec.Struct, frozen=True):
    credProps: _Properties = _Properties()


class _Answer(msgspec.Struct, frozen=True):
    id: Base64Url
    type: str
    response: _Response
    clientExtensionResults: _Extensions = _Extensions()


class _ClientData(msgspec.Struct, frozen=True):
    challenge: Base64Url
    crossOrigin: bool = False
    topOrigin: str | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What a browser sent, looked into but not believed. `challenge` is what was signed."""

    text: str
    credential_id: bytes
    challenge: bytes
    user_handle: bytes
    transports: str
    discoverable: bool | None


@dataclass(frozen=True, slots=True)
class Known:
    """What is stored of a passkey, as far as an assertion is held against it."""

    credential_id: bytes
    public_key: bytes
    sign_count: int
    backup_eligible: bool


@dataclass(frozen=True, slots=True)
class Registered:
    """What a new passkey is."""

    credential_id: bytes
    public_key: bytes
    sign_count: int
    aaguid: str
    backup_eligible: bool
    backed_up: bool


@dataclass(frozen=True, slots=True)
class Asserted:
    """A right assertion: what to store, and whether the person unlocked the passkey (or only touched it)."""

    sign_count: int
    backed_up: bool
    user_verified: bool


def read_answer(text: str) -> Answer:
    """Look into an answer (RegistrationResponseJSON, AuthenticationResponseJSON). Raises WrongPasskey."""
    try:
        found = msgspec.json.decode(text, type=_Answer)
        client = msgspec.json.decode(_bytes(found.response.clientDataJSON), type=_ClientData)
        answer = Answer(
            text, _bytes(found.id), _bytes(client.challenge), _bytes(found.response.userHandle or ""),
            " ".join(sorted({item.value for item in AuthenticatorTransport} & {*found.response.transports})),
            found.clientExtensionResults.credProps.rk,
        )  # fmt: skip
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise WrongPasskey() from error
    if client.crossOrigin or client.topOrigin is not None:
        # inside a frame of another site nobody knows what they agree to
        raise WrongPasskey()
    return answer


def credential_of(text: str) -> str:
    """A name for the passkey that an answer speaks of, to count failures under; nothing for what is no answer."""
    try:
        return hashlib.sha256(read_answer(text).credential_id).hexdigest()
    except WrongPasskey:
        return ""


def verify_registration(answer: Answer, challenge: bytes, place: RelyingParty, *, unlocked: bool) -> Registered:
    """A new passkey that signed this challenge; `unlocked`: by its owner's PIN, finger or face. Raises WrongPasskey.

    We ask for no attestation; where one comes all the same it must be right, but nothing is concluded from it.
    """
    try:
        fields = _library_form(answer.text)
        if (
            parse_attestation_object(urlsafe_b64decode(_padded(fields["response"]["attestationObject"]))).fmt
            not in _FORMATS
        ):
            raise WrongPasskey()
        made = webauthn.verify_registration_response(
            credential=fields, expected_challenge=challenge, expected_rp_id=place.id, expected_origin=place.origin,
            require_user_verification=unlocked,
        )  # fmt: skip
    except _WRONG as error:
        raise WrongPasskey() from error
    if made.credential_id != answer.credential_id or not 16 <= len(made.credential_id) <= 1023:
        raise WrongPasskey()
    eligible = made.credential_device_type == CredentialDeviceType.MULTI_DEVICE
    return Registered(
        made.credential_id, made.credential_public_key, made.sign_count, made.aaguid, eligible,
        made.credential_backed_up,
    )  # fmt: skip


def verify_assertion(
    answer: Answer, challenge: bytes, known: Known, place: RelyingParty, *, unlocked: bool
) -> Asserted:  # fmt: skip
    """That this passkey signed this challenge here, with its owner present. `unlocked`: by PIN, finger or face as well.

    For approvals the challenge is a digest of what is approved. Raises WrongPasskey, or PasskeyCopied where the
    signature is right but the counter did not grow; a passkey whose counters are always 0 has none.
    """
    if answer.credential_id != known.credential_id:
        raise WrongPasskey()
    try:
        found = webauthn.verify_authentication_response(
            credential=_library_form(answer.text), expected_challenge=challenge, expected_rp_id=place.id,
            expected_origin=place.origin, credential_public_key=known.public_key,
            # the library looks at the counter before the signature, and anybody could then make us cry thief
            credential_current_sign_count=0, require_user_verification=unlocked,
        )  # fmt: skip
    except _WRONG as error:
        raise WrongPasskey() from error
    if (found.credential_device_type == CredentialDeviceType.MULTI_DEVICE) != known.backup_eligible:
        raise WrongPasskey()
    if (found.new_sign_count or known.sign_count) and found.new_sign_count <= known.sign_count:
        raise PasskeyCopied()
    return Asserted(found.new_sign_count, found.credential_backed_up, found.user_verified)


def creation_options(
    place: RelyingParty, challenge: bytes, *, handle: bytes, email: str, name: str, exclude: Sequence[tuple[bytes, str]]
) -> dict[str, Any]:  # fmt: skip
    """PublicKeyCredentialCreationOptionsJSON: a passkey that is found by itself and unlocked by its owner."""
    made = webauthn.generate_registration_options(
        rp_id=place.id, rp_name=place.name, user_id=handle, user_name=email, user_display_name=name,
        challenge=challenge, timeout=SECONDS * 1000, attestation=AttestationConveyancePreference.NONE,
        authenticator_selection=AuthenticatorSelectionCriteria(
            resident_key=ResidentKeyRequirement.REQUIRED, require_resident_key=True,
            user_verification=UserVerificationRequirement.REQUIRED,
        ),
        exclude_credentials=_descriptors(exclude),
    )  # fmt: skip
    options: dict[str, Any] = msgspec.json.decode(webauthn.options_to_json(made))
    return {**options, "extensions": {"credProps": True}}


def request_options(
    place: RelyingParty, challenge: bytes, allow: Sequence[tuple[bytes, str]], *, unlocked: bool
) -> dict[str, Any]:  # fmt: skip
    """PublicKeyCredentialRequestOptionsJSON; without `allow` the browser offers every passkey that it has for us."""
    made = webauthn.generate_authentication_options(
        rp_id=place.id, challenge=challenge, timeout=SECONDS * 1000, allow_credentials=_descriptors(allow),
        user_verification=UserVerificationRequirement.REQUIRED if unlocked else UserVerificationRequirement.DISCOURAGED,
    )  # fmt: skip
    options: dict[str, Any] = msgspec.json.decode(webauthn.options_to_json(made))
    return options


def _descriptors(found: Sequence[tuple[bytes, str]]) -> list[PublicKeyCredentialDescriptor]:
    return [
        PublicKeyCredentialDescriptor(id=item, transports=[AuthenticatorTransport(way) for way in ways.split()] or None)
        for item, ways in found
    ]  # fmt: skip


def _library_form(text: str) -> dict[str, Any]:
    """The answer with nothing but what was checked on the way in."""
    found = msgspec.json.decode(text, type=_Answer)
    kept = msgspec.to_builtins(found.response)
    return {"id": found.id, "rawId": found.id, "type": found.type, "response": kept}


def _bytes(text: str) -> bytes:
    """base64url without padding (RFC 4648, section 5), one way to write it only. Raises ValueError."""
    if not _TEXT.fullmatch(text):
        raise ValueError("that is not base64url")
    try:
        found = urlsafe_b64decode(_padded(text))
    except binascii.Error as error:
        raise ValueError("that is not base64url") from error
    if bytes_to_base64url(found) != text:
        raise ValueError("that is not base64url")
    return found


def _padded(text: str) -> str:
    return text + "=" * (-len(text) % 4)
