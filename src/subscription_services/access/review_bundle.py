"""The evidence of a review: its record, and the entries of the log about it with their proofs, as one archive.

`subs-verify` proves the entries offline; the entry that ended the review has the SHA-256 of the record.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

import msgspec
from sqlalchemy import Row

from subscription_services.kernel.errors import Conflict
from subscription_services.kernel.perform import Kernel
from subscription_services.kernel.personal import FieldKind, Personal
from subscription_services.kernel.transaction import ReadTransaction
from subscription_services.ledger import queries as ledger
from subscription_services.ledger.archive import Head, files_part, last_part
from subscription_services.ledger.errors import NotSequenced
from subscription_services.ledger.note import Ed25519Verifier
from subscription_services.ledger.stored import SIGNING_PURPOSE

from .approval_queries import names_of
from .review_facts import decisions_of, items_of
from .review_record import record_of

_LOOKS = frozenset({"access.review", "access.review_record"})
_REVIEW = """# Access review {id}

- `record.json`: what was asked about, what it was used for as the reviewers saw it, who decided what and when. A decoy
  (`"decoy":1`) is an invented person or program: keeping one makes the review void.
- `names.json`: who these ids are, as they are called now. It is not part of the record.
- `entries/`, `proofs/`: what the log has of this review, each with its proof; README.md says how to verify them.

The SHA-256 of `record.json` is {sha256}. The entry that ended the review (the newest one whose details have
`record`) must have the same:

    sha256sum record.json
"""


class NotSignedYet(Conflict):
    code = "not-signed-yet"
    message = "The newest entries about this are not in the signed tree yet. Try again in a second."


class ReviewEntry(msgspec.Struct, frozen=True):
    """An entry of the log; `proof` is C2SP tlog-proof with the entry inside."""

    id: str
    at: datetime
    action: str
    index: int
    leaf: str
    proof: str


class ReviewEvidence(msgspec.Struct, frozen=True):
    """`record` is the text whose SHA-256 is `sha256`, which the last of `entries` has as well. `names` are those of
    people and programs as they are called now, by id; who was erased is missing."""

    id: str
    record: str
    sha256: str
    names: Annotated[dict[str, str], Personal(FieldKind.COLLEAGUE_NAME)]
    entries: list[ReviewEntry]


def evidence_of(tx: ReadTransaction, row: Row[Any]) -> ReviewEvidence:
    """The evidence of a review that is over. Raises NotSignedYet."""
    ids = {decided.decided_by for decided in decisions_of(tx, row.id).values()}
    for _, facts in items_of(tx, row.id):
        ids |= {facts.account, facts.granted_by, facts.object}
    wanted, after = ledger.Search(object=row.id, outcome="success", action="access."), None
    entries: list[ReviewEntry] = []
    while True:
        page = ledger.search(tx.connection, wanted, after=after, limit=ledger.LARGEST_PAGE, oldest_first=True)
        entries += [_entry(tx, found) for found in page.found if found.event.action not in _LOOKS]
        if (after := page.next) is None:
            break
    text = record_of(tx, dict(row._mapping)).decode()
    return ReviewEvidence(row.id, text, bytes(row.record).hex(), names_of(tx, ids), entries)


async def archive(kernel: Kernel, evidence: ReviewEvidence, at: datetime) -> bytes:
    """The evidence as a .tar.gz, in the form of an export of the log (`ledger.archive`). Raises NotSignedYet."""
    newest = await kernel.store.read(ledger.newest_checkpoint)
    if newest is None:
        raise NotSignedYet()
    files = {
        "record.json": evidence.record.encode(),
        "names.json": msgspec.json.format(msgspec.json.encode(evidence.names, order="deterministic")) + b"\n",
        "REVIEW.md": _REVIEW.format(sha256=evidence.sha256, id=evidence.id).encode(),
        "entries/000000.jsonl": "".join(f"{entry.leaf}\n" for entry in evidence.entries).encode(),
        **{f"proofs/{entry.index:012d}.tlog-proof": entry.proof.encode() for entry in evidence.entries},
    }
    part = files_part(files, at)
    head = Head(newest.size, bytes(newest.note))
    origin = head.note.partition(b"\n")[0].decode()
    verifier = Ed25519Verifier(origin, kernel.keys.for_caller("ledger").public_key(SIGNING_PURPOSE))
    facts = {"review": evidence.id, "record_sha256": evidence.sha256, "events": len(evidence.entries)}
    return part.content + last_part(head, verifier, facts, part.sums, at).content


def _entry(tx: ReadTransaction, found: ledger.Found) -> ReviewEntry:
    try:
        proved = ledger.prove_inclusion(tx.connection, found.event.id)
    except NotSequenced:
        raise NotSignedYet() from None
    return ReviewEntry(
        found.event.id, found.event.at, found.event.action, proved.index, proved.entry.decode(),
        ledger.proof_text(proved).decode(),
    )  # fmt: skip
