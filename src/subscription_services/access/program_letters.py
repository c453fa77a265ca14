"""Letters about programs and about what nobody uses."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime

from sqlalchemy import select

from subscription_services.kernel.perform import Kernel
from subscription_services.kernel.transaction import ReadTransaction
from subscription_services.mail import Letter, LetterKind, SiteFacts, template

from . import accounts
from .model import service_account, token
from .use_model import disuse

Compose = Callable[[Kernel, SiteFacts, str, Mapping[str, str]], Awaitable[Letter | None]]
Facts = Callable[[ReadTransaction, SiteFacts, Mapping[str, str]], dict[str, str] | None]
_HELLO = template("Hello {name},")
_HOLDERS = {
    "acc": template("your account of the team"),
    "svc": template("the service account “{program}”, for which you answer,"),
    "tok": template("a token of the service account “{program}”, for which you answer,"),
}


def _letter(subject: str, text: str, facts: Facts) -> Compose:
    """`facts` gives what the texts name, or None where there is no longer a reason to write."""
    template(subject)
    template(text)

    async def compose(kernel: Kernel, site: SiteFacts, account: str, values: Mapping[str, str]) -> Letter | None:
        keys = kernel.keys.for_caller("access")

        def read(connection: object) -> tuple[str, str, dict[str, str]] | None:
            tx = ReadTransaction(connection, keys)  # type: ignore[arg-type]  # the store hands its own connection
            person = accounts.people(tx, [account])
            found = facts(tx, site, values)
            if not person or not person[0].open or found is None:
                return None
            return person[0].email, person[0].name, found

        ready = await kernel.store.read(read)
        if ready is None:
            return None
        address, name, named = ready
        body = f"{site.say(_HELLO, name=name)}\n\n{site.say(text, **named)}"
        return Letter(address, site.say(subject, **named), f"{body}\n\n{site.product}\n{site.contact}\n")

    return compose


def _program(tx: ReadTransaction, identifier: str) -> str:
    found = tx.connection.execute(select(service_account.c.name).where(service_account.c.id == identifier)).scalar()
    return str(found or identifier)


def _of(tx: ReadTransaction, site: SiteFacts, holder: str) -> dict[str, str]:
    """What it is about, in words, and where to look."""
    kind = holder.partition("_")[0]
    program, link = "", f"{site.public_url}/sign-in"
    if kind != "acc":
        owner = select(token.c.service_account).where(token.c.id == holder)
        account = holder if kind == "svc" else str(tx.connection.execute(owner).scalar())
        program, link = _program(tx, account), f"{site.public_url}/team/service-accounts/{account}"
    return {"what": site.say(_HOLDERS[kind], program=program), "program": program, "link": link}


def _handed(tx: ReadTransaction, site: SiteFacts, values: Mapping[str, str]) -> dict[str, str] | None:
    names = {item.id: item.name for item in accounts.people(tx, [values["from"], values["to"]])}
    link = f"{site.public_url}/team/service-accounts/{values['program']}"
    return {
        "program": _program(tx, values["program"]), "link": link, "who": names.get(values["to"], ""),
        "before": names.get(values["from"], ""),
    }  # fmt: skip


def _noticed(tx: ReadTransaction, site: SiteFacts, values: Mapping[str, str]) -> dict[str, str] | None:
    row = tx.connection.execute(select(disuse).where(disuse.c.holder == values["holder"])).one_or_none()
    if row is None:
        return None
    return {**_of(tx, site, values["holder"]), "since": _day(row.last_used_at), "end": _time(row.ends_at)}


def _ended(tx: ReadTransaction, site: SiteFacts, values: Mapping[str, str]) -> dict[str, str] | None:
    return _of(tx, site, values["holder"])


def _day(at: datetime) -> str:
    return f"{at:%Y-%m-%d}"


def _time(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"


PROGRAM_LETTERS: tuple[LetterKind, ...] = (
    LetterKind(
        "access.handed_over",
        _letter(
            "{who} answers for the service account “{program}” now",
            "the service account “{program}” was handed over from {before} to {who}, who answers for it from now on: "
            "what it may do, and that it ends when nobody needs it any more. When its owner leaves the team, it "
            "ends.\n\n{link}\n\nIf you do not know of it, ask an administrator.",
            _handed,
        ),
    ),
    LetterKind(
        "access.unused_noticed",
        _letter(
            "Not used for a long time: it ends on {end}",
            "{what} was not used since {since}. What nobody uses is a way in that nobody watches, so it will be "
            "deactivated on {end}, for good.\n\nIf it is still needed, use it before that. Otherwise nothing needs to "
            "be done.\n\n{link}",
            _noticed,
        ),
    ),
    LetterKind(
        "access.unused_reminded",
        _letter(
            "Last notice: not used, and it ends on {end}",
            "{what} was not used since {since} and will be deactivated on {end}, for good. This is the last letter "
            "before that.\n\nIf it is still needed, use it before that.\n\n{link}",
            _noticed,
        ),
    ),
    LetterKind(
        "access.unused_ended",
        _letter(
            "Deactivated, since nobody used it",
            "{what} was deactivated, since it was not used for a long time and nobody answered the two letters before. "
            "It does not come back; where it is needed after all, a new one is made.\n\n{link}",
            _ended,
        ),
    ),
    LetterKind(
        "access.unused_last_administrator",
        _letter(
            "You are the last administrator and have not signed in for a long time",
            "{what} was not used since {since}. It would be deactivated, but you are the last administrator, and "
            "without one nobody could manage the team. Please sign in, and make a second administrator.\n\n{link}",
            _noticed,
        ),
    ),
)
