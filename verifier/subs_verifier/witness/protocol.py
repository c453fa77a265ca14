"""`add-checkpoint` of C2SP tlog-witness, apart from HTTP."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from subs_verifier.checkpoint import EMPTY_ROOT, Checkpoint, parse_checkpoint
from subs_verifier.errors import BadProof, BadSignature, Malformed, VerifierError
from subs_verifier.merkle import verify_consistency
from subs_verifier.note import Key, cosignature_line, cosigned_message, open_note, split_note
from subs_verifier.proof import ConsistencyProof, parse_consistency

from .state import State


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer of the protocol."""

    status: int
    body: bytes
    kind: str = "text/plain; charset=utf-8"


class Cosigner:
    """Answers requests; safe to call from several threads. `clock` gives seconds since 1970."""

    def __init__(self, state: State, clock: Callable[[], float]) -> None:
        self._state, self._clock = state, clock
        self._one_at_a_time = threading.Lock()

    @property
    def key(self) -> Key:
        """The witness's verifier key."""
        return self._state.witness.key

    def add_checkpoint(self, body: bytes) -> Reply:
        """Check, remember, then cosign. Raises StateError when the memory fails; nothing is cosigned then."""
        try:
            proof = parse_consistency(body)
            # the origin is everything that is read before the signature is known to be right
            text, lines = split_note(proof.note)
            keys = self._state.keys(text.partition("\n")[0])
            if not keys:
                return _refusal(404, "this witness does not watch that log")
            open_note(proof.note, keys)
            new = parse_checkpoint(text, strict_empty=False)
        except BadSignature as error:
            return _refusal(403, error)
        except Malformed as error:
            return _refusal(400, error)
        if proof.old > new.size:
            return _refusal(400, "the old size is larger than that of the checkpoint")
        known = {(key.name, key.id) for key in keys}
        note = f"{text}\n" + "".join(line.text() for line in lines if (line.name, line.id) in known)
        with self._one_at_a_time:
            return self._decide(proof, new, text, note.encode())

    def show_latest(self) -> None:
        """At the start: what was remembered and perhaps not shown because of an interruption. Raises StateError."""
        with self._one_at_a_time:
            for origin in self._state.watched():
                self._state.latest(origin)
                note = self._state.latest_note(origin)
                shown = self._state.shown(self._state.folder(origin).name) or b""
                if note is not None and not shown.startswith(note):
                    self._state.show(origin, note + self._cosign(split_note(note)[0]).encode())

    def checkpoint_of(self, digest: str) -> Reply:
        """The newest cosigned checkpoint of a log, by the SHA-256 of its origin."""
        note = self._state.shown(digest)
        return _refusal(404, "nothing cosigned") if note is None else Reply(200, note)

    def _decide(self, proof: ConsistencyProof, new: Checkpoint, text: str, note: bytes) -> Reply:
        known = self._state.latest(new.origin)
        if proof.old != known.size:
            return Reply(409, f"{known.size}\n".encode(), "text/x.tlog.size")
        try:
            _check_growth(known, new, proof.path)
        except VerifierError as error:
            return _refusal(422, error)
        self._state.remember(new.origin, note)
        line = self._cosign(text).encode()
        self._state.show(new.origin, note + line)
        return Reply(200, line)

    def _cosign(self, text: str) -> str:
        time = max(1, int(self._clock()))
        witness = self._state.witness
        signature = witness.cosign(cosigned_message(text, time))
        return cosignature_line(witness.key, time, signature).text()


def _check_growth(known: Checkpoint, new: Checkpoint, path: tuple[bytes, ...]) -> None:
    if new.size == 0 and new.root != EMPTY_ROOT:
        raise BadProof("an empty log has the root of the empty tree")
    if known.size == 0:
        if path:
            raise BadProof("from an empty log there is nothing to prove")
        return
    verify_consistency(known.size, new.size, known.root, new.root, path)


def _refusal(status: int, why: str | Exception) -> Reply:
    return Reply(status, f"{why}\n".encode())
