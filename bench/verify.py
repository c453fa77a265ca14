"""The verifier over an exported folder, against bare SHA-256 over the same bytes.

The bare hashing does as many hashes over as many bytes, from memory: one for each entry, one for each interior node.
"""

from __future__ import annotations

import hashlib
import sys
import tempfile
from pathlib import Path

from bench.measure import Ratio, compare
from tests.verifier.building import LOG, write_folder

# a distribution of its own, which need not be installed here
sys.path.append(str(Path(__file__).parent.parent / "verifier"))

from subs_verifier import policy_of_key, verify_folder

ENTRY = b'{"event":{"action":"identity.sign_in","actor":"acc_019c"},"counter":1}' * 6
NODE = bytes(65)
ENTRIES = 60_000


def run() -> list[Ratio]:
    """One folder, verified whole each time."""
    entries = [ENTRY + number.to_bytes(4, "big") for number in range(ENTRIES)]
    with tempfile.TemporaryDirectory(prefix="subs-bench-") as name:
        place = write_folder(Path(name), entries)
        policy = policy_of_key(LOG.vkey)

        def verify(count: int) -> None:
            if count == ENTRIES:
                assert verify_folder(place, policy).entries == ENTRIES

        def bare(count: int) -> None:
            for entry in entries[:count]:
                hashlib.sha256(entry).digest()
                hashlib.sha256(NODE).digest()

        return [compare("verify an exported folder", verify, "bare SHA-256", bare, count=ENTRIES, goal=0.5)]
