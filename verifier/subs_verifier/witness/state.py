"""The witness's memory: a folder with its key and, for each log, the log's keys and its newest checkpoint.

key                     name and private key, readable by its owner only
lock                    held while a witness runs: one process at a time
logs/<hash>/keys        the log's verifier keys, a line each; <hash> is the SHA-256 of its origin
logs/<hash>/latest      the note seen last, or the line `none`; a log without this file is refused
logs/<hash>/cosigned    the same note with our cosignature, for monitors
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from subs_verifier.checkpoint import EMPTY_ROOT, Checkpoint, open_checkpoint
from subs_verifier.encoding import from_base64, read_file, reason, to_base64, utf8
from subs_verifier.errors import Malformed, Unreadable, VerifierError
from subs_verifier.note import COSIGNATURE, ED25519, MAX_NOTE_BYTES, Key, parse_key
from subs_verifier.policy import Policy

NONE = b"none\n"
MAX_FILE = 64 * 1024


class StateError(VerifierError):
    """The witness's memory cannot be trusted, so nothing may be cosigned."""


@dataclass(frozen=True, slots=True)
class Witness:
    """The witness's own key."""

    key: Key
    private: Ed25519PrivateKey

    def cosign(self, message: bytes) -> bytes:
        """64 bytes of RFC 8032."""
        return self.private.sign(message)


class State:
    """The open memory; nobody else can open it meanwhile. Raises Unreadable, Malformed, StateError."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self._lock = _locked(place / "lock")
        try:
            self.witness = _read_key(place / "key")
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Let others open it."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def keys(self, origin: str) -> tuple[Key, ...]:
        """The log's keys; none for a log that this witness does not watch. Raises StateError."""
        path = self.folder(origin) / "keys"
        if not os.path.lexists(path):
            return ()
        try:
            lines = utf8(read_file(path, MAX_FILE), "keys").splitlines()
            return tuple(parse_key(line) for line in lines)
        except VerifierError as error:
            raise StateError(f"the keys of a watched log cannot be read: {error}") from None

    def latest(self, origin: str) -> Checkpoint:
        """The newest checkpoint that may have been cosigned; the empty log before the first. Raises StateError."""
        note = self.latest_note(origin)
        if note is None:
            return Checkpoint(origin, 0, EMPTY_ROOT)
        try:
            found = open_checkpoint(note, Policy(self.keys(origin))).checkpoint
        except VerifierError as error:
            raise StateError(f"the memory of a watched log cannot be read: {error}") from None
        if found.origin != origin:
            raise StateError("the memory of a watched log is that of another one")
        return found

    def latest_note(self, origin: str) -> bytes | None:
        """The note itself, None before the first. Raises StateError."""
        try:
            note = read_file(self.folder(origin) / "latest", MAX_NOTE_BYTES)
        except VerifierError as error:
            raise StateError(f"the memory of a watched log cannot be read: {error}") from None
        return None if note == NONE else note

    def watched(self) -> tuple[str, ...]:
        """The origins of all logs. Raises StateError, Unreadable."""
        found = []
        try:
            for folder in sorted((self.place / "logs").iterdir()):
                path = folder / "keys"
                if os.path.lexists(path):
                    found.append(parse_key(utf8(read_file(path, MAX_FILE), "keys").partition("\n")[0]).name)
        except OSError as error:
            raise Unreadable(f"{self.place / 'logs'}: {reason(error)}") from None
        return tuple(found)

    def remember(self, origin: str, note: bytes) -> None:
        """Durable when this returns. Raises StateError."""
        try:
            replace_file(self.folder(origin) / "latest", note)
        except OSError as error:
            raise StateError(f"the memory cannot be written: {reason(error)}") from None

    def show(self, origin: str, cosigned: bytes) -> None:
        """For monitors; what cannot be written is only out of date."""
        with suppress(OSError):
            replace_file(self.folder(origin) / "cosigned", cosigned)

    def shown(self, digest: str) -> bytes | None:
        """The cosigned checkpoint of the log whose origin has this SHA-256, hexadecimal."""
        try:
            return read_file(self.place / "logs" / digest / "cosigned", MAX_NOTE_BYTES)
        except VerifierError:
            return None

    def folder(self, origin: str) -> Path:
        """Where a log's memory lies."""
        return self.place / "logs" / hashlib.sha256(origin.encode()).hexdigest()


def make_state(place: Path, name: str) -> Key:
    """Make the folder with a new key. Raises Unreadable when there is a key already or it cannot be written."""
    private = Ed25519PrivateKey.generate()
    key = Key(name, COSIGNATURE, private.public_key().public_bytes_raw())
    try:
        (place / "logs").mkdir(parents=True, exist_ok=True)
        place.chmod(0o700)
        if os.path.lexists(place / "key"):
            raise Unreadable(f"{place / 'key'}: there is a key already")
        replace_file(place / "key", f"{name}\n{to_base64(private.private_bytes_raw())}\n".encode())
    except OSError as error:
        raise Unreadable(f"{place}: {reason(error)}") from None
    return key


def watch(place: Path, keys: Iterable[Key]) -> None:
    """Watch a log from now on; its memory, where there is one, is kept. Raises Malformed, StateError."""
    wanted = list(keys)
    if not wanted or len({key.name for key in wanted}) != 1 or any(key.kind != ED25519 for key in wanted):
        raise Malformed("the Ed25519 keys of one log are needed, all with its origin as name")
    state = State(place)
    try:
        folder = state.folder(wanted[0].name)
        folder.mkdir(exist_ok=True)
        sync_folder(folder.parent)
        # memory first: a log with keys and no memory is refused
        if not os.path.lexists(folder / "latest"):
            if os.path.lexists(folder / "keys"):
                raise StateError(f"{folder}: this log was watched before and its memory is gone")
            replace_file(folder / "latest", NONE)
        replace_file(folder / "keys", "".join(f"{key.text()}\n" for key in wanted).encode())
    except OSError as error:
        raise StateError(f"the memory cannot be written: {reason(error)}") from None
    finally:
        state.close()


def replace_file(path: Path, data: bytes) -> None:
    """The whole file or the old one, durable when this returns. Raises OSError."""
    part = path.with_name(path.name + ".new")
    handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
    sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """Make names durable. Raises OSError."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _locked(path: Path) -> int:
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise Unreadable(f"{path}: {reason(error)}") from None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        raise StateError(f"{path.parent}: another witness runs with this memory") from None
    return handle


def _read_key(path: Path) -> Witness:
    name, _, seed = utf8(read_file(path, MAX_FILE), "the key").removesuffix("\n").partition("\n")
    data = from_base64(seed, "the key")
    if len(data) != 32:
        raise Malformed("the key does not have 32 bytes")
    private = Ed25519PrivateKey.from_private_bytes(data)
    return Witness(Key(name, COSIGNATURE, private.public_key().public_bytes_raw()), private)
