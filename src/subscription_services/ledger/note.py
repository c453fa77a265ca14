"""Signed notes, C2SP signed-note: a text and lines of Ed25519 signatures (type 0x01) under it.

Stricter than the specification where it leaves room: base64 must be canonical, and a note has at most
`MAX_NOTE_BYTES` bytes and `MAX_SIGNATURES` signatures.
"""

import base64
import binascii
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from cryptography.exceptions import InvalidSignature as BadSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from subscription_services.ledger.errors import (
    InvalidSignature,
    MalformedNote,
    MalformedVerifierKey,
    UnverifiedNote,
)

MAX_NOTE_BYTES = 1_000_000
MAX_SIGNATURES = 100
ED25519 = 0x01

_KEY_BYTES = 32
_SIGNATURE_BYTES = 64
_DASH = "— "


class Verifier(Protocol):
    """A known key. Other signature types (cosignatures) implement the same three members."""

    @property
    def name(self) -> str:
        """The key name."""

    @property
    def key_id(self) -> bytes:
        """The four bytes that stand before each signature."""

    def verify(self, text: str, signature: bytes) -> None:
        """Raise InvalidSignature unless `signature` was made with this key over `text`."""


@dataclass(frozen=True, slots=True)
class Ed25519Verifier:
    """A public Ed25519 key with its name. Raises MalformedVerifierKey for a bad name or key length."""

    name: str
    public_key: bytes

    def __post_init__(self) -> None:
        if not is_key_name(self.name) or len(self.public_key) != _KEY_BYTES:
            raise MalformedVerifierKey(f"not an Ed25519 key with a valid name: {self.name!r}")

    @property
    def key_id(self) -> bytes:
        """SHA-256(name || 0x0A || 0x01 || public key), the first four bytes."""
        return key_id(self.name, ED25519, self.public_key)

    def verify(self, text: str, signature: bytes) -> None:
        """Raise InvalidSignature unless the RFC 8032 signature over the UTF-8 of `text` is right."""
        try:
            Ed25519PublicKey.from_public_bytes(self.public_key).verify(signature, text.encode())
        except (BadSignature, ValueError):
            raise InvalidSignature(f"the signature of {self.name}+{self.key_id.hex()} is wrong") from None


@dataclass(frozen=True, slots=True)
class Ed25519Signer:
    """Signs notes. `sign` holds the private key (wherever that is) and gives the 64 bytes of RFC 8032."""

    verifier: Ed25519Verifier
    sign: Callable[[bytes], bytes]


def ed25519_signer(name: str, seed: bytes) -> Ed25519Signer:
    """A signer from the 32-byte RFC 8032 private key. Raises MalformedVerifierKey."""
    if len(seed) != _KEY_BYTES:
        raise MalformedVerifierKey("an Ed25519 private key has 32 bytes")
    private = Ed25519PrivateKey.from_private_bytes(seed)
    return Ed25519Signer(Ed25519Verifier(name, private.public_key().public_bytes_raw()), private.sign)


@dataclass(frozen=True, slots=True)
class NoteSignature:
    """One signature line: name, four-byte key id, and the signature without that id."""

    name: str
    key_id: bytes
    signature: bytes

    def line(self) -> str:
        """The line as it stands in a note, with its newline."""
        return f"{_DASH}{self.name} {base64.b64encode(self.key_id + self.signature).decode()}\n"


@dataclass(frozen=True, slots=True)
class Note:
    """An opened note: its text (ends in a newline), the verified signatures, and those of unknown keys."""

    text: str
    verified: tuple[NoteSignature, ...]
    unknown: tuple[NoteSignature, ...]


def key_id(name: str, algorithm: int, public_key: bytes) -> bytes:
    """The recommended key id: SHA-256(name || 0x0A || algorithm || public key), the first four bytes."""
    return hashlib.sha256(name.encode() + b"\n" + bytes([algorithm]) + public_key).digest()[:4]


def is_key_name(name: str) -> bool:
    """Whether `name` may stand in a signature line: not empty, no space, plus or control character."""
    return (
        bool(name)
        and "+" not in name
        and all(character >= " " and not character.isspace() for character in name)
        and _is_encodable(name)
    )


def verifier_key(verifier: Ed25519Verifier) -> str:
    """The vkey text: `name+hash+base64`."""
    encoded = base64.b64encode(bytes([ED25519]) + verifier.public_key).decode()
    return f"{verifier.name}+{verifier.key_id.hex()}+{encoded}"


def parse_verifier_key(vkey: str) -> Ed25519Verifier:
    """Read a vkey. Raises MalformedVerifierKey when it is not Ed25519, or its parts do not fit each other."""
    name, key = parse_vkey(vkey, ED25519)
    return Ed25519Verifier(name, key)


def parse_vkey(vkey: str, algorithm: int) -> tuple[str, bytes]:
    """Name and 32-byte key of a vkey of the given signature type. Raises MalformedVerifierKey."""
    name, plus, rest = vkey.partition("+")
    identifier, second_plus, encoded = rest.partition("+")
    try:
        key = _from_base64(encoded)
    except ValueError:
        raise MalformedVerifierKey("the key is not base64") from None
    if not plus or not second_plus or len(key) != 1 + _KEY_BYTES or key[0] != algorithm or not is_key_name(name):
        raise MalformedVerifierKey(f"not a verifier key of type 0x{algorithm:02x}")
    if identifier != key_id(name, algorithm, key[1:]).hex():
        raise MalformedVerifierKey("the key id does not belong to this name and key")
    return name, key[1:]


def sign_note(text: str, signers: Sequence[Ed25519Signer], others: Sequence[NoteSignature] = ()) -> bytes:
    """The note of `text` with the `others` signatures first, each replaced when a signer has the same key.

    Raises MalformedNote when the text does not end in a newline or has control characters, or a name is bad.
    """
    _require_text(text)
    if not text.endswith("\n"):
        raise MalformedNote("the text of a note ends in a newline")
    made = [
        NoteSignature(signer.verifier.name, signer.verifier.key_id, signer.sign(text.encode())) for signer in signers
    ]
    replaced = {(signature.name, signature.key_id) for signature in made}
    kept = [signature for signature in others if (signature.name, signature.key_id) not in replaced]
    for signature in [*kept, *made]:
        if not is_key_name(signature.name) or len(signature.key_id) != 4 or not signature.signature:
            raise MalformedNote(f"not a signature: {signature.name!r}")
    if any(len(signature.signature) != _SIGNATURE_BYTES for signature in made):
        raise MalformedNote("an Ed25519 signature has 64 bytes")
    if not kept and not made:
        raise MalformedNote("a note has at least one signature")
    note = (text + "\n" + "".join(signature.line() for signature in [*kept, *made])).encode()
    if len(note) > MAX_NOTE_BYTES or len(kept) + len(made) > MAX_SIGNATURES:
        raise MalformedNote("the note is too large")
    return note


def parse_note(note: bytes) -> tuple[str, tuple[NoteSignature, ...]]:
    """Text and signatures, nothing verified: for showing only. Raises MalformedNote."""
    if len(note) > MAX_NOTE_BYTES:
        raise MalformedNote("the note is too large")
    try:
        whole = note.decode()
    except UnicodeDecodeError:
        raise MalformedNote("the note is not UTF-8") from None
    _require_text(whole)
    body, blank, lines = whole.rpartition("\n\n")
    if not blank or not lines.endswith("\n"):
        raise MalformedNote("the note has no complete signature lines after an empty line")
    signatures = tuple(_parse_signature(line) for line in lines[:-1].split("\n"))
    if len(signatures) > MAX_SIGNATURES:
        raise MalformedNote("the note has too many signatures")
    return body + "\n", signatures


def parse_signatures(lines: bytes) -> tuple[NoteSignature, ...]:
    """Signature lines that stand alone, as a witness answers them; nothing verified. Raises MalformedNote."""
    return parse_note(b"-\n\n" + lines)[1]


def open_note(note: bytes, known: Sequence[Verifier]) -> Note:
    """Parse and verify: every signature that names a known key must be right, and at least one must be there.

    Raises MalformedNote, InvalidSignature or UnverifiedNote; ValueError when two known keys share their id.
    """
    keys = {(verifier.name, verifier.key_id): verifier for verifier in known}
    if len(keys) != len(known):
        raise ValueError("two of the known keys have the same name and key id")
    text, signatures = parse_note(note)
    verified: list[NoteSignature] = []
    unknown: list[NoteSignature] = []
    for signature in signatures:
        verifier = keys.get((signature.name, signature.key_id))
        if verifier is None:
            unknown.append(signature)
        elif signature not in verified:
            verifier.verify(text, signature.signature)
            verified.append(signature)
    if not verified:
        raise UnverifiedNote("the note has no signature of a known key")
    return Note(text, tuple(verified), tuple(unknown))


def _parse_signature(line: str) -> NoteSignature:
    dash, name, encoded = line[: len(_DASH)], *_split_last(line[len(_DASH) :])
    if dash != _DASH or not is_key_name(name):
        raise MalformedNote(f"not a signature line: {line[:80]!r}")
    try:
        data = _from_base64(encoded)
    except ValueError:
        raise MalformedNote("a signature is not base64") from None
    if len(data) < 5:
        raise MalformedNote("a signature is too short")
    return NoteSignature(name, data[:4], data[4:])


def _split_last(rest: str) -> tuple[str, str]:
    name, _, encoded = rest.rpartition(" ")
    return name, encoded


def _require_text(text: str) -> None:
    if any(character < " " and character != "\n" for character in text):
        raise MalformedNote("a note has no control characters but newline")
    if not _is_encodable(text):
        raise MalformedNote("a note is Unicode without lone surrogates")


def _is_encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _from_base64(text: str) -> bytes:
    """Standard base64 in its one canonical form; ValueError otherwise."""
    try:
        data = base64.b64decode(text.encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError):
        raise ValueError("not base64") from None
    if base64.b64encode(data).decode() != text:
        raise ValueError("not canonical base64")
    return data
