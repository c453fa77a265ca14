"""What is only partly built is not claimed."""

from __future__ import annotations

from subscription_services import app, billing, identity
from subscription_services.testing import World


def test_a_promise_that_lacks_a_part_is_not_claimed(world: World) -> None:
    partial = {check.promise for check in (*identity.checks(), *billing.checks()) if check.missing}
    claimed = {check.promise for check in app.live_checks(world.house.store, world.house.log)}
    assert partial == {"comp.pci", "sub.billing"}
    assert not partial & claimed
    assert "auth.bcrypt" in claimed
