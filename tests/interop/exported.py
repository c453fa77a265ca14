"""A log as our server exports it, and proofs as our server makes them."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from pathlib import Path

import msgspec

from subscription_services.kernel.actors import Actor
from subscription_services.kernel.ports import Writer
from subscription_services.ledger.export import export as fetched
from subscription_services.ledger.note import verifier_key
from subscription_services.ledger.queries import newest_checkpoint, prove_consistency, prove_inclusion
from subscription_services.ledger.sequencer import sequence
from subscription_services.testing import World
from subscription_services.trust.operations import RecordRun
from tests.ledger.served import client

SAYS = "Every connection spoke TLS 1.3."
RUN = RecordRun("transit.tls13", "kept", SAYS, 12, {"connections": 8, "protocol": "TLS 1.3"})


def grow(world: World, count: int) -> list[str]:
    """Lay `count` events into the log, like one that an operation wrote, and sign. Returns their ids."""
    world.do("trust.record_run", world.system("trust.checks"), RUN)
    example = world.events("trust.record_run")[-1]
    ids = world.house.kernel.context(world.system("tests")).ids
    events = [msgspec.structs.replace(example, id=ids.new("evt")) for _ in range(count - 1)]
    log = world.house.kernel.log
    world.run(world.house.store.write(Writer.PERFORM, lambda connection: log.append(connection, events)))
    world.run(sequence(world.house.store, world.house.log, world.clock))
    return [example.id, *(event.id for event in events)]


def vkey(world: World) -> str:
    """What outsiders are told."""
    return verifier_key(world.house.log.verifier())


def checkpoint(world: World) -> bytes:
    """The newest one."""
    with world.house.store.reading() as connection:
        head = newest_checkpoint(connection)
    assert head is not None
    return bytes(head.note)


def export(world: World, auditor: Actor, place: Path) -> None:
    """The whole published log, fetched as `subs ledger export` does."""
    place.mkdir()
    fetched(client(world, auditor), place)


def inclusion_file(world: World, event: str) -> tuple[bytes, bytes]:
    """A C2SP tlog-proof of an event, and its entry."""
    with world.house.store.reading() as connection:
        found = prove_inclusion(connection, event)
    head = f"c2sp.org/tlog-proof@v1\nextra {base64.b64encode(found.entry).decode()}\nindex {found.index}\n"
    return head.encode() + _lines(found.proof) + b"\n" + found.checkpoint, found.entry


def consistency_file(world: World, old: int) -> bytes:
    """The proof that the newest checkpoint extends the one of `old` entries."""
    with world.house.store.reading() as connection:
        head = newest_checkpoint(connection)
        assert head is not None
        path = prove_consistency(connection, old, head.size)
    return f"old {old}\n".encode() + _lines(path) + b"\n" + bytes(head.note)


def _lines(hashes: Sequence[bytes]) -> bytes:
    return b"".join(base64.b64encode(item) + b"\n" for item in hashes)
