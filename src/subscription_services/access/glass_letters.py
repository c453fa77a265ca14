"""Letters of the sealed second way: each says what happened and leads to the page; none holds a secret."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select

from subscription_services.kernel.errors import NotFound
from subscription_services.kernel.transaction import ReadTransaction
from subscription_services.kernel.words import as_words, words
from subscription_services.mail import LetterKind

from .approval_queries import names_of
from .glass import glass_row
from .glass_model import seal
from .letter_parts import Occasion, letter, moment
from .task_model import task

PAGE = "/team/glass"


def _facts(tx: ReadTransaction, occasion: Occasion) -> dict[str, Any] | None:
    """{who}, {what}, {until}, {due}, {link}; None when there is nothing to write about."""
    values = occasion.values
    if "glass" in values:
        try:
            row = glass_row(tx, values["glass"])
        except NotFound:
            return None
        lent = tx.connection.execute(select(task).where(task.c.id == row.task)).one()
        role = as_words(lent.role)
        whole = lent.operations == "[]"
        what = words("the role %(role)s", role=role) if whole else words("operations of the role %(role)s", role=role)
        found = {"who": row.account, "what": what, "until": moment(row.ends_at), "due": moment(row.due_at),
                 "over": row.closed_at is not None, "link": occasion.link(f"{PAGE}/{row.id}")}  # fmt: skip
    elif "seal" in values:
        sealed = tx.connection.execute(select(seal).where(seal.c.id == values["seal"])).one_or_none()
        if sealed is None:
            return None
        found = {"who": sealed.tested_by or sealed.sealed_by, "link": occasion.link(PAGE), "over": False}
    else:
        found = {"who": values["who"], "link": occasion.link(PAGE), "over": False}
    return found | {"who": names_of(tx, [found["who"]]).get(found["who"], found["who"])}


def _while_open(tx: ReadTransaction, occasion: Occasion) -> dict[str, Any] | None:
    found = _facts(tx, occasion)
    return None if found is None or found["over"] else found


def _letter(name: str, subject: str, text: str, *, while_open: bool = False) -> LetterKind:
    return letter(name, subject, text, _while_open if while_open else _facts)


GLASS_LETTERS: tuple[LetterKind, ...] = (
    _letter(
        "access.glass_broken", "CRITICAL: {who} broke the glass",
        "{who} used the sealed code and is lent {what} until {until}, without anybody's consent. This is for "
        "emergencies when nobody else is there.\n\nIf you do not know of an emergency, call the person now. "
        "Administrators and security can end the access here, and somebody independent has to close the review by "
        "{due}:\n\n{link}",
    ),
    _letter(
        "access.glass_wrong_code", "ALARM: {who} tried a wrong sealed code",
        "somebody signed in as {who} typed a code that is not the sealed one. Nothing was lent. Call the person: if it "
        "was not they, deactivate the account at once.\n\n{link}",
    ),
    _letter(
        "access.glass_sealed", "A new sealed code was made",
        "{who} made a new code that breaks the glass, with the approval of somebody else. The earlier one opens "
        "nothing any more: take it out of its envelope and destroy it.\n\n{link}",
    ),
    _letter(
        "access.glass_tested", "The sealed code was tested",
        "{who} opened the envelope and saw that the sealed code is right. Who tests it has read it: seal a new one if "
        "that was not agreed.\n\n{link}",
    ),
    _letter(
        "access.glass_review_waits", "A broken glass has not been reviewed: {who}",
        "{who} broke the glass and was lent {what} until {until}. Nobody has closed the review yet; it is due {due}."
        "\n\nRead what was done, and close it:\n\n{link}", while_open=True,
    ),
    _letter(
        "access.glass_closed", "The review of a broken glass is closed: {who}",
        "the review of what {who} did when they broke the glass is closed. Who closed it and what was found:\n\n{link}",
    ),
)  # fmt: skip
