"""Proofs that a browser holds a key: JWS (RFC 7515) as Device Bound Session Credentials has them.

ES256 alone; everything that the header could add is refused, so that no other key or algorithm can be slipped in.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

import msgspec
from joserfc import jws
from joserfc.errors import BadSignatureError, JoseError
from joserfc.jwk import ECKey

from .errors import BadProof

LONGEST = 2048
_PARTS = re.compile(r"[A-Za-z0-9_-]{1,1024}\.[A-Za-z0-9_-]{1,512}\.[A-Za-z0-9_-]{86}")
_POINT = re.compile(r"[A-Za-z0-9_-]{43}")


@dataclass(frozen=True, slots=True)
class Proof:
    """`challenge` is what was signed; `key` is the public key (JWK) that came along, or nothing."""

    text: str
    challenge: str
    key: str


def read_proof(text: str) -> Proof:
    """Look into a proof without believing it. Raises BadProof."""
    if len(text) > LONGEST or not _PARTS.fullmatch(text):
        raise BadProof()
    try:
        found = jws.extract_compact(text.encode("ascii"))
        payload = msgspec.json.decode(found.payload)
    except (JoseError, ValueError, RecursionError) as error:
        raise BadProof() from error
    header: dict[str, Any] = dict(found.protected)
    jwk = header.pop("jwk", None)
    if header != {"alg": "ES256", "typ": "dbsc+jwt"} or not isinstance(payload, dict):
        raise BadProof()
    challenge = payload.get("jti")
    if not isinstance(challenge, str):
        raise BadProof()
    return Proof(text, challenge, "" if jwk is None else _public(jwk))


def signed_by(proof: Proof, key: str) -> bool:
    """Whether that key (a JWK) made the signature. Raises BadProof for a key that is none."""
    try:
        jws.deserialize_compact(proof.text, _import(key), algorithms=["ES256"])
    except BadSignatureError:
        return False
    except (JoseError, ValueError) as error:
        raise BadProof() from error
    return True


def thumbprint(key: str) -> str:
    """RFC 7638, SHA-256. Raises BadProof for a point that is not on the curve."""
    try:
        return str(_import(key).thumbprint())
    except (JoseError, ValueError) as error:
        raise BadProof() from error


def _public(jwk: object) -> str:
    """The four members of a public P-256 key in their order. Raises BadProof for anything more, such as `d`."""
    if not isinstance(jwk, dict) or set(jwk) != {"kty", "crv", "x", "y"}:
        raise BadProof()
    if (jwk["kty"], jwk["crv"]) != ("EC", "P-256"):
        raise BadProof()
    if not all(isinstance(jwk[name], str) and _POINT.fullmatch(jwk[name]) for name in ("x", "y")):
        raise BadProof()
    return json.dumps({name: jwk[name] for name in ("crv", "kty", "x", "y")}, separators=(",", ":"))


def _import(key: str) -> ECKey:
    return ECKey.import_key(json.loads(key))
