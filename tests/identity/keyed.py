"""Browsers that hold a key, and what they sign."""

from __future__ import annotations

import json
from typing import Any

from joserfc import jws
from joserfc.jwk import ECKey

from subscription_services.identity.bindings import offer_of
from subscription_services.identity.operations.sign_in import SignedIn, SignIn
from subscription_services.kernel.actors import Anonymous, System
from subscription_services.kernel.context import Origin
from subscription_services.testing import World
from subscription_services.testing.people import PASSWORD

BROWSER = System("identity.binding")
HERE = Origin("127.0.0.9", "a browser", "page")


class Key:
    """A key pair, as a browser makes one for each session."""

    def __init__(self) -> None:
        self.key = ECKey.generate_key("P-256")

    @property
    def public(self) -> dict[str, Any]:
        return dict(self.key.as_dict(private=False))

    def proof(self, challenge: str, *, first: bool = False, **header: Any) -> str:
        """Signs the challenge; `first` sends the public key along, `header` replaces or adds members."""
        protected = {"alg": "ES256", "typ": "dbsc+jwt", **({"jwk": self.public} if first else {}), **header}
        payload = json.dumps({"jti": challenge})
        return jws.serialize_compact(protected, payload, self.key, algorithms=["ES256"], registry=_ANY)


_ANY = jws.JWSRegistry(algorithms=["ES256"], strict_check_header=False)


def page_session(world: World, email: str = "") -> SignedIn:
    """A session that began on the pages."""
    account = email or f"keyed{len(world.events())}@example.org"
    if not email:
        world.subscriber(account)
    found: SignedIn = world.do("identity.sign_in", Anonymous(), SignIn(account, PASSWORD), origin=HERE)
    return found


def offered(world: World, token: str) -> str:
    """The challenge that came with the answer to the sign-in."""
    return offer_of(world.house.ring.for_caller("identity"), token)
