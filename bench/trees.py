# mypy: disable-error-code="import-untyped,import-not-found"
"""The log's tree: growing it and reading its root, and sequencing and verifying a stored log, against bare SHA-256
and against pymerkle, in memory and on disk; appending an event durably against the store's own commits.

The bare hashing does as many hashes over as many bytes: one for each leaf, one for each interior node.
"""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path
from typing import Any

import msgspec
from pymerkle import InmemoryTree, SqliteTree
from sqlalchemy import insert

from bench.measure import Ratio, compare, from_pairs, rate
from bench.writes import CALLERS, _together, opened
from subscription_services.kernel.ports import Writer
from subscription_services.ledger.sequencer import sequence
from subscription_services.ledger.tiles import grow, read_edge
from subscription_services.ledger.tree import hash_leaf
from subscription_services.ledger.verify import verify_log
from subscription_services.testing import World
from tests.storage.sample import Number, keep, sample

ENTRY = b'{"event":{"action":"identity.sign_in","actor":"acc_019c"},"counter":1}' * 6
NODE = bytes(65)
BATCH = 256
STORED = 4000
ON_DISK = 512
SLOW = 20_000
_ROW = insert(sample)


def run() -> list[Ratio]:
    """In memory first, then a real log in the embedded store."""
    return [
        compare("grow the tree, root for each 256", _append, "bare SHA-256", _bare, count=100_096, goal=0.5),
        compare(
            "grow the tree, root for each 256", _append, "pymerkle, root for each 256", _pymerkle, count=SLOW, goal=3.0
        ),
        *_stored(),
        *_appended(),
    ]


def _entry(number: int) -> bytes:
    return ENTRY + number.to_bytes(4, "big")


def _append(count: int) -> None:
    edge = read_edge(0, lambda tile: b"")
    for start in range(0, count, BATCH):
        edge, _ = grow(edge, [hash_leaf(_entry(number)) for number in range(start, min(start + BATCH, count))])
        edge.root()


def _bare(count: int) -> None:
    for number in range(count):
        hashlib.sha256(_entry(number)).digest()
        hashlib.sha256(NODE).digest()


def _pymerkle(count: int) -> None:
    tree = InmemoryTree(algorithm="sha256")
    for start in range(0, count, BATCH):
        for number in range(start, min(start + BATCH, count)):
            tree.append_entry(_entry(number))
        tree.get_state()


def _pymerkle_on_disk(folder: Path, count: int) -> None:
    with SqliteTree(str(folder / "pymerkle.db"), algorithm="sha256") as tree:
        for start in range(0, count, BATCH):
            for number in range(start, min(start + BATCH, count)):
                tree.append_entry(_entry(number))
            tree.get_state()


def _pymerkle_in_batches(folder: Path, count: int) -> None:
    with SqliteTree(str(folder / "pymerkle-batches.db"), algorithm="sha256") as tree:
        for start in range(0, count, BATCH):
            tree.append_entries([_entry(number) for number in range(start, min(start + BATCH, count))])
            tree.get_state()


def _appended() -> list[Ratio]:
    """Each caller waits for the commit of its own event, or of its own bare row, in the same store and groups."""
    with tempfile.TemporaryDirectory(prefix="subs-bench-") as folder, opened(Path(folder), "") as world:
        _lay_events(world, 1)
        (example, *_) = world.events("kernel.keep")
        context = world.house.kernel.context(world.system("tests"))
        log, store = world.house.kernel.log, world.house.store

        async def event(_: int) -> None:
            made = msgspec.structs.replace(example, id=context.ids.new("evt"))
            await store.write(Writer.PERFORM, lambda connection: log.append(connection, [made]))

        async def row(number: int) -> None:
            values = {"id": context.ids.new("num"), "number": number}
            await store.write(Writer.PERFORM, lambda connection: connection.execute(_ROW, values))

        ours, theirs = _together(world, event), _together(world, row)
        for warm in (ours, theirs):
            warm(500)
        pairs = [(rate(ours, STORED), rate(theirs, STORED)) for _ in range(5)]
        return [from_pairs(f"append an event durably, {CALLERS} callers", "commit of one bare row, same groups", pairs)]


def _stored() -> list[Ratio]:
    with tempfile.TemporaryDirectory(prefix="subs-bench-") as folder, opened(Path(folder), "") as world:
        sequenced: list[tuple[float, float]] = []
        verified: list[tuple[float, float]] = []
        durable: list[tuple[float, float]] = []
        batched: list[tuple[float, float]] = []
        for _ in range(3):
            before = _lay_events(world, STORED)
            ours = rate(lambda _: _sequence(world), STORED)
            sequenced.append((ours, rate(_bare, STORED)))
            durable.append((ours, rate(lambda count: _pymerkle_on_disk(Path(folder), count), ON_DISK)))
            batched.append((ours, rate(lambda count: _pymerkle_in_batches(Path(folder), count), STORED)))
            total = before + STORED
            verified.append((rate(lambda _: _verify(world), total), rate(_bare, total)))
        return [
            from_pairs("sequence and sign a stored log", "bare SHA-256", sequenced),
            from_pairs(
                "sequence and sign a stored log", "pymerkle on disk, entry by entry, as it is made", durable, 50.0
            ),
            from_pairs("sequence and sign a stored log", "pymerkle on disk, 256 in a transaction", batched),
            from_pairs("verify a stored log, every row", "bare SHA-256", verified),
        ]


def _lay_events(world: World, count: int) -> int:
    """Events like one that perform() wrote; returns how many were sequenced before."""
    world.do(keep, world.system("tests"), Number(1))
    _sequence(world)
    before = verify_log(world.house.store, world.house.log).size
    (example, *_) = world.events("kernel.keep")
    ids = world.house.kernel.context(world.system("tests")).ids
    for start in range(0, count, 500):
        events = [msgspec.structs.replace(example, id=ids.new("evt")) for _ in range(min(500, count - start))]
        _write(world, events)
    return before


def _write(world: World, events: list[Any]) -> None:
    log = world.house.kernel.log
    world.run(world.house.store.write(Writer.PERFORM, lambda connection: log.append(connection, events)))


def _sequence(world: World) -> None:
    world.run(sequence(world.house.store, world.house.log, world.clock))


def _verify(world: World) -> None:
    verify_log(world.house.store, world.house.log)
