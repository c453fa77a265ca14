"""What the holders of a root key have in common: a library loaded only when asked for, a secret read from a file."""

from __future__ import annotations

import importlib
import os
import stat
from pathlib import Path
from typing import Any, Protocol

from subscription_services.kernel.errors import StartError
from subscription_services.keys.encoding import bind
from subscription_services.keys.errors import KeyTampered, RootKeyMissing, RootKeyUnsafe

_LONGEST = 65_536


class Wrapping(Protocol):
    """A root key that wraps and unwraps where it is; see ports.RootProvider."""

    @property
    def fingerprint(self) -> str: ...
    def wrap(self, key: bytes, context: bytes) -> bytes: ...
    def unwrap(self, wrapped: bytes, context: bytes) -> bytes: ...


class HeldRoot:
    """Satisfies ports.RootProvider: the root's wrapping, and the store key that it unwrapped at start."""

    __slots__ = ("_root", "_store_key")

    def __init__(self, root: Wrapping, store_key: bytes) -> None:
        self._root = root
        self._store_key = store_key

    def __repr__(self) -> str:
        return f"HeldRoot({self.fingerprint})"

    @property
    def fingerprint(self) -> str:
        return self._root.fingerprint

    def store_key(self) -> bytes:
        return self._store_key

    def wrap(self, key: bytes, context: bytes) -> bytes:
        return wrap_and_check(self._root, key, context)

    def unwrap(self, wrapped: bytes, context: bytes) -> bytes:
        return self._root.unwrap(wrapped, context)


def wrap_and_check(root: Wrapping, key: bytes, context: bytes) -> bytes:
    """Wrap, and see that it opens again before anything depends on it. Raises KeyTampered."""
    wrapped = root.wrap(key, context)
    if root.unwrap(wrapped, context) != key:
        raise KeyTampered("The holder of the root key does not give back what it was given.")
    return wrapped


def bound(context: bytes) -> bytes:
    """What a wrapped key is bound to, told apart from other uses of the same root key."""
    return bind("subs.root.wrap.v1", context)


def library(name: str, package: str) -> Any:
    """Load what only some installations need. Raises StartError when it is not installed."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise StartError(
            f"The root key in SUBS_KEYS_ROOT needs {package}, which cannot be loaded ({error}). "
            "Run: pip install --require-hashes -r requirements/roots.txt"
        ) from error


def read_secret(path: Path, what: str) -> str:
    """The one line of a file that only its owner can read. Raises RootKeyMissing, RootKeyUnsafe."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        raise RootKeyMissing(f"There is no file {path} with {what}. Put it there, mode 0600.") from None
    except OSError as error:
        raise RootKeyUnsafe(f"The file {path} with {what} cannot be read: {error.strerror}.") from None
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise RootKeyUnsafe(f"{path} with {what} is not a regular file.")
        if status.st_mode & 0o077:
            raise RootKeyUnsafe(f"The file {path} with {what} can be read by others. Run: chmod 600 {path}, renew it.")
        content = file.read(_LONGEST)
    try:
        secret = content.decode().rstrip("\r\n")
    except UnicodeDecodeError:
        secret = ""
    if not secret or "\n" in secret:
        raise RootKeyUnsafe(f"The file {path} must hold {what} in one line.")
    return secret
