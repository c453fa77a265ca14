"""Opening, making and moving data keys with 1, 10 and 100 versions of the key-encryption key: ratios in one run.

    python -m bench.rotation

A ratio of 1 means that versions cost nothing. Each figure is the median of several rounds, taken in turn.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from subscription_services.kernel.clock import system_clock, system_random
from subscription_services.keys import KeyRing, KeySettings, Kind, open_embedded

VERSIONS = (1, 10, 100)
ROUNDS = 15
CALLS = 150
KEYS = 300


def opened(directory: Path, versions: int) -> KeyRing:
    """A store whose data keys are spread over so many versions."""
    ring = open_embedded(directory, KeySettings(), system_clock, system_random)
    identity, keys = ring.for_caller("identity"), ring.for_caller("keys")
    for number in range(KEYS):
        if number and number % max(1, KEYS // versions) == 0 and keys.states().purposes:
            keys.rotate("subject")
        identity.ensure_subject(f"acc_{number}")
    while newest(ring) < versions:
        keys.rotate("subject")
    return ring


def newest(ring: KeyRing) -> int:
    return next(s.versions[0].version for s in ring.for_caller("keys").states().purposes if s.purpose == "subject")


def open_keys(ring: KeyRing, _: int) -> None:
    for number in range(CALLS):
        ring.service.open("identity", Kind.SUBJECT, f"acc_{number % KEYS}")


def open_at_once(ring: KeyRing, _: int) -> None:
    ring.service.open_many("identity", Kind.SUBJECT, [f"acc_{number}" for number in range(CALLS)])


def make_keys(ring: KeyRing, turn: int) -> None:
    identity = ring.for_caller("identity")
    for number in range(CALLS):
        identity.ensure_subject(f"new_{turn}_{number}")


def move_keys(ring: KeyRing, _: int) -> None:
    """As many as CALLS wait to move before each round."""
    ring.for_caller("keys").rewrap("subject", CALLS)


def cost(work: Callable[[KeyRing, int], None], ring: KeyRing, turn: int) -> float:
    """Seconds of processor time; waiting for the disk and for others is left out."""
    began = time.process_time()
    work(ring, turn)
    return (time.process_time() - began) / CALLS


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        rings = {versions: opened(Path(folder) / str(versions), versions) for versions in VERSIONS}
        worst = 1.0
        for name, work in (
            ("open", open_keys),
            ("open at once", open_at_once),
            ("make", make_keys),
            ("move", move_keys),
        ):
            costs: dict[int, list[float]] = {versions: [] for versions in VERSIONS}
            for turn in range(ROUNDS):
                for versions in VERSIONS if turn % 2 else reversed(VERSIONS):
                    if work is move_keys:
                        rings[versions].for_caller("keys").rotate("subject")
                    costs[versions].append(cost(work, rings[versions], turn))
            for versions in VERSIONS:
                typical = median(costs[versions])
                ratio = median(costs[VERSIONS[0]]) / typical
                worst = min(worst, ratio)
                print(f"{name}: {versions:>3} versions {1 / typical:>9,.0f} a processor second, ratio {ratio:.2f}")
        for ring in rings.values():
            ring.close()
    print(f"worst ratio {worst:.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
