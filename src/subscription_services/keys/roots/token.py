"""A root key in a PKCS#11 token (hardware module, SoftHSM): AES-256, sensitive, never to be taken out.

Wrapping is AES-GCM (CKM_AES_GCM, random 96-bit nonce) inside the token with the context as associated data. A wrapped
key is one byte of version, the nonce, then ciphertext and tag. A session lasts for one call, so that a module that
was restarted or failed over needs nothing from us.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from subscription_services.kernel.clock import Random
from subscription_services.keys.encoding import bind
from subscription_services.keys.errors import (
    KeyTampered,
    RootKeyMissing,
    RootKeyRefused,
    RootKeyUnreachable,
    RootKeyUnsafe,
)

from .address import TokenAddress
from .providers import bound, library, read_secret

T = TypeVar("T")
_VERSION = b"\x01"
_NONCE, _TAG = 12, 16
_MODULE = threading.Lock()
"""A PKCS#11 module is signed in to once per process: the last session that closes signs the others out."""
_GONE = (
    "DeviceError", "DeviceRemoved", "SessionClosed", "SessionHandleInvalid", "SlotIDInvalid", "TokenNotPresent",
    "TokenNotRecognised", "UserNotLoggedIn",
)  # fmt: skip
"""Errors after which the module is set up anew, once."""


class TokenRoot:
    """Satisfies providers.Wrapping.

    Raises RootKeyMissing, RootKeyRefused, RootKeyUnreachable, RootKeyUnsafe, and StartError without the library.
    """

    def __init__(self, address: TokenAddress, random: Random) -> None:
        self._token = _Token(address)
        self._random = random
        self._fingerprint = self._token.call(self._examine)

    def __repr__(self) -> str:
        return f"TokenRoot({self.fingerprint})"

    @property
    def fingerprint(self) -> str:
        return self._fingerprint

    def wrap(self, key: bytes, context: bytes) -> bytes:
        nonce = self._random(_NONCE)
        sealed = self._token.call(lambda session: self._encrypt(self._token.find(session), nonce, key, bound(context)))
        return _VERSION + nonce + sealed

    def unwrap(self, wrapped: bytes, context: bytes) -> bytes:
        if wrapped[:1] != _VERSION or len(wrapped) < 1 + _NONCE + _TAG:
            raise KeyTampered
        nonce, sealed = wrapped[1 : 1 + _NONCE], wrapped[1 + _NONCE :]

        def work(session: Any) -> bytes:
            key = self._token.find(session)
            try:
                return self._decrypt(key, nonce, sealed, bound(context))
            except self._token.library.PKCS11Error as error:
                if type(error).__name__ in _GONE:
                    raise
                # Some tokens call a wrong tag a general error. So: does the token still work?
                again = self._random(_NONCE)
                self._decrypt(key, again, self._encrypt(key, again, b"", b""), b"")
            raise KeyTampered

        return self._token.call(work)

    def _encrypt(self, key: Any, nonce: bytes, plain: bytes, aad: bytes) -> bytes:
        return bytes(key.encrypt(plain, mechanism_param=self._token.gcm(nonce, aad), mechanism=self._token.mechanism))

    def _decrypt(self, key: Any, nonce: bytes, sealed: bytes, aad: bytes) -> bytes:
        return bytes(key.decrypt(sealed, mechanism_param=self._token.gcm(nonce, aad), mechanism=self._token.mechanism))

    def _examine(self, session: Any) -> str:
        """See that the key is fit, and what tells it from others: label, id and the token's own check value."""
        key, names = self._token.find(session), self._token.library.Attribute
        if key[names.EXTRACTABLE] or not key[names.SENSITIVE]:
            raise RootKeyUnsafe(
                f"{self._token} can be taken out of its token (CKA_EXTRACTABLE, or not CKA_SENSITIVE). "
                "Make another one: subs keys create-root."
            )
        if key[names.VALUE_LEN] != 32 or not (key[names.ENCRYPT] and key[names.DECRYPT]):
            raise RootKeyUnsafe(f"{self._token} must be an AES key of 256 bits that may encrypt and decrypt.")
        try:
            check = bytes(key[names.CHECK_VALUE])
        except self._token.library.AttributeTypeInvalid:
            check = b""
        parts = bind("subs.root.fingerprint.v1", "pkcs11", bytes(key[names.ID]), str(key[names.LABEL]), check)
        return hashlib.sha256(parts).hexdigest()[:32]


def create_key(address: TokenAddress, random: Random) -> None:
    """Make the key in the token. Raises RootKeyUnsafe when there is one already, and what TokenRoot raises."""
    token = _Token(address)
    names, flags = token.library.Attribute, token.library.MechanismFlag

    def work(session: Any) -> None:
        if list(session.get_objects(token.wanted())):
            raise RootKeyUnsafe(f"{token} exists already.")
        session.generate_key(
            token.library.KeyType.AES, 256, id=address.id or random(16), label=address.label, store=True,
            capabilities=flags.ENCRYPT | flags.DECRYPT,
            template={
                names.PRIVATE: True, names.SENSITIVE: True, names.EXTRACTABLE: False, names.MODIFIABLE: False,
                names.WRAP: False, names.UNWRAP: False, names.DERIVE: False,
            },
        )  # fmt: skip

    token.call(work, writes=True)


class _Token:
    """Sessions on the token that the address names."""

    def __init__(self, address: TokenAddress) -> None:
        self.library = library("pkcs11", "python-pkcs11")
        self.mechanism = self.library.Mechanism.AES_GCM
        self._address = address

    def __str__(self) -> str:
        address = self._address
        return f"The root key {address.label or (address.id or b'').hex()} in token {address.token}"

    def gcm(self, nonce: bytes, aad: bytes) -> Any:
        return self.library.GCMParams(nonce, aad, 8 * _TAG)

    def wanted(self) -> dict[Any, Any]:
        names = self.library.Attribute
        wanted = {names.CLASS: self.library.ObjectClass.SECRET_KEY, names.KEY_TYPE: self.library.KeyType.AES}
        if self._address.label:
            wanted[names.LABEL] = self._address.label
        if self._address.id is not None:
            wanted[names.ID] = self._address.id
        return wanted

    def find(self, session: Any) -> Any:
        found = list(session.get_objects(self.wanted()))
        if not found:
            raise RootKeyMissing(f"{self} is not there. Put it back, or make one: subs keys create-root.")
        if len(found) > 1:
            raise RootKeyUnsafe(f"{self} is there more than once. Name the right one by its id.")
        return found[0]

    def call(self, work: Callable[[Any], T], *, writes: bool = False) -> T:
        """One session; a module that lost its device is set up anew and asked once more."""
        with _MODULE:
            module = self._load()
            try:
                with self._session(module, writes) as session:
                    return work(session)
            except self.library.PKCS11Error as error:
                if type(error).__name__ not in _GONE:
                    raise self._explain(error) from error
            try:
                module.reinitialize()
                with self._session(module, writes) as session:
                    return work(session)
            except self.library.PKCS11Error as error:
                raise self._explain(error) from error

    def _load(self) -> Any:
        try:
            return self.library.lib(str(self._address.module))
        except (self.library.PKCS11Error, OSError) as error:
            raise RootKeyUnreachable(
                f"The PKCS#11 module {self._address.module} cannot be loaded: {error}. Correct module-path."
            ) from error

    @contextmanager
    def _session(self, module: Any, writes: bool) -> Iterator[Any]:
        address = self._address
        tokens = [
            token for token in module.get_tokens(token_label=address.token)
            if address.serial is None or bytes(token.serial).strip() == address.serial
        ]  # fmt: skip
        if len(tokens) != 1:
            raise RootKeyUnreachable(
                f"The module {address.module} shows {len(tokens)} tokens named {address.token}. Is it connected, and "
                "may this user see it? Tell tokens of one name apart by serial."
            )
        session = tokens[0].open(rw=writes, user_pin=read_secret(address.pin, "the PIN of the token"))
        try:
            yield session
        finally:
            session.close()

    def _explain(self, error: Exception) -> Exception:
        kind, address = type(error).__name__, self._address
        if kind in ("PinIncorrect", "PinInvalid", "PinLenRange"):
            return RootKeyRefused(
                f"Wrong PIN: token {address.token} refuses the one in {address.pin}. Put the right one there before "
                "trying again; tokens lock after a few wrong ones."
            )
        if kind in ("PinLocked", "PinExpired", "UserPinNotInitialized"):
            return RootKeyRefused(f"The PIN of token {address.token} is locked or not set. Set it anew.")
        return RootKeyUnreachable(f"Token {address.token} does not work ({kind} {error}). Look at the module.")
