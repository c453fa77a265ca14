"""Checkpoints, C2SP tlog-checkpoint: a signed note with origin, size and root of a log."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from .encoding import decimal, hash_line, shown, to_base64
from .errors import BadSignature, Malformed
from .note import COSIGNATURE, Key, Signature, open_note, split_note
from .policy import Policy

EMPTY_ROOT = hashlib.sha256(b"").digest()


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A tree head; says nothing about who signed it."""

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()

    def text(self) -> str:
        """The text of its note."""
        return "".join(f"{line}\n" for line in (self.origin, self.size, to_base64(self.root), *self.extensions))


@dataclass(frozen=True, slots=True)
class Head:
    """A verified checkpoint: signed by `log`, and cosigned by `witnesses` (each once, with its newest time)."""

    checkpoint: Checkpoint
    log: Key
    witnesses: tuple[Signature, ...]

    @property
    def witnessed(self) -> bool:
        """Without a witness, a log that shows different people different histories stays unseen."""
        return bool(self.witnesses)


def parse_checkpoint(text: str, *, strict_empty: bool = True) -> Checkpoint:
    """Read the text of a note. Raises Malformed; a wrong root of an empty log may be left for the caller to refuse."""
    if not text.endswith("\n"):
        raise Malformed("the text of a checkpoint ends in a newline")
    lines = text[:-1].split("\n")
    if len(lines) < 3 or not all(lines):
        raise Malformed("a checkpoint has at least three lines, none of them empty")
    origin, size, root, *extensions = lines
    found = Checkpoint(
        origin, decimal(size, "the size of the log"), hash_line(root, "the root of the log"), tuple(extensions)
    )
    if strict_empty and found.size == 0 and found.root != EMPTY_ROOT:
        raise Malformed("an empty log has the root of the empty tree")
    return found


def open_checkpoint(note: bytes, policy: Policy, now: int | None = None) -> Head:
    """Verify a checkpoint's signature and cosignatures. Cosignatures count only while young enough at `now`.

    Raises Malformed; BadSignature; NotWitnessed when fewer witnesses cosigned than the policy demands.
    """
    # the text is read for its origin before anything is believed; the same text is then verified
    origin = parse_checkpoint(split_note(note)[0]).origin
    logs = [key for key in policy.logs if key.name == origin]
    if not logs:
        raise BadSignature(f"a checkpoint of {shown(origin)}, which is not a log that you trust")
    text, signatures = open_note(note, [*logs, *policy.witnesses.values()])
    by_log = [signature.key for signature in signatures if signature.key.kind != COSIGNATURE]
    if not by_log:
        raise BadSignature("the log itself did not sign this checkpoint")
    newest: dict[Key, Signature] = {}
    for signature in signatures:
        if signature.key.kind == COSIGNATURE and policy.is_fresh(signature.time, now):
            newest[signature.key] = max(signature, newest.get(signature.key, signature), key=lambda item: item.time)
    policy.demand(frozenset(newest))
    return Head(parse_checkpoint(text), by_log[0], tuple(newest.values()))
