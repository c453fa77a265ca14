"""After a data key was compromised: new keys, every field sealed anew, the old keys closed to all but the log."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import String, select

from subscription_services.kernel import idempotency
from subscription_services.kernel.actors import Role, Subscriber
from subscription_services.kernel.errors import ApprovalNeeded, Conflict, Invalid, KeyPolicyRefused
from subscription_services.kernel.model import metadata
from subscription_services.keys import KeyInUse, SubjectErased
from subscription_services.keys.operations.reencryption import (
    Continue,
    DiscardVersion,
    Position,
    ReadReencryptions,
    Reencrypt,
    Reencryption,
    Step,
)
from subscription_services.keys.places import Cell, places, seal_anew
from subscription_services.keys.reencrypting import reencrypt_on
from subscription_services.keys.tables import Phase
from subscription_services.ledger.model import event as ledger_event
from subscription_services.storage.sealed import sealed_columns
from subscription_services.testing import World

from .approving import approved


def cells(world: World, purpose: str = "subject", subject: str = "") -> list[Cell]:
    with world.house.store.reading() as connection:
        return [cell for place in places(purpose) for cell in place.read(connection, subject, "", 10_000)[0]]


def finish(world: World) -> None:
    world.run_jobs()
    world.clock.advance(seconds=61)
    world.run_jobs()


def newest(world: World, member: Any) -> Reencryption:
    found: Reencryption = world.do("keys.reencryptions", member, ReadReencryptions()).items[0]
    return found


def opened(world: World, cell: Cell, caller: str) -> bytes:
    keys = world.house.ring.for_caller(caller)
    return keys.unseal(cell.subject, cell.seal_id, cell.identity, cell.sealed)


def log_bytes(world: World) -> list[bytes]:
    with world.house.store.reading() as connection:
        return list(connection.execute(select(ledger_event.c.payload).order_by(ledger_event.c.id)).scalars())


def test_every_place_that_seals_is_walked() -> None:
    walked = {place.name for purpose in ("subject", "accounting") for place in places(purpose)}
    sealing = {table.name for table in metadata.tables.values() if sealed_columns(table)}
    assert sealing - walked == {"ledger_hold"}
    assert walked - sealing == {"kernel_idempotency"}
    for table in metadata.tables.values():
        if table.name in walked & sealing:
            (key,) = table.primary_key.columns
            assert isinstance(key.type, String)
            assert len({seal_id.partition(".")[0] for seal_id in sealed_columns(table).values()}) == 1


def test_one_persons_values_are_sealed_anew_and_nobody_elses(world: World) -> None:
    member, person, other = world.team(Role.SECURITY), world.subscriber(), world.subscriber()
    before = {(c.seal_id, c.row): c.sealed for c in cells(world)}
    texts = {(c.seal_id, c.row): opened(world, c, "identity") for c in cells(world, subject=person.id)}
    log_before = log_bytes(world)
    started = world.do("keys.reencrypt", member, Reencrypt(person.id))
    assert (started.phase, started.renewed) == (Phase.RENEWING, 1)
    old = [cell for cell in cells(world, subject=person.id) if cell.version == 1]
    assert old
    finish(world)
    done = newest(world, member)
    assert (done.phase, done.sealed, done.unreadable, done.closed) == (Phase.DONE, len(old), 0, 1)
    assert done.finished_at == world.clock()
    mine = cells(world, subject=person.id)
    assert {cell.version for cell in mine} == {2}
    assert {(c.seal_id, c.row): opened(world, c, "identity") for c in mine if (c.seal_id, c.row) in texts} == texts
    for cell in cells(world):
        if cell.subject == other.id:
            assert cell.sealed == before[cell.seal_id, cell.row]
    assert set(log_before) <= set(log_bytes(world))
    with pytest.raises(KeyPolicyRefused):
        opened(world, old[0], "identity")
    assert opened(world, old[0], "ledger")


def test_all_of_a_purpose_with_people_coming_and_going(world: World) -> None:
    member = world.team(Role.ADMINISTRATOR)
    people = [world.subscriber() for _ in range(3)]
    world.house.ring.for_caller("privacy").destroy_subject(people[1].id, "asked for it")
    started = world.do("keys.reencrypt", member, Reencrypt())
    late = world.subscriber()
    finish(world)
    done = newest(world, member)
    assert (done.id, done.phase, done.unreadable) == (started.id, Phase.DONE, 0)
    assert done.renewed >= 3
    for cell in cells(world):
        if cell.subject in {people[0].id, people[2].id, member.id}:
            assert cell.version == 2
        elif cell.subject == late.id:
            assert cell.version in (1, 2)
            assert opened(world, cell, "identity" if cell.seal_id.startswith("identity") else "kernel")


def test_it_goes_on_where_it_was_and_two_workers_do_no_harm(world: World) -> None:
    member, person = world.team(Role.SECURITY), world.subscriber()
    started = world.do("keys.reencrypt", member, Reencrypt(person.id))
    stale = Step(started.id, Position(Phase.RENEWING), Position(Phase.DONE))
    kernel = world.house.kernel
    world.run(reencrypt_on(kernel, Continue(started.id)))
    with pytest.raises(Conflict):
        world.do("keys.reencrypt_step", world.system(), stale)
    world.clock.advance(seconds=61)

    async def both() -> None:
        import asyncio

        await asyncio.gather(*(reencrypt_on(kernel, Continue(started.id)) for _ in range(3)))

    world.run(both())
    finish(world)
    assert newest(world, member).phase is Phase.DONE
    assert {cell.version for cell in cells(world, subject=person.id)} == {2}


def test_a_value_written_meanwhile_is_not_overwritten(world: World) -> None:
    person = world.subscriber()
    cell = next(c for c in cells(world, subject=person.id) if c.seal_id == "identity.account.name")
    keys = world.house.ring.for_caller("identity")
    world.house.ring.for_caller("keys").renew("r1", [person.id])
    anew, _ = seal_anew(keys, [cell])
    meanwhile = keys.seal(person.id, cell.seal_id, cell.identity, b"New Name")
    place = next(place for place in places("subject") if place.name == "identity_account")
    assert world.write(lambda c: place.replace(c, cell.row, cell.column, cell.sealed, meanwhile))
    assert not world.write(lambda c: place.replace(c, cell.row, cell.column, cell.sealed, anew[0][1]))
    found = next(c for c in cells(world, subject=person.id) if c.seal_id == "identity.account.name")
    assert opened(world, found, "identity") == b"New Name"


def test_kept_answers_are_sealed_anew(world: World) -> None:
    member, person = world.team(Role.SECURITY), world.subscriber()
    world.do("keys.reencrypt", member, Reencrypt(person.id), idempotency_key="once")
    finish(world)
    kept = [cell for cell in cells(world, subject=person.id) if cell.seal_id == idempotency.SEAL_ID]
    assert kept
    assert {cell.version for cell in kept} == {2}
    again = world.do("keys.reencrypt", member, Reencrypt(person.id), idempotency_key="once")
    assert again.phase is Phase.RENEWING


def test_a_replaced_version_is_destroyed_by_two_people_and_only_when_closed(world: World) -> None:
    member, person = world.team(Role.SECURITY), world.subscriber()
    old = cells(world, subject=person.id)[0]
    world.do("keys.reencrypt", member, Reencrypt(person.id))
    finish(world)
    with pytest.raises(ApprovalNeeded):
        world.do("keys.discard_version", member, DiscardVersion(person.id, 1))
    assert opened(world, old, "ledger")
    with pytest.raises(KeyInUse):
        world.do("keys.discard_version", *approved(world, "keys.discard_version", member, DiscardVersion(person.id, 2)))
    world.do("keys.discard_version", *approved(world, "keys.discard_version", member, DiscardVersion(person.id, 1)))
    with pytest.raises(SubjectErased):
        opened(world, old, "ledger")
    assert all(opened(world, cell, "ledger") for cell in cells(world, subject=person.id))


def test_what_cannot_be_is_refused(world: World) -> None:
    member = world.team(Role.SECURITY)
    assert isinstance(world.subscriber(), Subscriber)
    with pytest.raises(Invalid):
        world.do("keys.reencrypt", member, Reencrypt("acc_nobody"))
    with pytest.raises(Invalid):
        world.do("keys.reencrypt", member, Reencrypt("", "ledger.checkpoint"))
