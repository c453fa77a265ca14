"""The root key in a file: the embedded default.

Per context a wrapping key is derived (HKDF-SHA-256, RFC 5869) and used for one AES key wrap (RFC 3394),
so that a wrapped key opens only in its own context and the root needs no nonces.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap, aes_key_wrap

from subscription_services.kernel.clock import Random
from subscription_services.keys.durable import sync_directory
from subscription_services.keys.encoding import bind
from subscription_services.keys.errors import KeyTampered, RootKeyMissing, RootKeyUnsafe

LENGTH = 32


class FileRoot:
    """Satisfies ports.RootProvider with 32 bytes from a file. Not printable, so that no log shows it."""

    __slots__ = ("_root",)

    def __init__(self, root: bytes) -> None:
        if len(root) != LENGTH or len(set(root)) == 1:
            raise RootKeyUnsafe("A root key is 32 random bytes.")
        self._root = root

    def __repr__(self) -> str:
        return f"FileRoot({self.fingerprint})"

    @property
    def fingerprint(self) -> str:
        return self._derive(bind("subs.root.fingerprint.v1"))[:16].hex()

    def store_key(self) -> bytes:
        return self._derive(bind("subs.root.store.v1"))

    def wrap(self, key: bytes, context: bytes) -> bytes:
        return aes_key_wrap(self._derive(bind("subs.root.wrap.v1", context)), key)

    def unwrap(self, wrapped: bytes, context: bytes) -> bytes:
        try:
            return aes_key_unwrap(self._derive(bind("subs.root.wrap.v1", context)), wrapped)
        except (InvalidUnwrap, ValueError):
            raise KeyTampered from None

    def _derive(self, info: bytes) -> bytes:
        return HKDF(algorithm=SHA256(), length=LENGTH, salt=None, info=info).derive(self._root)


def read_root(path: Path) -> FileRoot:
    """Read the root key file.

    Raises RootKeyMissing, or RootKeyUnsafe when others than the owner may read it or it is not 32 bytes.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        raise RootKeyMissing(f"There is no root key at {path}. Put the root key file back.") from None
    except OSError as error:
        raise RootKeyUnsafe(f"The root key {path} cannot be read: {error.strerror}.") from None
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise RootKeyUnsafe(f"The root key {path} is not a regular file.")
        if status.st_mode & 0o077:
            raise RootKeyUnsafe(
                f"The root key {path} can be read or changed by others (mode {status.st_mode & 0o777:03o}). "
                f"Run: chmod 600 {path}. If others had access, treat the key as stolen."
            )
        root = file.read(LENGTH + 1)
    if len(root) != LENGTH:
        raise RootKeyUnsafe(f"The root key {path} has {len(root)} bytes or more; it must have exactly {LENGTH}.")
    return FileRoot(root)


def create_root(path: Path, random: Random) -> FileRoot:
    """Write a new root key (mode 0600, durable) and return it. Raises RootKeyUnsafe when one is there."""
    root = random(LENGTH)
    # Written whole under another name first: a crash must not leave a short root key behind.
    unfinished = path.with_name(path.name + ".new")
    unfinished.unlink(missing_ok=True)
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(root)
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(unfinished, path)
    except FileExistsError:
        raise RootKeyUnsafe(f"There is a root key at {path} already.") from None
    finally:
        unfinished.unlink()
    sync_directory(path.parent)
    return FileRoot(root)
