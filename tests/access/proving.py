"""A program that holds a key, and asks over HTTP as one would."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx
import msgspec
from joserfc import jws
from joserfc.jwk import ECKey, OKPKey

from subscription_services import front
from subscription_services.access.dpop import token_hash
from subscription_services.testing import World

ORIGIN = "https://localhost:8443"
Key = ECKey | OKPKey


def new_key(kind: str = "EC") -> Key:
    return ECKey.generate_key("P-256") if kind == "EC" else OKPKey.generate_key("Ed25519")


def public(key: Key) -> str:
    return msgspec.json.encode(key.as_dict(private=False)).decode()


@dataclass
class Program:
    """`claims` and `header` change what is signed; `sign_with` who signs."""

    world: World
    token: str
    key: Key = field(default_factory=new_key)
    nonce: str = ""
    count: int = 0

    def proof(
        self, method: str = "GET", path: str = "/api/access.audit_log", *, claims: Mapping[str, Any] | None = None,
        header: Mapping[str, Any] | None = None, key: Key | None = None,
    ) -> str:  # fmt: skip
        self.count += 1
        signer = key or self.key
        alg = "ES256" if isinstance(signer, ECKey) else "EdDSA"
        head = {"typ": "dpop+jwt", "alg": alg, "jwk": signer.as_dict(private=False), **(header or {})}
        said = {
            "jti": f"proof-{id(self)}-{self.count}", "htm": method, "htu": f"{ORIGIN}{path}",
            "iat": int(self.world.clock().timestamp()), "ath": token_hash(self.token), "nonce": self.nonce,
            **(claims or {}),
        }  # fmt: skip
        body = msgspec.json.encode({name: value for name, value in said.items() if value is not None})
        whole = {name: value for name, value in head.items() if value is not None}
        return jws.serialize_compact(whole, body, signer, algorithms=["ES256", "EdDSA", "Ed25519"])

    def ask(
        self, *proofs: str, path: str = "/api/access.audit_log", scheme: str = "DPoP", method: str = "GET",
        world: World | None = None,
    ) -> httpx.Response:  # fmt: skip
        """One request with these DPoP headers; remembers the nonce of the answer."""
        at = world or self.world

        async def send() -> httpx.Response:
            transport = httpx.ASGITransport(front.application(at.house))
            async with httpx.AsyncClient(transport=transport, base_url=ORIGIN) as client:
                headers = [("Authorization", f"{scheme} {self.token}"), *(("DPoP", proof) for proof in proofs)]
                return await client.request(method, path, headers=headers)

        answer: httpx.Response = at.run(send())
        self.nonce = answer.headers.get("DPoP-Nonce", self.nonce)
        return answer

    def greet(self) -> None:
        """Get a nonce, as a program does with its first request."""
        refused = self.ask(self.proof())
        assert refused.status_code == 401
        assert 'error="use_dpop_nonce"' in refused.headers["WWW-Authenticate"]
