"""What leaves the service about a person: an exported log and a backup of the keys hold none of what they typed."""

from __future__ import annotations

from pathlib import Path

from subscription_services.identity.operations.profile import ChangeName
from subscription_services.kernel.actors import Role
from subscription_services.ledger import sequence
from subscription_services.ledger.export import export
from subscription_services.testing import World
from subscription_services.trust.canary import KEY_BACKUPS, encodings, search_files
from tests.ledger.served import client

ADDRESS, NAME = "canaryaddress@example.org", "Canaryname Example"


def test_exports_hold_nothing_that_was_typed(world: World, tmp_path: Path) -> None:
    person = world.subscriber(ADDRESS)
    world.do("identity.change_name", person, ChangeName(NAME), idempotency_key="once")
    world.house.ring.for_caller("keys").backup()
    auditor = world.team(Role.AUDITOR)
    world.run(sequence(world.house.store, world.house.log, world.clock))
    folder = tmp_path / "export"
    folder.mkdir()
    done = export(client(world, auditor), folder)
    assert done.checkpoint.size > 3
    entries = b"".join(path.read_bytes() for path in (folder / "tile" / "entries").rglob("*") if path.is_file())
    assert b"identity.change_name" in entries and person.id.encode() in entries
    copies = Path(world.house.ring.for_caller("keys").backups().place)
    for text in (ADDRESS, ADDRESS.partition("@")[0], NAME, "127.0.0.9"):
        for place in (folder, copies):
            assert search_files(place, encodings(text)).found == ()
    assert search_files(copies, encodings(NAME)).copies == len(list(copies.glob(KEY_BACKUPS))) == 1
    (folder / "spilled").write_bytes(NAME.encode("utf-16-le"))
    assert search_files(folder, encodings(NAME)).found == ("spilled (UTF-16)",)
