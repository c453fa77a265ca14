"""Approvals of other people, as they are recorded."""

from __future__ import annotations

from datetime import timedelta

import msgspec

from subscription_services.access import model
from subscription_services.kernel.actors import TeamMember
from subscription_services.kernel.authorise import digest
from subscription_services.testing import World
from subscription_services.testing.cases import Act


def approved(world: World, name: str, asker: TeamMember, request: msgspec.Struct) -> Act:
    """`asker` may now do exactly this once; returns both."""
    now = world.clock()
    operation = world.house.kernel.registry.get(name)
    assert operation is not None
    row = {
        "id": world.house.kernel.context(asker).ids.new("apr"), "digest": digest(operation, request),
        "operation": name, "requester": asker.id, "approver": "acc_other", "given_at": now,
        "expires_at": now + timedelta(hours=1),
    }  # fmt: skip
    world.write(lambda connection: connection.execute(model.approval.insert(), row))
    return asker, request
