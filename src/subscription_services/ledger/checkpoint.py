"""Checkpoints, C2SP tlog-checkpoint: a signed note that states origin, size and root of a log."""

import base64
import binascii
import re
from collections.abc import Sequence
from dataclasses import dataclass

from subscription_services.ledger.errors import MalformedCheckpoint
from subscription_services.ledger.note import Ed25519Signer, Note, Verifier, open_note, sign_note
from subscription_services.ledger.tree import EMPTY_ROOT, HASH_BYTES

MAX_SIZE = 2**63 - 1

_SIZE = re.compile(r"0|[1-9][0-9]{0,18}")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The tree head of the log named `origin`. Raises MalformedCheckpoint when it cannot be one."""

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for line in (self.origin, *self.extensions):
            if not line or any(character < " " for character in line):
                raise MalformedCheckpoint("a line of the checkpoint is empty or has control characters")
        if not 0 <= self.size <= MAX_SIZE:
            raise MalformedCheckpoint(f"a log cannot have {self.size} entries")
        if len(self.root) != HASH_BYTES:
            raise MalformedCheckpoint(f"a root of {len(self.root)} bytes")
        if self.size == 0 and self.root != EMPTY_ROOT:
            raise MalformedCheckpoint("an empty log has the root of the empty tree")

    def text(self) -> str:
        """The text of the note."""
        lines = [self.origin, str(self.size), base64.b64encode(self.root).decode(), *self.extensions]
        return "".join(f"{line}\n" for line in lines)


def parse_checkpoint(text: str) -> Checkpoint:
    """Read the text of a note as a checkpoint. Raises MalformedCheckpoint for all but the canonical form."""
    if not text.endswith("\n"):
        raise MalformedCheckpoint("the text does not end in a newline")
    lines = text[:-1].split("\n")
    if len(lines) < 3:
        raise MalformedCheckpoint("a checkpoint has at least three lines")
    origin, size, root, *extensions = lines
    if not _SIZE.fullmatch(size):
        raise MalformedCheckpoint("the size is not a decimal number without leading zeroes")
    try:
        digest = base64.b64decode(root.encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError):
        raise MalformedCheckpoint("the root is not base64") from None
    checkpoint = Checkpoint(origin, int(size), digest, tuple(extensions))
    if checkpoint.text() != text:
        raise MalformedCheckpoint("the root is not canonical base64")
    return checkpoint


def sign_checkpoint(checkpoint: Checkpoint, signers: Sequence[Ed25519Signer]) -> bytes:
    """The checkpoint as a signed note. Raises MalformedNote."""
    return sign_note(checkpoint.text(), signers)


def open_checkpoint(note: bytes, origin: str, known: Sequence[Verifier]) -> tuple[Checkpoint, Note]:
    """Verify a checkpoint of the log `origin` with that log's key or keys.

    Raises NoteError, MalformedCheckpoint (also for another log's origin).
    """
    opened = open_note(note, known)
    checkpoint = parse_checkpoint(opened.text)
    if checkpoint.origin != origin:
        raise MalformedCheckpoint(f"a checkpoint of another log: {checkpoint.origin[:80]!r}")
    return checkpoint, opened
