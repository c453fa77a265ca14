"""Letters about programs and about what nobody uses."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select

from subscription_services.kernel.transaction import ReadTransaction
from subscription_services.mail import LetterKind, template

from . import accounts
from .letter_parts import Occasion, letter, moment
from .model import service_account, token
from .use_model import disuse

_HOLDERS = {
    "acc": template("your account of the team"),
    "svc": template("the service account “{program}”, for which you answer,"),
    "tok": template("a token of the service account “{program}”, for which you answer,"),
}


def _program(tx: ReadTransaction, identifier: str) -> str:
    found = tx.connection.execute(select(service_account.c.name).where(service_account.c.id == identifier)).scalar()
    return str(found or identifier)


def _of(tx: ReadTransaction, occasion: Occasion, holder: str) -> dict[str, str]:
    """What it is about, in words, and where to look."""
    kind = holder.partition("_")[0]
    program, link = "", occasion.link("/sign-in")
    if kind != "acc":
        owner = select(token.c.service_account).where(token.c.id == holder)
        account = holder if kind == "svc" else str(tx.connection.execute(owner).scalar())
        program, link = _program(tx, account), occasion.link(f"/team/service-accounts/{account}")
    return {"what": occasion.site.say(_HOLDERS[kind], program=program), "program": program, "link": link}


def _handed(tx: ReadTransaction, occasion: Occasion) -> dict[str, str] | None:
    values = occasion.values
    names = {item.id: item.name for item in accounts.people(tx, [values["from"], values["to"]])}
    link = occasion.link(f"/team/service-accounts/{values['program']}")
    return {
        "program": _program(tx, values["program"]), "link": link, "who": names.get(values["to"], ""),
        "before": names.get(values["from"], ""),
    }  # fmt: skip


def _noticed(tx: ReadTransaction, occasion: Occasion) -> dict[str, str] | None:
    row = tx.connection.execute(select(disuse).where(disuse.c.holder == occasion.values["holder"])).one_or_none()
    if row is None:
        return None
    return {**_of(tx, occasion, occasion.values["holder"]), "since": _day(row.last_used_at), "end": moment(row.ends_at)}


def _ended(tx: ReadTransaction, occasion: Occasion) -> dict[str, str] | None:
    return _of(tx, occasion, occasion.values["holder"])


def _day(at: datetime) -> str:
    return f"{at:%Y-%m-%d}"


PROGRAM_LETTERS: tuple[LetterKind, ...] = (
    letter(
        "access.handed_over",
        "{who} answers for the service account “{program}” now",
        "the service account “{program}” was handed over from {before} to {who}, who answers for it from now on: "
        "what it may do, and that it ends when nobody needs it any more. When its owner leaves the team, it "
        "ends.\n\n{link}\n\nIf you do not know of it, ask an administrator.",
        _handed,
    ),
    letter(
        "access.unused_noticed",
        "Not used for a long time: it ends on {end}",
        "{what} was not used since {since}. What nobody uses is a way in that nobody watches, so it will be "
        "deactivated on {end}, for good.\n\nIf it is still needed, use it before that. Otherwise nothing needs to "
        "be done.\n\n{link}",
        _noticed,
    ),
    letter(
        "access.unused_reminded",
        "Last notice: not used, and it ends on {end}",
        "{what} was not used since {since} and will be deactivated on {end}, for good. This is the last letter "
        "before that.\n\nIf it is still needed, use it before that.\n\n{link}",
        _noticed,
    ),
    letter(
        "access.unused_ended",
        "Deactivated, since nobody used it",
        "{what} was deactivated, since it was not used for a long time and nobody answered the two letters before. "
        "It does not come back; where it is needed after all, a new one is made.\n\n{link}",
        _ended,
    ),
    letter(
        "access.unused_last_administrator",
        "You are the last administrator and have not signed in for a long time",
        "{what} was not used since {since}. It would be deactivated, but you are the last administrator, and "
        "without one nobody could manage the team. Please sign in, and make a second administrator.\n\n{link}",
        _noticed,
    ),
)
