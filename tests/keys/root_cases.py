"""Who may and who may not, for root keys."""

from __future__ import annotations

from datetime import timedelta

from subscription_services.access import model
from subscription_services.kernel.actors import Role, TeamMember
from subscription_services.kernel.authorise import digest
from subscription_services.keys.operations.roots import AgreeToRoot, CreateRoot, MoveRoot, create_root, move_root
from subscription_services.testing import Case, World
from subscription_services.testing.cases import Act

NEW = "file:/run/keys/new-root.key"


def approved(world: World, asker: TeamMember, request: CreateRoot | MoveRoot) -> Act:
    """As the approvals of other people are recorded."""
    now = world.clock()
    wanted = create_root if isinstance(request, CreateRoot) else move_root
    row = {
        "id": f"apr_{wanted.name}", "digest": digest(wanted, request), "operation": wanted.name,
        "requester": asker.id, "approver": "acc_other", "given_at": now, "expires_at": now + timedelta(hours=1),
    }  # fmt: skip
    world.write(lambda connection: connection.execute(model.approval.insert(), row))
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
    Case(
        "keys.agree_to_root",
        lambda w: (w.team(Role.OPERATIONS), AgreeToRoot("ab" * 32)),
        lambda w: (w.team(Role.SUPPORT), AgreeToRoot("ab" * 32)),
    ),
]
