"""The entry that a check's run left in the audit log, and the proof that the signed tree holds it (RFC 9162)."""

from __future__ import annotations

import msgspec
from sqlalchemy import Connection

from subscription_services.kernel.errors import NotFound
from subscription_services.ledger.errors import NotSequenced
from subscription_services.ledger.proof import tlog_proof
from subscription_services.ledger.queries import Search, leaf_hash_of, prove_inclusion, search

ACTION = "trust.record_run"


class ProvedRun(msgspec.Struct, frozen=True):
    """`entry` is the leaf as it was hashed; hashes are hexadecimal. Without a proof the entry waits to be sequenced."""

    run: str
    event: str
    entry: str
    index: int | None = None
    leaf_hash: str = ""
    tree_size: int = 0
    root: str = ""
    path: list[str] = []
    checkpoint: str = ""


def prove_run(connection: Connection, run: str) -> ProvedRun:
    """Raises NotFound for a run that never was or whose entry is older than the log's retention."""
    found = search(connection, Search(action=ACTION, object=run), limit=1).found
    if not found:
        raise NotFound()
    event = found[0].event
    try:
        proof = prove_inclusion(connection, event.id)
    except NotSequenced:
        return ProvedRun(run, event.id, msgspec.json.format(msgspec.json.encode(event), indent=2).decode())
    return ProvedRun(
        run=run, event=event.id, entry=proof.entry.decode(), index=proof.index, leaf_hash=leaf_hash_of(proof).hex(),
        tree_size=proof.size, root=proof.root.hex(), path=[item.hex() for item in proof.proof],
        checkpoint=proof.checkpoint.decode(),
    )  # fmt: skip


def proof_file(proved: ProvedRun) -> bytes:
    """C2SP tlog-proof with the entry as extra data, so that one file is all that verification needs.

    Raises NotSequenced for an entry that waits.
    """
    if proved.index is None:
        raise NotSequenced()
    path = [bytes.fromhex(item) for item in proved.path]
    return tlog_proof(proved.entry.encode(), proved.index, path, proved.checkpoint.encode())
