"""Signed notes and verifier keys, C2SP signed-note; cosignatures, C2SP tlog-cosignature.

Key types: 0x01 (Ed25519 over the text) for logs, 0x04 (timestamped Ed25519 over a checkpoint) for witnesses.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from .encoding import MAX_SIZE, from_base64, shown, to_base64, utf8
from .errors import BadSignature, Malformed, TooLarge

MAX_NOTE_BYTES = 256 * 1024
MAX_SIGNATURES = 64
MAX_KEY_TEXT = 1024
ED25519 = 0x01
COSIGNATURE = 0x04

_KINDS = (ED25519, COSIGNATURE)
_KEY_BYTES = 32
_SIGNATURE_BYTES = 64
_TIME_BYTES = 8
_DASH = "— "
# every encoding of a point of small order: for such a key, signatures exist that fit any text
_P = 2**255 - 19
_ORDER_EIGHT = 0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD83D3D706A17C7
_SMALL_ORDER = frozenset((0, 1, _P - 1, _P, _P + 1, _ORDER_EIGHT, _P - _ORDER_EIGHT))


@dataclass(frozen=True, slots=True)
class Key:
    """A public key with its name. Raises Malformed for a bad name, unknown kind or bad key."""

    name: str
    kind: int
    public: bytes

    def __post_init__(self) -> None:
        if not is_key_name(self.name):
            raise Malformed(f"a key cannot have the name {shown(self.name)}")
        if self.kind not in _KINDS:
            raise Malformed(f"keys of type 0x{self.kind:02x} are not supported")
        if len(self.public) != _KEY_BYTES:
            raise Malformed(f"an Ed25519 key of {len(self.public)} bytes")
        if int.from_bytes(self.public, "little") & (2**255 - 1) in _SMALL_ORDER:
            raise Malformed("a key of small order, which would accept any text")

    @property
    def id(self) -> bytes:
        """SHA-256(name, newline, type, key), the first four bytes."""
        return hashlib.sha256(self.name.encode() + b"\n" + bytes([self.kind]) + self.public).digest()[:4]

    def text(self) -> str:
        """The verifier key `name+hash+base64`."""
        return f"{self.name}+{self.id.hex()}+{to_base64(bytes([self.kind]) + self.public)}"


@dataclass(frozen=True, slots=True)
class Signature:
    """A signature that was verified. `time` is in seconds since 1970, 0 where the key's type has none."""

    key: Key
    time: int


@dataclass(frozen=True, slots=True)
class Line:
    """A signature line as it stands, nothing verified."""

    name: str
    id: bytes
    data: bytes

    def text(self) -> str:
        """The line with its newline."""
        return f"{_DASH}{self.name} {to_base64(self.id + self.data)}\n"


def is_key_name(name: str) -> bool:
    """Whether it may stand in a signature line: not empty, no space, plus or control character."""
    if not name or any(character == "+" or character < "!" or character.isspace() for character in name):
        return False
    return not any("\ud800" <= character <= "\udfff" for character in name)


def parse_key(text: str) -> Key:
    """Read a verifier key. Raises Malformed."""
    if len(text) > MAX_KEY_TEXT:
        raise TooLarge("the verifier key is too long")
    name, _, rest = text.partition("+")
    identifier, plus, encoded = rest.partition("+")
    data = from_base64(encoded, "the verifier key")
    if not plus or not data:
        raise Malformed("a verifier key has the form name+hash+base64")
    key = Key(name, data[0], data[1:])
    if identifier != key.id.hex():
        raise Malformed(f"the hash {shown(identifier)} does not belong to this name and key")
    return key


def split_note(note: bytes) -> tuple[str, tuple[Line, ...]]:
    """Text and signature lines, nothing verified. Raises Malformed."""
    if len(note) > MAX_NOTE_BYTES:
        raise TooLarge(f"a note of {len(note)} bytes where at most {MAX_NOTE_BYTES} are accepted")
    whole = utf8(note, "the note")
    text, blank, rest = whole.rpartition("\n\n")
    if not blank or not rest.endswith("\n"):
        raise Malformed("the note has no complete signature lines after an empty line")
    lines = rest[:-1].split("\n")
    if len(lines) > MAX_SIGNATURES:
        raise TooLarge(f"a note with {len(lines)} signatures where at most {MAX_SIGNATURES} are accepted")
    return text + "\n", tuple(_line(line) for line in lines)


def open_note(note: bytes, known: Sequence[Key]) -> tuple[str, tuple[Signature, ...]]:
    """The text, and the signatures of known keys; those of others are ignored.

    Raises Malformed; BadSignature when a signature that names a known key is wrong, or no known key signed.
    """
    keys = {(key.name, key.id): key for key in known}
    if len(keys) != len(known):
        raise Malformed("two of the known keys have the same name and hash")
    text, lines = split_note(note)
    found = []
    for line in lines:
        key = keys.get((line.name, line.id))
        if key is not None:
            found.append(Signature(key, check_signature(key, text, line.data)))
    if not found:
        raise BadSignature("no trusted key signed this note")
    return text, tuple(found)


def check_signature(key: Key, text: str, data: bytes) -> int:
    """The time of the signature, 0 for a plain one. Raises BadSignature."""
    message, signature, time = text.encode(), data, 0
    if key.kind == COSIGNATURE:
        time, signature = int.from_bytes(data[:_TIME_BYTES], "big"), data[_TIME_BYTES:]
        if time > MAX_SIZE:
            raise BadSignature(f"the cosignature of {key.name} has an impossible time")
        message = cosigned_message(text, time)
    if len(signature) != _SIGNATURE_BYTES:
        raise BadSignature(f"the signature of {key.name} does not have {_SIGNATURE_BYTES} bytes")
    try:
        Ed25519PublicKey.from_public_bytes(key.public).verify(signature, message)
    except (InvalidSignature, ValueError):
        raise BadSignature(f"the signature of {key.name} is wrong") from None
    return time


def cosigned_message(text: str, time: int) -> bytes:
    """What a witness signs."""
    return f"cosignature/v1\ntime {time}\n{text}".encode()


def cosignature_line(key: Key, time: int, signature: bytes) -> Line:
    """The line of a witness."""
    return Line(key.name, key.id, time.to_bytes(_TIME_BYTES, "big") + signature)


def _line(line: str) -> Line:
    name, space, encoded = line[len(_DASH) :].rpartition(" ")
    if not line.startswith(_DASH) or not space or not is_key_name(name):
        raise Malformed(f"not a signature line: {shown(line)}")
    data = from_base64(encoded, "a signature")
    if len(data) < 5:
        raise Malformed("a signature is too short")
    return Line(name, data[:4], data[4:])
