"""Proofs that a program holds the key that its token is bound to: DPoP (RFC 9449), keys by their thumbprint (RFC 7638).

Pure: what is signed and what it says. Whether a proof was seen before and whose nonce it holds is `programs`'s part.
ES256 and Ed25519 alone; a header may hold nothing that this does not know, so that no other key can be slipped in.
"""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote, unquote, urlsplit

import msgspec
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OKPKey

from subscription_services.kernel.errors import Invalid, TokenUnproved

ALGORITHMS = {"ES256": "EC", "EdDSA": "OKP", "Ed25519": "OKP"}
LEEWAY = timedelta(seconds=60)
"""How far the clock of a program may be off, either way."""
LONGEST = 4096
_COMPACT = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
_THUMBPRINT = re.compile(r"[A-Za-z0-9_-]{43}")
_JTI = re.compile(r"[\x21-\x7e]{8,256}")
_MEMBERS = {"EC": ("crv", "kty", "x", "y"), "OKP": ("crv", "kty", "x")}
_CURVES = {"EC": "P-256", "OKP": "Ed25519"}
_DESCRIPTIVE = {"kid", "use", "alg", "key_ops"}
_SECRET = {"d", "k", "p", "q", "dp", "dq", "qi", "oth"}


@dataclass(frozen=True, slots=True)
class Presented:
    """What a request shows of its program: scheme and token of Authorization, every DPoP header, method and address."""

    scheme: str
    token: str
    proofs: tuple[str, ...] = ()
    method: str = ""
    urls: tuple[str, ...] = ()
    """The request's own address under each name that this service has."""


@dataclass(frozen=True, slots=True)
class Proof:
    """A proof whose signature is right; `key` is the thumbprint of the key that made it."""

    key: str
    jti: str
    nonce: str


def thumbprint_of(text: str) -> str:
    """The thumbprint of a public key, given as JWK (RFC 7517) or as the thumbprint itself. Raises Invalid."""
    text = text.strip()
    if _THUMBPRINT.fullmatch(text):
        return text
    if is_private(text):
        raise Invalid(
            fields={"key": "This is the private key. Make a new one, keep it, and give the public half of it only."}
        )
    try:
        return _thumbprint(_public(_decoded(text)))
    except TokenUnproved as error:
        says = "Give a public key as JWK (EC with P-256, or OKP with Ed25519), or its SHA-256 thumbprint."
        raise Invalid(fields={"key": says}) from error


def is_private(text: str) -> bool:
    """Whether it is a JWK with a private part, which is never shown again."""
    jwk = _decoded(text)
    return isinstance(jwk, dict) and bool(_SECRET & set(jwk))


def read_proof(shown: Presented, now: datetime) -> Proof:
    """The proof of a request, believed as RFC 9449 4.3 has it, but for nonce and repetition. Raises TokenUnproved."""
    if len(shown.proofs) != 1:
        raise _bad("Send exactly one DPoP header.")
    text = shown.proofs[0]
    if len(text) > LONGEST or not _COMPACT.fullmatch(text):
        raise _bad("The proof is not a compact JWS.")
    try:
        found = jws.extract_compact(text.encode("ascii"))
        claims = msgspec.json.decode(found.payload)
    except (JoseError, ValueError, RecursionError) as error:
        raise _bad("The proof is not a compact JWS with JSON claims.") from error
    header: dict[str, Any] = dict(found.protected)
    jwk, alg = header.pop("jwk", None), header.get("alg")
    if not isinstance(alg, str) or alg not in ALGORITHMS or header != {"alg": alg, "typ": "dpop+jwt"}:
        raise _bad("The header of the proof holds typ dpop+jwt, alg ES256 or EdDSA, and jwk, and nothing else.")
    key = _public(jwk)
    if key["kty"] != ALGORITHMS[alg]:
        raise _bad("The key of the proof does not fit its algorithm.")
    try:
        jws.deserialize_compact(text, _import(key), algorithms=[alg])
    except (JoseError, ValueError) as error:
        raise _bad("The signature of the proof is not by its key.") from error
    return _believed(claims, shown, now, _thumbprint(key))


def _decoded(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return None


def _believed(claims: Any, shown: Presented, now: datetime, key: str) -> Proof:
    if not isinstance(claims, dict):
        raise _bad("The claims of the proof are not a JSON object.")
    jti, moment, nonce = claims.get("jti"), claims.get("iat"), claims.get("nonce", "")
    if not isinstance(jti, str) or not _JTI.fullmatch(jti) or not isinstance(nonce, str):
        raise _bad("The proof needs a jti of 8 to 256 printable characters.")
    if claims.get("htm") != shown.method:
        raise _bad("The htm of the proof is not the method of this request.")
    if not _same_address(claims.get("htu"), shown.urls):
        raise _bad("The htu of the proof is not the address of this request.")
    if isinstance(moment, bool) or not isinstance(moment, int | float):
        raise _bad("The proof needs iat, a number of seconds.")
    if abs(moment - now.timestamp()) > LEEWAY.total_seconds():
        raise _bad("The iat of the proof is too far from our time. Set the clock, and sign each request anew.")
    if claims.get("ath") != token_hash(shown.token):
        raise _bad("The ath of the proof is not the hash of this token.")
    return Proof(key, jti, nonce)


def token_hash(token: str) -> str:
    """The `ath` of a token: SHA-256, base64url without padding."""
    return base64.urlsafe_b64encode(hashlib.sha256(token.encode()).digest()).rstrip(b"=").decode()


def canonical(url: str) -> str:
    """An address without query and fragment, normalised by syntax and scheme (RFC 3986, 6.2.2, 6.2.3); "" for none."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return ""
    if parts.scheme.lower() != "https" or not parts.hostname or parts.username is not None:
        return ""
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    place = host if port in (None, 443) else f"{host}:{port}"
    path = "/".join(quote(unquote(part), safe="!$&'()*+,;=:@~") for part in (parts.path or "/").split("/"))
    return f"https://{place}{path}"


def _same_address(htu: Any, urls: tuple[str, ...]) -> bool:
    if not isinstance(htu, str) or len(htu) > 2048:
        return False
    found = canonical(htu)
    return found != "" and found in {canonical(url) for url in urls}


def _public(jwk: Any) -> dict[str, str]:
    """The members of a public key that count. Raises TokenUnproved for a private one and for all others."""
    if not isinstance(jwk, dict) or jwk.get("kty") not in _MEMBERS:
        raise _bad("The key is not EC with P-256 or OKP with Ed25519.")
    kty = jwk["kty"]
    if set(jwk) - _DESCRIPTIVE != set(_MEMBERS[kty]) or jwk["crv"] != _CURVES[kty]:
        raise _bad("The key is not a public one of P-256 or Ed25519.")
    if not all(isinstance(jwk[name], str) for name in _MEMBERS[kty]):
        raise _bad("The key is not a public one of P-256 or Ed25519.")
    return {name: jwk[name] for name in _MEMBERS[kty]}


def _import(key: dict[str, str]) -> ECKey | OKPKey:
    values: Any = key
    return ECKey.import_key(values) if key["kty"] == "EC" else OKPKey.import_key(values)


def _thumbprint(key: dict[str, str]) -> str:
    try:
        return str(_import(key).thumbprint())
    except (JoseError, ValueError) as error:
        raise _bad("The key is not on its curve.") from error


def _bad(message: str) -> TokenUnproved:
    return TokenUnproved(message, error="invalid_dpop_proof")
