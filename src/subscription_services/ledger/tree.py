"""The Merkle tree of RFC 6962 section 2.1 and RFC 9162 section 2.1 over SHA-256: hashing, growing, proving.

Nothing here stores anything. A tree that lives elsewhere is read through a `HashReader`, which gives the
hashes of perfect subtrees; every proof needs O(log n) of them.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from subscription_services.ledger.errors import (
    MalformedHash,
    OutOfRange,
    RootMismatch,
    TreeUnreadable,
    WrongProofLength,
)

HASH_BYTES = 32
EMPTY_ROOT = hashlib.sha256(b"").digest()

_sha256 = hashlib.sha256


@dataclass(frozen=True, slots=True)
class Node:
    """A perfect subtree: the leaves from `index << level` up to, not including, `(index + 1) << level`."""

    level: int
    index: int


HashReader = Callable[[Sequence[Node]], Sequence[bytes]]
"""Gives the hash of each node asked for, in that order; raises when one is not there."""


def hash_leaf(entry: bytes) -> bytes:
    """The leaf hash of an entry: SHA-256(0x00 || entry)."""
    return _sha256(b"\x00" + entry).digest()


def hash_node(left: bytes, right: bytes) -> bytes:
    """The hash of an interior node: SHA-256(0x01 || left || right)."""
    return _sha256(b"\x01" + left + right).digest()


@dataclass(frozen=True, slots=True)
class Frontier:
    """The right edge of a tree as a compact range: the roots of the perfect subtrees that it consists of.

    `hashes` runs from the largest subtree (leftmost) to the smallest; there is one per one-bit of `size`. They
    are all that is needed to append and to know the root.
    """

    size: int = 0
    hashes: tuple[bytes, ...] = ()

    def __post_init__(self) -> None:
        if self.size < 0:
            raise OutOfRange(f"a tree cannot have {self.size} leaves")
        if len(self.hashes) != self.size.bit_count():
            raise WrongProofLength(
                f"a tree of {self.size} leaves has {self.size.bit_count()} subtrees, not {len(self.hashes)}"
            )
        for subtree in self.hashes:
            _require_hash(subtree, "frontier hash")

    def extended(self, leaf_hashes: Iterable[bytes]) -> "Frontier":
        """The frontier after these leaf hashes. Raises MalformedHash when one is not 32 bytes."""
        stack = list(self.hashes)
        size = self.size
        for leaf_hash in leaf_hashes:
            _require_hash(leaf_hash, "leaf hash")
            subtree = leaf_hash
            carry = size
            while carry & 1:
                subtree = hash_node(stack.pop(), subtree)
                carry >>= 1
            stack.append(subtree)
            size += 1
        return Frontier(size, tuple(stack))

    def root(self) -> bytes:
        """The Merkle tree hash; SHA-256 of nothing for the empty tree."""
        return _fold(self.hashes) if self.hashes else EMPTY_ROOT


def frontier_nodes(size: int) -> list[Node]:
    """The perfect subtrees that a tree of `size` leaves decomposes into, leftmost first."""
    return _cover(0, size)


def read_frontier(size: int, read: HashReader) -> Frontier:
    """The frontier of a stored tree of `size` leaves. Raises TreeUnreadable when the store lacks a hash."""
    return Frontier(size, tuple(_read(frontier_nodes(size), read)))


def read_root(size: int, read: HashReader) -> bytes:
    """The root of a stored tree at `size` leaves, the present size or an earlier one."""
    return read_frontier(size, read).root()


def inclusion_proof(index: int, size: int, read: HashReader) -> tuple[bytes, ...]:
    """The audit path (RFC 9162 section 2.1.3.1) of leaf `index` in the tree of the first `size` leaves.

    Raises OutOfRange unless 0 <= index < size, TreeUnreadable when the store lacks a hash.
    """
    if not 0 <= index < size:
        raise OutOfRange(f"leaf {index} is not in a tree of {size} leaves")
    low, high = 0, size
    siblings: list[tuple[int, int]] = []
    while high - low > 1:
        middle = low + _split(high - low)
        if index < middle:
            siblings.append((middle, high))
            high = middle
        else:
            siblings.append((low, middle))
            low = middle
    return _hash_ranges(siblings[::-1], read)


def consistency_proof(old_size: int, new_size: int, read: HashReader) -> tuple[bytes, ...]:
    """The proof (RFC 9162 section 2.1.4.1) that the tree of `new_size` leaves extends the tree of `old_size`.

    Empty when the sizes are equal. Raises OutOfRange unless 0 < old_size <= new_size (nothing is proved from
    an empty tree), TreeUnreadable when the store lacks a hash.
    """
    if not 0 < old_size <= new_size:
        raise OutOfRange(f"no consistency proof leads from {old_size} leaves to {new_size}")
    low, high = 0, new_size
    parts: list[tuple[int, int]] = []
    while high != old_size:
        middle = low + _split(high - low)
        if old_size <= middle:
            parts.append((middle, high))
            high = middle
        else:
            parts.append((low, middle))
            low = middle
    if low > 0:
        parts.append((low, high))
    return _hash_ranges(parts[::-1], read)


def verify_inclusion(index: int, size: int, leaf_hash: bytes, proof: Sequence[bytes], root: bytes) -> None:
    """Raise a ProofError unless `proof` shows `leaf_hash` at `index` of the tree of `size` leaves and `root`.

    RFC 9162 section 2.1.3.2.
    """
    if not 0 <= index < size:
        raise OutOfRange(f"leaf {index} is not in a tree of {size} leaves")
    _require_hashes(leaf_hash, root, proof)
    position, last = index, size - 1
    subtree = leaf_hash
    for sibling in proof:
        if last == 0:
            raise WrongProofLength("the inclusion proof is too long")
        if position & 1 or position == last:
            subtree = hash_node(sibling, subtree)
            while not position & 1 and position:
                position, last = position >> 1, last >> 1
        else:
            subtree = hash_node(subtree, sibling)
        position, last = position >> 1, last >> 1
    if last != 0:
        raise WrongProofLength("the inclusion proof is too short")
    if subtree != root:
        raise RootMismatch(f"the inclusion proof of leaf {index} leads to another root")


def verify_consistency(old_size: int, new_size: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]) -> None:
    """Raise a ProofError unless `proof` shows that the tree of `new_size` leaves extends that of `old_size`.

    RFC 9162 section 2.1.4.2. An empty old tree is refused: every tree extends it.
    """
    if not 0 <= old_size <= new_size:
        raise OutOfRange(f"no consistency proof leads from {old_size} leaves to {new_size}")
    _require_hashes(old_root, new_root, proof)
    if old_size == new_size:
        if proof:
            raise WrongProofLength("trees of equal size need an empty proof")
        if old_root != new_root or (old_size == 0 and old_root != EMPTY_ROOT):
            raise RootMismatch(f"not both roots are those of {old_size} leaves")
        return
    if old_size == 0:
        raise OutOfRange("consistency with an empty tree proves nothing")
    if not proof:
        raise WrongProofLength("the consistency proof is empty")
    path = list(proof)
    if old_size & (old_size - 1) == 0:
        path.insert(0, old_root)
    position, last = old_size - 1, new_size - 1
    while position & 1:
        position, last = position >> 1, last >> 1
    old_subtree = new_subtree = path[0]
    for part in path[1:]:
        if last == 0:
            raise WrongProofLength("the consistency proof is too long")
        if position & 1 or position == last:
            old_subtree = hash_node(part, old_subtree)
            new_subtree = hash_node(part, new_subtree)
            while not position & 1 and position:
                position, last = position >> 1, last >> 1
        else:
            new_subtree = hash_node(new_subtree, part)
        position, last = position >> 1, last >> 1
    if last != 0:
        raise WrongProofLength("the consistency proof is too short")
    if old_subtree != old_root:
        raise RootMismatch("the consistency proof leads to another old root")
    if new_subtree != new_root:
        raise RootMismatch("the consistency proof leads to another new root")


def hash_perfect(hashes: Sequence[bytes]) -> bytes:
    """The root of a perfect subtree whose leaves are `hashes`; their number must be a power of two."""
    if not hashes or len(hashes) & (len(hashes) - 1):
        raise WrongProofLength(f"{len(hashes)} hashes are not a perfect subtree")
    row = list(hashes)
    while len(row) > 1:
        row = [hash_node(left, right) for left, right in zip(row[::2], row[1::2], strict=True)]
    return row[0]


def _split(count: int) -> int:
    """The largest power of two smaller than `count` (which is at least 2)."""
    return 1 << (count - 1).bit_length() - 1


def _cover(low: int, high: int) -> list[Node]:
    """Perfect subtrees of the range, largest first; `low` is aligned as RFC 6962 splits guarantee."""
    nodes: list[Node] = []
    while low < high:
        level = (high - low).bit_length() - 1
        nodes.append(Node(level, low >> level))
        low += 1 << level
    return nodes


def _fold(subtrees: Sequence[bytes]) -> bytes:
    result = subtrees[-1]
    for subtree in reversed(subtrees[:-1]):
        result = hash_node(subtree, result)
    return result


def _hash_ranges(ranges: Sequence[tuple[int, int]], read: HashReader) -> tuple[bytes, ...]:
    covers = [_cover(low, high) for low, high in ranges]
    hashes = _read([node for cover in covers for node in cover], read)
    ends = list(_running_total(len(cover) for cover in covers))
    return tuple(_fold(hashes[start:end]) for start, end in pairwise([0, *ends]))


def _running_total(counts: Iterable[int]) -> Iterator[int]:
    total = 0
    for count in counts:
        total += count
        yield total


def _read(nodes: Sequence[Node], read: HashReader) -> Sequence[bytes]:
    if not nodes:
        return []
    hashes = read(nodes)
    if len(hashes) != len(nodes):
        raise TreeUnreadable(f"{len(nodes)} hashes were asked for and {len(hashes)} came")
    for node, found in zip(nodes, hashes, strict=True):
        if len(found) != HASH_BYTES:
            raise TreeUnreadable(f"the stored hash of {node} has {len(found)} bytes")
    return hashes


def _require_hash(value: bytes, what: str) -> None:
    if len(value) != HASH_BYTES:
        raise MalformedHash(f"{what} of {len(value)} bytes")


def _require_hashes(first: bytes, second: bytes, proof: Sequence[bytes]) -> None:
    for value in (first, second):
        _require_hash(value, "leaf hash or root")
    for part in proof:
        _require_hash(part, "proof component")
