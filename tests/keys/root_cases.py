"""Who may and who may not, for root keys."""

from __future__ import annotations

from subscription_services.kernel.actors import Role, TeamMember
from subscription_services.keys.operations.roots import CreateRoot, MoveRoot, create_root, move_root
from subscription_services.testing import Case, World, approving
from subscription_services.testing.cases import Act

NEW = "file:/run/keys/new-root.key"


def approved(world: World, asker: TeamMember, request: CreateRoot | MoveRoot) -> Act:
    """Somebody else has approved exactly this request."""
    wanted = create_root if isinstance(request, CreateRoot) else move_root
    approving.approved(world, asker, wanted.name, request)
    return asker, request


CASES = [
    Case(
        "keys.create_root",
        lambda w: approved(w, w.team(Role.ADMINISTRATOR), CreateRoot(NEW)),
        lambda w: (w.team(Role.ADMINISTRATOR), CreateRoot(NEW)),
    ),
    Case(
        "keys.move_root",
        lambda w: approved(w, w.team(Role.SECURITY), MoveRoot(NEW)),
        lambda w: (w.team(Role.SECURITY), MoveRoot(NEW)),
    ),
]
