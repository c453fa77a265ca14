"""A case for each operation about what roles may do here, and who can do what and why."""

from __future__ import annotations

from typing import Any

from subscription_services.access.operations.explaining import AskWhatCan, AskWhoCan
from subscription_services.access.operations.foresight import Foresee, RoleLoses
from subscription_services.access.operations.role_limits import ListLimits, NarrowRole, ResetLimits, WidenRole
from subscription_services.kernel.actors import Role
from subscription_services.testing import Case, World, approving
from subscription_services.testing.cases import Act

NARROW = NarrowRole(Role.BILLING, ["billing.refund"], "nobody needs it")
WIDEN = WidenRole(Role.BILLING, ["billing.refund"], "needed after all")
RESET = ResetLimits("forged")
FORESEE = Foresee([], [RoleLoses(Role.BILLING, ["billing.refund"])])


def _widen(world: World, name: str, request: Any) -> Act:
    """Somebody else approved that what was taken is given back."""
    boss = world.team(Role.ADMINISTRATOR)
    world.do("access.narrow_role", boss, NARROW)
    approving.approved(world, boss, name, request)
    return boss, request


LIMITS = [
    Case(
        "access.narrow_role",
        lambda w: (w.team(Role.ADMINISTRATOR), NARROW),
        lambda w: (w.team(Role.SECURITY), NARROW),
    ),
    Case(
        "access.widen_role",
        lambda w: _widen(w, "access.widen_role", WIDEN),
        lambda w: (w.team(Role.ADMINISTRATOR), WIDEN),
    ),
    Case(
        "access.reset_role_limits",
        lambda w: _widen(w, "access.reset_role_limits", RESET),
        lambda w: (w.team(Role.ADMINISTRATOR), RESET),
    ),
    Case(
        "access.role_limits",
        lambda w: (w.team(Role.AUDITOR), ListLimits()),
        lambda w: (w.team(Role.BILLING), ListLimits()),
    ),
    Case(
        "access.what_can",
        lambda w: (w.team(Role.SECURITY), AskWhatCan(w.team().id)),
        lambda w: (w.team(Role.SUPPORT), AskWhatCan(w.team().id)),
    ),
    Case(
        "access.who_can",
        lambda w: (w.team(Role.AUDITOR), AskWhoCan("access.grant_role")),
        lambda w: (w.team(Role.OPERATIONS), AskWhoCan("access.grant_role")),
    ),
    Case("access.foresee", lambda w: (w.team(Role.SECURITY), FORESEE), lambda w: (w.team(Role.BILLING), FORESEE)),
]
