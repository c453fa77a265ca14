"""Growing and verifying the tree of the log against bare SHA-256 over the same bytes."""

from __future__ import annotations

import hashlib

from bench.measure import Ratio, compare
from subscription_services.ledger.tiles import grow, read_edge
from subscription_services.ledger.tree import hash_leaf

ENTRY = b'{"event":{"action":"identity.sign_in","actor":"acc_019c"},"counter":1}' * 6


def run() -> list[Ratio]:
    def append(count: int) -> None:
        edge = read_edge(0, lambda tile: b"")
        for start in range(0, count, 256):
            edge, _ = grow(edge, [hash_leaf(ENTRY + start.to_bytes(4, "big")) for _ in range(256)])

    def bare(count: int) -> None:
        for start in range(0, count, 256):
            for _ in range(256):
                # one hash for the leaf, one for its share of the interior nodes
                hashlib.sha256(ENTRY + start.to_bytes(4, "big")).digest()
                hashlib.sha256(ENTRY[:65]).digest()

    return [compare("append to the tree and verify its root", append, "bare SHA-256", bare, count=100_096, goal=0.5)]
