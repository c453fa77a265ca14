"""A stretch of the log as one archive that outsiders verify without us, made part by part in bounded memory.

A part is a member of a gzip file by itself (RFC 1952 lets members follow one another) and holds whole members of a tar
file (POSIX ustar), so parts made at different times, by different processes, are one .tar.gz when put together:

    entries/000000.jsonl        leaves exactly as they were hashed, one a line, oldest first
    proofs/000000000042.tlog-proof   C2SP tlog-proof of entry 42, which carries the entry: enough by itself
    personal/000000.jsonl       only where an approved export opens personal fields; not in the tree
    checkpoint, verifier-key, manifest.json, SHA256SUMS, README.md
"""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import msgspec
from sqlalchemy import Connection

from subscription_services.kernel.events import Event

from .entries import decode_entry
from .note import Ed25519Verifier, verifier_key
from .ocsf import Product, line
from .proof import tlog_proof
from .searching import LARGEST_PAGE, Search, search, search_rows
from .stored import read_tile, tree_size
from .tiles import Tile, tile_reader
from .tree import inclusion_proof

PART_EVENTS = 4000
PART_BYTES = 4 * 1024 * 1024
"""A part ends with the page in which it has so many events or bytes of entries."""
LEVEL = 6
Opener = Callable[[Event], Mapping[str, str]]
"""Opens the personal fields of an event."""


@dataclass(frozen=True, slots=True)
class Head:
    """The signed tree that every proof of an archive leads to."""

    size: int
    note: bytes


@dataclass(frozen=True, slots=True)
class Part:
    """`content` goes to the end of the file; `sums` are names and SHA-256 of its members for SHA256SUMS.

    `after` is where the next part begins, None where nothing is left."""

    content: bytes
    events: int
    sums: tuple[tuple[str, str], ...]
    after: str | None


def covered(connection: Connection, wanted: Search, head: Head) -> bool:
    """Whether the newest event that fits is in the signed tree already."""
    newest = search(connection, wanted, limit=1).found
    return not newest or (newest[0].log_index is not None and newest[0].log_index < head.size)


def proof_part(
    connection: Connection, wanted: Search, head: Head, number: int, after: str | None, at: datetime,
    opener: Opener | None = None,
) -> Part:  # fmt: skip
    """The next events that fit, with proofs. `at` is the time that the members bear."""
    rows, following = _rows(connection, wanted, head, after)
    out = io.BytesIO()
    entries = b"".join(row[0] + b"\n" for row in rows)
    sums = []
    if rows:
        sums.append(_add(out, f"entries/{number:06d}.jsonl", entries, at))
    read = tile_reader(tree_size(connection), _remembering(read_tile(connection)))
    for payload, index in rows:
        _add(
            out,
            f"proofs/{index:012d}.tlog-proof",
            tlog_proof(payload, index, inclusion_proof(index, head.size, read), head.note),
            at,
        )
    if opener is not None and rows:
        lines = [_opened(decode_entry(payload).event, opener) for payload, _ in rows]
        sums.append(_add(out, f"personal/{number:06d}.jsonl", b"".join(lines), at))
    return Part(_compressed(out.getvalue()), len(rows), tuple(sums), following)


def ocsf_part(connection: Connection, wanted: Search, head: Head, after: str | None, product: Product) -> Part:
    """The next events that fit as lines of OCSF JSON; there is no archive around them."""
    rows, following = _rows(connection, wanted, head, after)
    lines = b"".join(line(decode_entry(payload).event, index, product) for payload, index in rows)
    return Part(_compressed(lines), len(rows), (), following)


def files_part(files: Mapping[str, bytes], at: datetime) -> Part:
    """Files of somebody's own, such as what the entries are evidence of."""
    out = io.BytesIO()
    sums = tuple(_add(out, name, data, at) for name, data in files.items())
    return Part(_compressed(out.getvalue()), 0, sums, None)


def last_part(
    head: Head, verifier: Ed25519Verifier, facts: Mapping[str, object], sums: Sequence[tuple[str, str]], at: datetime
) -> Part:
    """What comes after the events: checkpoint, key, manifest, sums, how to verify. `facts` go into the manifest."""
    out, key = io.BytesIO(), verifier_key(verifier)
    manifest = {
        "format": "subs-log-export/1", "origin": verifier.name, "tree_size": head.size, "verifier_key": key, **facts,
    }  # fmt: skip
    found = [
        *sums,
        _add(out, "checkpoint", head.note, at),
        _add(out, "verifier-key", f"{key}\n".encode(), at),
        _add(out, "manifest.json", msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n", at),
        _add(out, "README.md", _README.format(key=key, origin=verifier.name, size=head.size).encode(), at),
    ]
    _add(out, "SHA256SUMS", "".join(f"{digest}  {name}\n" for name, digest in found).encode(), at)
    out.write(bytes(2 * tarfile.BLOCKSIZE))
    return Part(_compressed(out.getvalue()), 0, (), None)


def _rows(
    connection: Connection, wanted: Search, head: Head, after: str | None
) -> tuple[list[tuple[bytes, int]], str | None]:
    found: list[tuple[bytes, int]] = []
    size = 0
    while True:
        rows, after = search_rows(connection, wanted, after=after, limit=LARGEST_PAGE, oldest_first=True)
        signed = [(bytes(row.payload), row.log_index) for row in rows if row.log_index is not None]
        found += [(payload, index) for payload, index in signed if index < head.size]
        size += sum(len(payload) for payload, _ in signed)
        if after is None or len(found) >= PART_EVENTS or size >= PART_BYTES:
            return found, after


def _add(out: io.BytesIO, name: str, data: bytes, at: datetime) -> tuple[str, str]:
    info = tarfile.TarInfo(name)
    info.size, info.mtime, info.mode = len(data), int(at.timestamp()), 0o644
    out.write(info.tobuf(tarfile.USTAR_FORMAT))
    out.write(data + bytes(-len(data) % tarfile.BLOCKSIZE))
    return name, hashlib.sha256(data).hexdigest()


def _compressed(data: bytes) -> bytes:
    return gzip.compress(data, LEVEL, mtime=0)


def _opened(event: Event, opener: Opener) -> bytes:
    return msgspec.json.encode({"event": event.id, **opener(event)}) + b"\n"


def _remembering(read: Callable[[Tile], bytes]) -> Callable[[Tile], bytes]:
    """Each tile is read from the database once a part."""
    known: dict[Tile, bytes] = {}

    def reading(tile: Tile) -> bytes:
        if tile not in known:
            known[tile] = read(tile)
        return known[tile]

    return reading


_README = """# A stretch of the audit log of {origin}

Every entry here is in the signed Merkle tree of {size} entries whose head is `checkpoint` (C2SP tlog-checkpoint). That
can be verified without the service that made this archive, and without trusting it:

1. Get the log's verifier key from somewhere else than this archive, such as your own records or its security page, and
   compare it with `verifier-key`:

       {key}

2. Verify each entry with `subs-verify` (or any other verifier of C2SP tlog-proof):

       for proof in proofs/*.tlog-proof; do
         subs-verify inclusion "$proof" --key "$(cat verifier-key)" > result || [ $? = 3 ] || echo "not proved: $proof"
       done

   Exit status 0 means proved, 3 that all of it agrees but no witness cosigned, anything else that it is not proved.
   A proof carries its entry; `entries/` has the same entries, one a line, oldest first, for reading.

3. `sha256sum -c SHA256SUMS` finds files that were damaged on the way.

That nothing was left out is not in the proofs: the numbers of entries that fit the filter of `manifest.json` can have
gaps. Verify the whole published log (`subs-verify folder`) where that matters. Personal fields of entries are sealed;
`personal/` is there only where their opening was approved, and is not part of the tree.
"""
