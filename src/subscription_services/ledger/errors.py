"""What can go wrong with proofs, signed notes, checkpoints and tiles, in the words of their standards."""

from __future__ import annotations

from subscription_services.kernel.errors import Conflict, DomainError, NotFound


class LedgerError(DomainError):
    """Anything that the ledger refuses."""

    code = "ledger"
    message = "The log refuses this."


class ProofError(LedgerError):
    """A proof that does not prove what it claims. Subclasses say why; all of them mean: do not believe it."""


class OutOfRange(ProofError):
    """The index is outside the tree, or the sizes are negative or in the wrong order."""


class MalformedHash(ProofError):
    """A leaf hash, root or proof component is not 32 bytes."""


class WrongProofLength(ProofError):
    """The proof has more or fewer components than the index and the sizes demand."""


class RootMismatch(ProofError):
    """The proof is well formed and leads to another root than the one given."""


class TreeUnreadable(LedgerError):
    """A stored hash or tile that the tree needs is missing or has the wrong length."""


class NoteError(LedgerError):
    """A signed note (C2SP signed-note) that must not be believed."""


class MalformedNote(NoteError):
    """The bytes are not a signed note, or the text cannot be put into one."""


class MalformedVerifierKey(NoteError):
    """The text is not a verifier key (vkey) with a known algorithm and the right key id."""


class InvalidSignature(NoteError):
    """A signature that names a known key does not verify."""


class UnverifiedNote(NoteError):
    """No signature of the note belongs to a known key."""


class MalformedCheckpoint(LedgerError):
    """The text of the note is not a checkpoint (C2SP tlog-checkpoint), or not one of this log."""


class MalformedTile(LedgerError):
    """A tile path, tile or entry bundle that C2SP tlog-tiles does not allow."""


class EventRefused(LedgerError):
    """The event cannot become an entry: too large, or a detail that canonical JSON has no single form for."""


class LogRefused(LedgerError):
    """The sequencer stops and signs nothing, because the store is not what was recorded. Alarm the operators."""


class GapFound(LogRefused):
    """An event was removed before it was sequenced: a writer's counter leaves one out."""


class ForgedRow(LogRefused):
    """A row was inserted or changed without the key: its code, its columns or its writer do not fit."""


class RolledBack(LogRefused):
    """The store does not hold the tree that was signed last: it is older, or another one."""


class MemoryMissing(LogRefused):
    """The file with the last signed checkpoint is gone or damaged, though checkpoints were signed."""


class WitnessFailed(LedgerError):
    """A witness answered something that its protocol (C2SP tlog-witness) does not allow, or not in time."""


class WitnessMoved(WitnessFailed):
    """The witness cosigned a newer checkpoint of ours between two requests: ask again."""


class LogTampered(LedgerError):
    """Verification failed. `index` is the first bad entry, None where the damage is outside the entries.

    Where only the roots disagree the first bad entry lies between `index` and `until`.
    """

    def __init__(self, message: str, index: int | None = None, until: int | None = None) -> None:
        super().__init__(message)
        self.index = index
        self.until = until


class NotSequenced(Conflict, LedgerError):
    """The event is not in a signed tree yet; it will be within a second or so."""

    code = "not-sequenced"
    message = "The event is not in the signed log yet. Try again in a second."


class NoSuchEvent(NotFound, LedgerError):
    """There is no event with that id."""

    code = "no-such-event"
    message = "There is no event with that id."
