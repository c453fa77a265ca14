"""The same for the sealed second way."""

from __future__ import annotations

from subscription_services.access.glass_model import GlassVerdict
from subscription_services.access.operations.glass import (
    BreakGlass,
    CloseGlassReview,
    LookAtGlass,
    OneGlass,
    RemindOfGlassReviews,
    SealGlass,
    TryGlass,
)
from subscription_services.access.operations.probing import LendToProbe
from subscription_services.access.operations.tasks import EndTask, OneTask
from subscription_services.access.tasks import About
from subscription_services.identity.operations.sign_up import CreateProbe
from subscription_services.kernel.actors import Role, TeamMember
from subscription_services.testing import Case, World, approving
from subscription_services.testing.people import PASSWORD


def _may_seal(world: World) -> TeamMember:
    boss = world.team(Role.ADMINISTRATOR)
    approving.approved(world, boss, "access.seal_glass", SealGlass())
    return boss


def _code(world: World) -> str:
    return str(world.do("access.seal_glass", _may_seal(world), SealGlass()).code)


def _break(world: World) -> BreakGlass:
    return BreakGlass(_code(world), "Nobody answers, mail is down", About.INCIDENT, "inc-7", Role.OPERATIONS, 30)


def _broken(world: World) -> str:
    return str(world.do("access.break_glass", world.team(Role.OPERATIONS), _break(world)).id)


def _close(world: World) -> CloseGlassReview:
    identifier = _broken(world)
    lent = world.do("access.glass_record", world.team(Role.AUDITOR), OneGlass(identifier)).broken.task
    world.do("access.revoke_task", world.team(Role.SECURITY), EndTask(lent.id, "no emergency"))
    return CloseGlassReview(identifier, GlassVerdict.WRONG, "Nobody had been asked before.")


def _lent(world: World) -> OneTask:
    probe = world.do("identity.create_probe", world.system("x"), CreateProbe("p@probe.test", "Probe", PASSWORD, True))
    return OneTask(world.do("access.lend_to_probe", world.system("x"), LendToProbe(probe.id)).id)


GLASS = [
    Case(
        "access.lend_to_probe",
        lambda w: (
            w.system("access.checks"),
            LendToProbe(
                w.do("identity.create_probe", w.system("x"), CreateProbe("p@probe.test", "Probe", PASSWORD, True)).id
            ),
        ),
        lambda w: (w.team(Role.ADMINISTRATOR), LendToProbe(w.team().id)),
    ),
    Case(
        "access.take_from_probe",
        lambda w: (w.system("access.checks"), _lent(w)),
        lambda w: (w.team(Role.ADMINISTRATOR), _lent(w)),
    ),
    Case(
        "access.seal_glass",
        lambda w: (_may_seal(w), SealGlass()),
        lambda w: (w.team(Role.ADMINISTRATOR), SealGlass()),
    ),
    Case(
        "access.try_glass",
        lambda w: (w.team(Role.SECURITY), TryGlass(_code(w))),
        lambda w: (w.team(Role.OPERATIONS), TryGlass(_code(w))),
    ),
    Case(
        "access.break_glass",
        lambda w: (w.team(Role.OPERATIONS), _break(w)),
        lambda w: (w.team(Role.SUPPORT), _break(w)),
    ),
    Case(
        "access.close_glass_review",
        lambda w: (w.team(Role.ADMINISTRATOR), _close(w)),
        lambda w: (w.team(Role.OPERATIONS), _close(w)),
    ),
    Case("access.glass", lambda w: (w.team(Role.SUPPORT), LookAtGlass()), lambda w: (w.team(), LookAtGlass())),
    Case(
        "access.glass_record",
        lambda w: (w.team(Role.AUDITOR), OneGlass(_broken(w))),
        lambda w: (w.team(Role.OPERATIONS), OneGlass(_broken(w))),
    ),
    Case(
        "access.remind_of_glass",
        lambda w: (w.system("access.glass"), RemindOfGlassReviews()),
        lambda w: (w.team(Role.ADMINISTRATOR), RemindOfGlassReviews()),
    ),
]
