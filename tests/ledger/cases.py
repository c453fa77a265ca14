"""For each operation of the room: somebody who may, and somebody who may not."""

from __future__ import annotations

from subscription_services.kernel.actors import Role
from subscription_services.ledger import pages
from subscription_services.ledger import retention as r
from subscription_services.ledger.adoption import AdoptCheckpoint
from subscription_services.ledger.checks import ProbeRetention
from subscription_services.ledger.publish import signed_size
from subscription_services.ledger.queries import newest_checkpoint
from subscription_services.ledger.sequencer import sequence
from subscription_services.ledger.tiles import bundle_path
from subscription_services.testing import Case, World

KEEP = r.KeepFor(400)
PRUNE = r.Prune()
HOLD = r.PlaceHold(subject="acc_1", reason="A claim was announced.")


def _released(world: World) -> r.ReleaseHold:
    """A request to release a hold that somebody else placed."""
    placed = world.do(r.place_hold, world.team(Role.SECURITY), HOLD)
    return r.ReleaseHold(placed.id, "The claim was settled.")


def _bundle(world: World) -> pages.ReadBundle:
    """The path of a bundle that is signed."""
    world.run(sequence(world.house.store, world.house.log, world.clock))
    with world.house.store.reading() as connection:
        return pages.ReadBundle(bundle_path(0, signed_size(connection)))


def _head(world: World) -> AdoptCheckpoint:
    """The newest signed checkpoint."""
    world.run(sequence(world.house.store, world.house.log, world.clock))
    with world.house.store.reading() as connection:
        row = newest_checkpoint(connection)
    assert row is not None
    return AdoptCheckpoint(row.size, row.root.hex(), "The machine was replaced.")


CASES = [
    Case("ledger.adopt", lambda w: (w.team(Role.SECURITY), _head(w)), lambda w: (w.team(Role.AUDITOR), _head(w))),
    Case("ledger.bundle", lambda w: (w.team(Role.AUDITOR), _bundle(w)), lambda w: (w.team(Role.SUPPORT), _bundle(w))),
    Case("ledger.keep_for", lambda w: (w.system("app.prepare"), KEEP), lambda w: (w.team(*Role), KEEP)),
    Case(
        "ledger.probe_retention",
        lambda w: (w.system("ledger.checks"), ProbeRetention()),
        lambda w: (w.team(*Role), ProbeRetention()),
    ),
    Case("ledger.prune", lambda w: (w.system("ledger.retention"), PRUNE), lambda w: (w.team(*Role), PRUNE)),
    Case("ledger.hold", lambda w: (w.team(Role.SECURITY), HOLD), lambda w: (w.team(Role.ADMINISTRATOR), HOLD)),
    Case(
        "ledger.release",
        lambda w: (w.team(Role.SECURITY), _released(w)),
        lambda w: (w.team(Role.AUDITOR), _released(w)),
    ),
    Case("ledger.holds", lambda w: (w.team(Role.AUDITOR), r.ReadHolds()), lambda w: (w.subscriber(), r.ReadHolds())),
]
