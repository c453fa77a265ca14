"""A proof of inclusion as a file that is enough by itself: C2SP tlog-proof, version 1, with the entry as extra data."""

from __future__ import annotations

import base64
from collections.abc import Sequence

TITLE = "c2sp.org/tlog-proof@v1"


def tlog_proof(entry: bytes, index: int, path: Sequence[bytes], note: bytes) -> bytes:
    """The file that proves `entry` to be number `index` of the tree in the checkpoint `note`."""
    hashes = [base64.b64encode(item).decode() for item in path]
    lines = [TITLE, f"extra {base64.b64encode(entry).decode()}", f"index {index}", *hashes, "", ""]
    return "\n".join(lines).encode() + note
