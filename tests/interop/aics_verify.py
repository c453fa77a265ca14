# mypy: disable-error-code="import-not-found"
"""Run in an environment of its own, where nothing but the package aics-tlog is: verify an exported folder with it.

aics_verify.py FOLDER VKEY MINIMUM [WITNESS ...]      all witnesses must have cosigned
"""

import sys
from pathlib import Path

from aics_tlog import FileSystemTileReader, VerifiedTileReader, audit_tiles, parse_note, parse_vkey, verify_checkpoint

WIDTH = 256


def main(place: str, vkey: str, minimum: int, *witnesses: str) -> None:
    """Raises what aics-tlog raises."""
    key = parse_vkey(vkey)
    note = parse_note((Path(place) / "checkpoint").read_bytes())
    known = [parse_vkey(witness) for witness in witnesses]
    head = verify_checkpoint(note, key, known, quorum=len(known), expected_origin=key.name)
    if not head.ok:
        sys.exit(f"refused: {head.error}")
    reader = FileSystemTileReader(place)
    report = audit_tiles(reader, head.size, head.root, entries=False)
    verified = VerifiedTileReader(reader, head.size, head.root)
    bundles = 0
    for start in range(0, head.size, WIDTH):
        if start + WIDTH > minimum:
            width = min(WIDTH, head.size - start)
            verified.read_entry_bundle(start // WIDTH, None if width == WIDTH else width)
            bundles += 1
    print(f"size {report.size} tiles {report.tiles} bundles {bundles}")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), *sys.argv[4:])
