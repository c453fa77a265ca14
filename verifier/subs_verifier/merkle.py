"""The Merkle tree of RFC 6962 and RFC 9162, section 2.1, with SHA-256: checking proofs, computing roots."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from .encoding import HASH_BYTES
from .errors import BadProof, Malformed

_sha256 = hashlib.sha256


def leaf_hash(entry: bytes) -> bytes:
    """The hash of an entry."""
    return _sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of a node over its two children."""
    return _sha256(b"\x01" + left + right).digest()


def perfect_root(hashes: bytes) -> bytes:
    """The root over 2^k concatenated hashes."""
    while len(hashes) > HASH_BYTES:
        step = 2 * HASH_BYTES
        hashes = b"".join([_sha256(b"\x01" + hashes[at : at + step]).digest() for at in range(0, len(hashes), step)])
    return hashes


def verify_inclusion(index: int, size: int, leaf: bytes, path: Sequence[bytes], root: bytes) -> None:
    """RFC 9162, section 2.1.3.2. Raises Malformed, BadProof."""
    _require_hashes(leaf, root, *path)
    if not 0 <= index < size:
        raise BadProof(f"a log of {size} entries has no entry {index}")
    here, last, found = index, size - 1, leaf
    for sibling in path:
        if last == 0:
            raise BadProof("the inclusion proof is too long")
        if here & 1 or here == last:
            found = node_hash(sibling, found)
            while here and not here & 1:
                here, last = here >> 1, last >> 1
        else:
            found = node_hash(found, sibling)
        here, last = here >> 1, last >> 1
    if last:
        raise BadProof("the inclusion proof is too short")
    if found != root:
        raise BadProof("the inclusion proof does not lead to the signed root")


def verify_consistency(old: int, new: int, old_root: bytes, new_root: bytes, path: Sequence[bytes]) -> None:
    """RFC 9162, section 2.1.4.2. From an empty log there is nothing to prove. Raises Malformed, BadProof."""
    _require_hashes(old_root, new_root, *path)
    if not 0 < old <= new:
        raise BadProof(f"there is no consistency proof from {old} to {new} entries")
    if old == new:
        if path:
            raise BadProof("the consistency proof is too long")
        if old_root != new_root:
            raise BadProof("two different logs of the same size")
        return
    # a tree of 2^k entries is itself a node of the new tree, and its root is left out of the proof
    hashes = list(path) if old & (old - 1) else [old_root, *path]
    if not path:
        raise BadProof("the consistency proof is too short")
    here, last = old - 1, new - 1
    while here & 1:
        here, last = here >> 1, last >> 1
    found_old = found_new = hashes[0]
    for sibling in hashes[1:]:
        if last == 0:
            raise BadProof("the consistency proof is too long")
        if here & 1 or here == last:
            found_old, found_new = node_hash(sibling, found_old), node_hash(sibling, found_new)
            while here and not here & 1:
                here, last = here >> 1, last >> 1
        else:
            found_new = node_hash(found_new, sibling)
        here, last = here >> 1, last >> 1
    if last:
        raise BadProof("the consistency proof is too short")
    if found_old != old_root:
        raise BadProof("the consistency proof does not lead to the old root")
    if found_new != new_root:
        raise BadProof("the consistency proof does not lead to the new root")


def edge_root(levels: Sequence[bytes]) -> bytes:
    """The root of a tree whose right edge is given: below, the hashes of level 0 (leaves) not yet in a full tile of
    256, then of level 1 (full tiles), and so on, each concatenated."""
    found = b""
    for hashes in levels:
        count, end = len(hashes) // HASH_BYTES, len(hashes)
        for bit in range(count.bit_length()):
            if count >> bit & 1:
                start = end - (HASH_BYTES << bit)
                left = perfect_root(hashes[start:end])
                found, end = node_hash(left, found) if found else left, start
    return found or _sha256(b"").digest()


def _require_hashes(*hashes: bytes) -> None:
    if any(len(item) != HASH_BYTES for item in hashes):
        raise Malformed(f"a hash that does not have {HASH_BYTES} bytes")
