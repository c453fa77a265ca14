"""A process whose keys lie on a full disk: `DIRECTORY WHAT mounted` fills the file system, `bounded` limits files.

Erasing and rotating are tried at every amount of room that is left: each is done whole, or not at all.
"""

from __future__ import annotations

import resource
import signal
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

from subscription_services.kernel.clock import system_clock, system_random
from subscription_services.kernel.errors import DomainError, StoreFull, SubjectErased
from subscription_services.keys import CallerKeys, KeyRing, KeySettings, KeyUnavailable, open_embedded

SUBJECTS = 30


class Disk:
    """`fill` leaves so many bytes; `free` gives the room back."""

    def __init__(self, place: Path, mounted: bool) -> None:
        self._file = place / "ballast"
        self._place = place
        self._mounted = mounted

    def fill(self, left: int) -> None:
        if not self._mounted:
            size = max(path.stat().st_size for path in (self._place / "keys").iterdir())
            resource.setrlimit(resource.RLIMIT_FSIZE, (size + left, resource.RLIM_INFINITY))
            return
        with self._file.open("ab", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(4096))
            except OSError:
                pass
            file.truncate(max(0, file.tell() - left))

    def free(self) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        self._file.unlink(missing_ok=True)


def open_keys(place: Path) -> KeyRing:
    return open_embedded(place / "keys", KeySettings(busy_timeout=5), system_clock, system_random)


def reads(keys: CallerKeys, subject: str, sealed: bytes) -> bool:
    """Whether it opens; False when it was erased."""
    try:
        assert keys.unseal(subject, "f", "r", sealed) == b"x"
    except SubjectErased:
        return False
    return True


def rotate(keys: CallerKeys) -> None:
    keys.rotate("subject")


def rewrap(keys: CallerKeys) -> None:
    keys.rewrap("subject", 100)


def erase(subject: str, keys: CallerKeys) -> None:
    keys.destroy_subject(subject, "asked for it")


def keep_signing(place: Path, how: str) -> None:
    """The store's own write-ahead log fills the disk; nobody frees anything."""
    if how == "bounded":
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_500_000, resource.RLIM_INFINITY))
    ring = open_keys(place)
    (place / "ballast").write_bytes(bytes(500_000))
    refused = in_a_row = 0
    for _ in range(1500):
        try:
            ring.for_caller("ledger").sign("ledger.checkpoint", b"x")
            in_a_row = 0
        except (StoreFull, KeyUnavailable):
            refused += 1
            in_a_row += 1
            assert in_a_row < 5
    print(f"refused {refused}", flush=True)
    print("own log: came out of it" if refused else "own log: never filled", flush=True)


def main(directory: str, what: str, how: str) -> None:
    place = Path(directory)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    if what == "own-log":
        keep_signing(place, how)
        return
    disk = Disk(place, how == "mounted")
    ring = open_keys(place)
    sealed: dict[str, bytes] = {}
    for number in range(SUBJECTS):
        name = f"acc_{number}"
        ring.for_caller("identity").ensure_subject(name)
        sealed[name] = ring.for_caller("identity").seal(name, "f", "r", b"x")
    refused = 0
    for number in range(SUBJECTS):
        name, left = f"acc_{number}", number * 4096
        ring.close()
        ring = open_keys(place)
        before = ring.for_caller("keys").states().purposes
        versions = {p.purpose: [v.version for v in p.versions] for p in before}
        disk.fill(left)
        actions: tuple[Callable[[CallerKeys], object], ...] = (rotate, rewrap, partial(erase, name))
        done = []
        for caller, action in zip(("keys", "keys", "privacy"), actions, strict=True):
            try:
                action(ring.for_caller(caller))
                done.append(True)
            except (StoreFull, KeyUnavailable) as error:
                refused += 1
                done.append(False)
                assert error.text
        disk.free()
        ring.close()
        ring = open_keys(place)
        found = {p.purpose: [v.version for v in p.versions] for p in ring.for_caller("keys").states().purposes}
        grown = len(found["subject"]) - len(versions["subject"])
        assert grown == int(done[0]), (left, done, versions, found)
        for other, value in sealed.items():
            opens = reads(ring.for_caller("identity"), other, value)
            # an erasure that was refused may be done in the store already and only its second list be missing
            assert opens == (int(other[4:]) > number) or (other == name and not done[2]), (left, other)
        ring.for_caller("privacy").destroy_subject(name, "again")
        assert not reads(ring.for_caller("identity"), name, sealed[name])
        while ring.for_caller("keys").rewrap("subject", 100):
            pass
    print("full: refused" if refused else "full: never", flush=True)
    try:
        ring.for_caller("identity").ensure_subject("acc_after")
        ring.for_caller("identity").seal("acc_after", "f", "r", b"x")
        ring.for_caller("ledger").sign("ledger.checkpoint", b"x")
        for batch in ring.for_caller("ledger").drain_journal(10_000):
            ring.for_caller("ledger").acknowledge(batch.id)
    except DomainError as error:
        print("afterwards:", error.text)
        raise
    print("afterwards: all works", flush=True)
    ring.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
