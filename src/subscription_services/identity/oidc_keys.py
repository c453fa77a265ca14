"""The provider's signing keys (RFC 7517): public RSA and P-256 keys for signatures, and nothing else."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey

ALGORITHMS = {"RS256": "RSA", "PS256": "RSA", "ES256": "EC"}
"""What may sign an ID token, and the kind of its key: never `none`, never a MAC, whose key would be public here."""
_SMALLEST = 2048


@dataclass(frozen=True, slots=True)
class SigningKey:
    name: str
    kind: str
    algorithm: str
    key: RSAKey | ECKey

    def fits(self, header: Mapping[str, Any]) -> bool:
        """Whether the header of a token means this key: by its name, or by being the only one without."""
        wanted = header.get("kid")
        return (
            (wanted is None or wanted == self.name)
            and ALGORITHMS.get(str(header.get("alg"))) == self.kind
            and self.algorithm in ("", header.get("alg"))
        )


def read_keys(found: Mapping[str, Any]) -> list[SigningKey]:
    """The keys of a set that can sign; others are passed over."""
    entries = found.get("keys")
    made = (_read(item) for item in entries if isinstance(item, dict)) if isinstance(entries, list) else ()
    return [key for key in made if key is not None]


def _read(item: Mapping[str, Any]) -> SigningKey | None:
    if item.get("use") not in (None, "sig"):
        return None
    name, algorithm = str(item.get("kid", "")), str(item.get("alg", ""))
    try:
        if item.get("kty") == "RSA":
            public = {part: str(item[part]) for part in ("n", "e")}
            modulus = int.from_bytes(base64.urlsafe_b64decode(public["n"] + "=" * (-len(public["n"]) % 4)), "big")
            if modulus.bit_length() < _SMALLEST:
                return None
            return SigningKey(name, "RSA", algorithm, RSAKey.import_key({"kty": "RSA", **public}))
        if item.get("kty") == "EC" and item.get("crv") == "P-256":
            point = {part: str(item[part]) for part in ("x", "y")}
            return SigningKey(name, "EC", algorithm, ECKey.import_key({"kty": "EC", "crv": "P-256", **point}))
    except (JoseError, KeyError, ValueError, TypeError):
        return None
    return None
