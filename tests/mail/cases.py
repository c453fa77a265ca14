"""For each operation of the room: somebody who may, and somebody who may not."""

from __future__ import annotations

from sqlalchemy import update

from subscription_services.jobs.model import job
from subscription_services.kernel.actors import Role
from subscription_services.kernel.ports import Writer
from subscription_services.mail import SendLetter
from subscription_services.mail.operations import ListLetters, RecordLetter, RetryLetter
from subscription_services.testing import Case, World

RECORD = RecordLetter("job_1", "test.hello", "acc_ada", 1)


def _given_up(world: World) -> str:
    """A letter that was given up."""
    now = world.clock()
    outbox, store = world.house.outbox, world.house.store
    letter = SendLetter("test.unknown", "acc_ada")
    name: str = world.run(store.write(Writer.OUTBOX, lambda c: outbox.add(c, letter, now=now, run_at=None, key=None)))
    ended = update(job).where(job.c.id == name).values(given_up_at=now)
    world.run(store.write(Writer.OUTBOX, lambda c: c.execute(ended)))
    return name


CASES = [
    *(
        Case(
            f"mail.record_{state}",
            lambda w: (w.system("mail.send"), RECORD),
            lambda w: (w.team(Role.OPERATIONS), RECORD),
        )
        for state in ("sent", "failed", "not_needed")
    ),
    Case(
        "mail.queue", lambda w: (w.team(Role.SUPPORT), ListLetters()), lambda w: (w.team(Role.BILLING), ListLetters())
    ),
    Case(
        "mail.retry",
        lambda w: (w.team(Role.OPERATIONS), RetryLetter(_given_up(w))),
        lambda w: (w.team(Role.SUPPORT), RetryLetter(_given_up(w))),
    ),
]
