"""An authenticator in software: makes passkeys and signs with them, as a browser with a platform key does.

Written after the standard (Web Authentication Level 3, section 6), without the library that the service uses.
"""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass, field
from typing import Any

import cbor2
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256

from subscription_services.kernel.clock import system_random

ORIGIN = "https://localhost:8443"
PRESENT, VERIFIED, ELIGIBLE, BACKED_UP, ATTESTED = 1, 4, 8, 16, 64


def text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def raw(coded: str) -> bytes:
    return base64.urlsafe_b64decode(coded + "=" * (-len(coded) % 4))


@dataclass
class Authenticator:
    """Holds one passkey. What a test makes wrong is a field; `client` are members of the client data."""

    origin: str = ORIGIN
    flags: int = PRESENT | VERIFIED | ELIGIBLE | BACKED_UP
    count: int = 0
    rp: str = ""
    client: dict[str, Any] = field(default_factory=dict)
    credential: bytes = field(default_factory=lambda: system_random(32))
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))
    handle: bytes = b""

    def create(self, options: dict[str, Any]) -> str:
        """navigator.credentials.create(), as JSON."""
        self.handle = raw(options["user"]["id"])
        point = self.key.public_key().public_numbers()
        cose = {1: 2, 3: -7, -1: 1, -2: point.x.to_bytes(32, "big"), -3: point.y.to_bytes(32, "big")}
        attested = bytes(16) + len(self.credential).to_bytes(2, "big") + self.credential + cbor2.dumps(cose)
        data = self._data(options["rp"]["id"], ATTESTED) + attested
        statement = cbor2.dumps({"fmt": "none", "attStmt": {}, "authData": data})
        response = {
            "clientDataJSON": text(self._client("webauthn.create", options["challenge"])),
            "attestationObject": text(statement), "transports": ["internal", "hybrid", "unheard-of"],
        }  # fmt: skip
        return self._answer(response, {"credProps": {"rk": True}})

    def get(self, options: dict[str, Any], **response: Any) -> str:
        """navigator.credentials.get(), as JSON; `response` replaces members."""
        data = self._data(options["rpId"])
        client = self._client("webauthn.get", options["challenge"])
        signature = self.key.sign(data + hashlib.sha256(client).digest(), ec.ECDSA(SHA256()))
        made = {
            "clientDataJSON": text(client), "authenticatorData": text(data), "signature": text(signature),
            "userHandle": text(self.handle), **response,
        }  # fmt: skip
        return self._answer(made, {})

    def _data(self, rp: str, more: int = 0) -> bytes:
        digest = hashlib.sha256((self.rp or rp).encode()).digest()
        return digest + bytes([self.flags | more]) + self.count.to_bytes(4, "big")

    def _client(self, kind: str, challenge: str) -> bytes:
        return json.dumps({"type": kind, "challenge": challenge, "origin": self.origin, **self.client}).encode()

    def _answer(self, response: dict[str, Any], extensions: dict[str, Any]) -> str:
        name = text(self.credential)
        return json.dumps({
            "id": name, "rawId": name, "type": "public-key", "response": response, "clientExtensionResults": extensions,
            "authenticatorAttachment": "platform",
        })  # fmt: skip
