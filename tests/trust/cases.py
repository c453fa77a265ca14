"""For each operation of the room: somebody who may, and somebody who may not."""

from __future__ import annotations

from subscription_services.kernel.actors import Anonymous, Role
from subscription_services.testing import Case, World
from subscription_services.trust import operations as o

RUN = o.RecordRun("transit.tls13", "kept", "All is well.", 1)
DECLARE = o.DeclareChecks([o.DeclaredCheck("transit.tls13", "We look.", 300)])


def _recorded(world: World) -> str:
    """The id of a run."""
    return str(world.do(o.record_run, world.system("trust.checks"), RUN).id)


CASES = [
    Case(
        "trust.declare_checks",
        lambda w: (w.system("trust.checks"), DECLARE),
        lambda w: (w.team(Role.ADMINISTRATOR), DECLARE),
    ),
    Case("trust.record_run", lambda w: (w.system("trust.checks"), RUN), lambda w: (w.team(Role.ADMINISTRATOR), RUN)),
    Case("trust.status", lambda w: (Anonymous(), o.ReadStatus()), None),
    Case("trust.runs", lambda w: (Anonymous(), o.ReadRuns("transit.tls13")), None),
    Case("trust.proof", lambda w: (Anonymous(), o.ReadProof(_recorded(w))), None),
]
