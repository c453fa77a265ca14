"""The letters that would go to an address: composed by the real job's parts, in place of a mail server."""

from __future__ import annotations

import msgspec
from sqlalchemy import select

from subscription_services.identity.letters import LETTERS
from subscription_services.jobs.model import job
from subscription_services.mail import Letter, SendLetter, SiteFacts
from subscription_services.testing import World

SITE = SiteFacts("https://localhost:8443", "Subscription Services", "support@example.org")
_KINDS = {kind.name: kind for kind in LETTERS}
_MARK = "_letters_composed"


def letters_to(world: World, address: str) -> list[Letter]:
    """Every letter to the address so far, in the order of the outbox; each is composed once, as it stands then."""
    done: dict[str, Letter | None] = world.__dict__.setdefault(_MARK, {})
    with world.house.store.reading() as connection:
        rows = connection.execute(select(job.c.id, job.c.payload).where(job.c.kind == "mail.send").order_by(job.c.id))
        waiting = [(row.id, msgspec.json.decode(row.payload, type=SendLetter)) for row in rows]
    for identifier, wanted in waiting:
        kind = _KINDS.get(wanted.letter)
        if identifier not in done and kind is not None:
            done[identifier] = world.run(kind.compose(world.house.kernel, SITE, wanted.account, wanted.values))
    return [
        letter for identifier, _ in waiting if (letter := done.get(identifier)) is not None and letter.to == address
    ]
