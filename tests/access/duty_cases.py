"""Cases of what takes two people: releases, restores, and roles that somebody keeps."""

from __future__ import annotations

from subscription_services.access.operations.deployments import EndDeployment, ListDeployments, PermitDeployment
from subscription_services.access.operations.lost_keys import AgreeToRestore, RestoreLostKeys
from subscription_services.access.operations.people import ConfirmRole
from subscription_services.kernel.actors import Role
from subscription_services.testing import Case, World, approving
from subscription_services.testing.cases import Act

DIGEST = "ab" * 32


def _agreed(world: World) -> Act:
    first, second = world.team(Role.OPERATIONS), world.team(Role.SECURITY)
    world.do("access.agree_to_restore", second, AgreeToRestore(DIGEST, first.id))
    return first, RestoreLostKeys(DIGEST, world.clock(), second.id)


def _alone_beside_others(world: World) -> Act:
    world.team(Role.SECURITY)
    return world.team(Role.OPERATIONS), RestoreLostKeys(DIGEST, world.clock())


RELEASE = PermitDeployment("ab" * 32, "1.2.0", "example.org")


def _permitting(world: World) -> Act:
    who = world.team(Role.OPERATIONS)
    approving.approved(world, who, "access.permit_deployment", RELEASE)
    return who, RELEASE


def _permit(world: World) -> EndDeployment:
    return EndDeployment(str(world.do("access.permit_deployment", *_permitting(world)).id))


def _moved(world: World) -> ConfirmRole:
    """A role that lapses since its holder has another one."""
    boss, member = world.team(Role.ADMINISTRATOR), world.team()
    old = approving.give_role(world, boss, member.id, Role.SUPPORT)
    approving.give_role(world, boss, member.id, Role.BILLING)
    return ConfirmRole(old.id, "does both")


CASES = [
    Case("access.permit_deployment", _permitting, lambda w: (w.team(Role.OPERATIONS), RELEASE)),
    Case(
        "access.end_deployment",
        lambda w: (w.team(Role.SECURITY), _permit(w)),
        lambda w: (w.team(Role.SUPPORT), _permit(w)),
    ),
    Case(
        "access.deployments",
        lambda w: (w.team(Role.AUDITOR), ListDeployments()),
        lambda w: (w.team(Role.SUPPORT), ListDeployments()),
    ),
    Case(
        "access.confirm_role",
        lambda w: (w.team(Role.ADMINISTRATOR), _moved(w)),
        lambda w: (w.team(Role.SECURITY), _moved(w)),
    ),
    Case(
        "access.agree_to_restore",
        lambda w: (w.team(Role.SECURITY), AgreeToRestore(DIGEST, w.team(Role.OPERATIONS).id)),
        lambda w: (w.team(Role.AUDITOR), AgreeToRestore(DIGEST, w.team(Role.OPERATIONS).id)),
    ),
    Case("access.restore_lost_keys", _agreed, _alone_beside_others),
]
