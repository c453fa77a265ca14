"""Proofs as files: inclusion in the form of C2SP tlog-proof, consistency in that of C2SP tlog-witness (the body of an
`add-checkpoint` request), each with the checkpoint that it leads to."""

from __future__ import annotations

from dataclasses import dataclass

from .checkpoint import Head, open_checkpoint
from .encoding import decimal, from_base64, hash_line, utf8
from .errors import BadProof, Malformed, TooLarge
from .merkle import leaf_hash, verify_consistency, verify_inclusion
from .note import MAX_NOTE_BYTES
from .policy import Policy

MAX_PATH = 63
MAX_EXTRA_BYTES = 128 * 1024
MAX_PROOF_BYTES = MAX_NOTE_BYTES + 2 * MAX_EXTRA_BYTES
TITLE = "c2sp.org/tlog-proof@v1"


@dataclass(frozen=True, slots=True)
class InclusionProof:
    """That some entry is number `index` of the log in the `note`; nothing verified. `extra` is not authenticated."""

    index: int
    path: tuple[bytes, ...]
    note: bytes
    extra: bytes | None = None

    def verify(self, entry: bytes, policy: Policy, now: int | None = None) -> Head:
        """The verified checkpoint whose tree holds `entry`. Raises VerifierError."""
        head = open_checkpoint(self.note, policy, now)
        verify_inclusion(self.index, head.checkpoint.size, leaf_hash(entry), self.path, head.checkpoint.root)
        return head


@dataclass(frozen=True, slots=True)
class ConsistencyProof:
    """That the log in the `note` only grew since it had `old` entries; nothing verified."""

    old: int
    path: tuple[bytes, ...]
    note: bytes

    def verify(self, old_note: bytes, policy: Policy, now: int | None = None) -> tuple[Head, Head]:
        """The verified old and new checkpoint. The quorum is demanded of the new one only. Raises VerifierError."""
        before = open_checkpoint(old_note, Policy(policy.logs, policy.witnesses))
        after = open_checkpoint(self.note, policy, now)
        old, new = before.checkpoint, after.checkpoint
        if old.origin != new.origin:
            raise BadProof("the two checkpoints are of different logs")
        if old.size != self.old:
            raise BadProof(f"the proof is from {self.old} entries, the old checkpoint has {old.size}")
        if old.size == 0:
            if self.path:
                raise BadProof("the consistency proof is too long")
        else:
            verify_consistency(old.size, new.size, old.root, new.root, self.path)
        return before, after


def parse_inclusion(data: bytes) -> InclusionProof:
    """Read a `.tlog-proof` file. Raises Malformed."""
    lines, note = _head_lines(data)
    if lines.pop(0) != TITLE:
        raise Malformed(f"a proof begins with the line {TITLE}")
    extra = None
    if lines and lines[0].startswith("extra "):
        extra = from_base64(lines.pop(0).removeprefix("extra "), "the extra data")
        if len(extra) > MAX_EXTRA_BYTES:
            raise TooLarge("the proof has too much extra data")
    if not lines or not lines[0].startswith("index "):
        raise Malformed("the proof has no index line")
    index = decimal(lines.pop(0).removeprefix("index "), "the index")
    return InclusionProof(index, _path(lines), note, extra)


def parse_consistency(data: bytes) -> ConsistencyProof:
    """Read a consistency proof: `old <size>`, hashes, an empty line, the new checkpoint. Raises Malformed."""
    lines, note = _head_lines(data)
    first = lines.pop(0)
    if not first.startswith("old "):
        raise Malformed("a consistency proof begins with the line: old <size>")
    return ConsistencyProof(decimal(first.removeprefix("old "), "the old size"), _path(lines), note)


def _head_lines(data: bytes) -> tuple[list[str], bytes]:
    if len(data) > MAX_PROOF_BYTES:
        raise TooLarge(f"a proof of {len(data)} bytes where at most {MAX_PROOF_BYTES} are accepted")
    head, blank, note = data.partition(b"\n\n")
    if not blank:
        raise Malformed("the proof has no checkpoint after an empty line")
    return utf8(head, "the proof").split("\n"), note


def _path(lines: list[str]) -> tuple[bytes, ...]:
    if len(lines) > MAX_PATH:
        raise TooLarge(f"a proof of {len(lines)} hashes where {MAX_PATH} are the most")
    return tuple(hash_line(line, "a hash of the proof") for line in lines)
