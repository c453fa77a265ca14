"""A root key in the Transit engine of Vault or OpenBao: encrypt and decrypt there, the context as associated data.

The token is read from its file for each call, so that an agent may renew it. Its policy needs `read` on
MOUNT/keys/KEY and `update` on MOUNT/encrypt/KEY and MOUNT/decrypt/KEY; without `create`, no call can make another key.
"""

from __future__ import annotations

import hashlib
import re
from base64 import b64decode, b64encode
from binascii import Error as NotBase64
from typing import Any

from subscription_services.keys.encoding import bind
from subscription_services.keys.errors import (
    KeyTampered,
    RootKeyMissing,
    RootKeyRefused,
    RootKeyUnreachable,
    RootKeyUnsafe,
)

from .address import TransitAddress
from .providers import bound, library, read_secret

CONNECT_SECONDS, READ_SECONDS, TRIES = 2.0, 5.0, 3
KINDS = ("aes256-gcm96", "chacha20-poly1305")
"""Kinds of key that authenticate associated data with 256 bits."""
_CIPHERTEXT = re.compile(rb"vault:v[1-9][0-9]*:([A-Za-z0-9+/]+={0,2})")


class TransitRoot:
    """Satisfies providers.Wrapping.

    Raises RootKeyMissing, RootKeyRefused, RootKeyUnreachable, RootKeyUnsafe, and StartError without the library.
    """

    def __init__(self, address: TransitAddress) -> None:
        self._service = _Service(address)
        key = self._service.read_key()
        if key.get("type") not in KINDS or key.get("derived"):
            raise RootKeyUnsafe(f"{self._service} must be of type {' or '.join(KINDS)} and not derived.")
        if key.get("exportable") or key.get("allow_plaintext_backup"):
            raise RootKeyUnsafe(
                f"{self._service} can be taken out of the service (exportable, or allow_plaintext_backup). "
                "Make another one: subs keys create-root."
            )
        parts = (self._service.cluster(), address.namespace, address.mount, address.key)
        self._fingerprint = hashlib.sha256(bind("subs.root.fingerprint.v1", "transit", *parts)).hexdigest()[:32]

    def __repr__(self) -> str:
        return f"TransitRoot({self.fingerprint})"

    @property
    def fingerprint(self) -> str:
        return self._fingerprint

    def wrap(self, key: bytes, context: bytes) -> bytes:
        sent = {"plaintext": b64encode(key).decode(), "associated_data": b64encode(bound(context)).decode()}
        return self._service.transit("encrypt", sent, "ciphertext").encode()

    def unwrap(self, wrapped: bytes, context: bytes) -> bytes:
        sent = {"ciphertext": _as_given(wrapped), "associated_data": b64encode(bound(context)).decode()}
        try:
            return b64decode(self._service.transit("decrypt", sent, "plaintext"), validate=True)
        except NotBase64:
            raise KeyTampered from None


def _as_given(wrapped: bytes) -> str:
    """The ciphertext as the service writes it. It would take v0 for v1, and other base64 of the same bytes, as well."""
    found = _CIPHERTEXT.fullmatch(wrapped)
    try:
        if found and b64encode(b64decode(found[1], validate=True)) == found[1]:
            return wrapped.decode("ascii")
    except NotBase64:
        pass
    raise KeyTampered


def create_key(address: TransitAddress) -> None:
    """Make the key. Raises RootKeyUnsafe when there is one already."""
    service = _Service(address)
    try:
        service.read_key()
    except RootKeyMissing:
        service.create_key()
        return
    raise RootKeyUnsafe(f"{service} exists already.")


class _Service:
    """Calls with time limits and a bounded number of tries, errors in our words."""

    def __init__(self, address: TransitAddress) -> None:
        self._address = address
        self._errors = library("hvac.exceptions", "hvac")
        self._requests = library("requests", "hvac")
        retry = library("urllib3.util.retry", "hvac").Retry(
            total=TRIES - 1, backoff_factor=0.1, status_forcelist=(429, 502, 503, 504), allowed_methods=None,
            raise_on_status=False, redirect=0, respect_retry_after_header=False,
        )  # fmt: skip
        session = self._requests.Session()
        # No proxy and no authority from the surroundings: who sees these requests sees keys.
        session.trust_env = False
        session.verify = str(address.authority) if address.authority else True
        session.mount(f"{address.origin}/", library("requests.adapters", "hvac").HTTPAdapter(max_retries=retry))
        self._client = library("hvac", "hvac").Client(
            url=address.origin, token="", session=session, timeout=(CONNECT_SECONDS, READ_SECONDS),
            namespace=address.namespace or None, allow_redirects=False,
        )  # fmt: skip

    def __str__(self) -> str:
        address = self._address
        return f"The key {address.mount}/{address.key} at {address.origin}"

    def read_key(self) -> dict[str, Any]:
        return self._data(self._call("get", f"/v1/{self._address.mount}/keys/{self._address.key}"))

    def create_key(self) -> None:
        fit = {"type": KINDS[0], "exportable": False, "allow_plaintext_backup": False, "derived": False}
        self._call("post", f"/v1/{self._address.mount}/keys/{self._address.key}", fit)

    def transit(self, verb: str, sent: dict[str, str], wanted: str) -> str:
        answer = self._data(self._call("post", f"/v1/{self._address.mount}/{verb}/{self._address.key}", sent))
        text = answer.get(wanted)
        if not isinstance(text, str) or not text:
            raise RootKeyUnreachable(f"{self} answered {verb} without {wanted}. Is this Vault or OpenBao?")
        return text

    def cluster(self) -> str:
        """The permanent id of the cluster: keys of one name in two clusters are two keys."""
        answer = self._call("get", "/v1/sys/health?standbyok=true&perfstandbyok=true")
        name = answer.get("cluster_id") if isinstance(answer, dict) else None
        if not isinstance(name, str) or not name:
            raise RootKeyUnreachable(f"{self._address.origin} does not tell its cluster id at /v1/sys/health.")
        return name

    def _data(self, answer: Any) -> dict[str, Any]:
        data = answer.get("data") if isinstance(answer, dict) else None
        if not isinstance(data, dict):
            raise RootKeyUnreachable(f"{self} does not answer as Vault or OpenBao do. Correct SUBS_KEYS_ROOT.")
        return data

    def _call(self, method: str, path: str, sent: dict[str, Any] | None = None) -> Any:
        address = self._address
        self._client.token = read_secret(address.token, "the token for Vault or OpenBao")
        try:
            return self._client.adapter.request(method, path, **({"json": sent} if sent is not None else {}))
        except self._errors.VaultError as error:
            raise self._explain(error, path) from error
        except self._requests.exceptions.SSLError as error:
            raise RootKeyUnreachable(
                f"The certificate of {address.origin} is not trusted. Name its authority with ca-file=..."
            ) from error
        except (self._requests.RequestException, OSError, ValueError) as error:
            raise RootKeyUnreachable(
                f"{address.origin} does not answer ({type(error).__name__}). Look at the service and the network."
            ) from error

    def _explain(self, error: Any, path: str) -> Exception:
        """The HTTP API's answers: https://developer.hashicorp.com/vault/api-docs#http-status-codes."""
        said = " ".join(error.errors or ())
        decrypting = "/decrypt/" in path
        if isinstance(error, self._errors.Forbidden | self._errors.Unauthorized):
            return RootKeyRefused(
                f"{self} refuses the token in {self._address.token} (permission denied). Renew it, or let its policy "
                "read the key, and update encrypt and decrypt."
            )
        if isinstance(error, self._errors.InvalidPath) or "encryption key not found" in said:
            return RootKeyMissing(f"{self} is not there. Put it back, or make one: subs keys create-root.")
        if isinstance(error, self._errors.VaultDown | self._errors.VaultNotInitialized):
            return RootKeyUnreachable(f"{self._address.origin} is sealed or not ready. Unseal it.")
        if decrypting and "disallowed by policy" in said:
            return RootKeyRefused(
                f"{self} no longer decrypts with the version that wrapped our keys. Lower its min_decryption_version, "
                "run subs keys move-root to the same address, and raise it again."
            )
        if decrypting and (isinstance(error, self._errors.InvalidRequest) or "authentication failed" in said):
            return KeyTampered()
        return RootKeyUnreachable(f"{self} did not carry out the request ({type(error).__name__} {said[:200]}).")
