"""Letters of this room: somebody asks, somebody decided. The letter that enrols an invited person is identity's.

They say who, what operation and when, and lead to the page; the words themselves, which may be personal, stay there.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, Row

from subscription_services.kernel.errors import NotFound
from subscription_services.kernel.perform import Kernel
from subscription_services.kernel.transaction import ReadTransaction
from subscription_services.kernel.words import as_words, words
from subscription_services.mail import Letter, LetterKind, SiteFacts, template

from . import accounts, catalogue
from .approval_queries import names_of, request_row
from .limit_letters import LIMIT_LETTERS
from .operations.approvals import SECURITY_CONTACT
from .program_letters import PROGRAM_LETTERS
from .queries import grant_row
from .tasks import task_row

Compose = Callable[[Kernel, SiteFacts, str, Mapping[str, str]], Awaitable[Letter | None]]
Find = Callable[[ReadTransaction, str], Row[Any]]
HELLO = template("Hello {name},")
_CONTACT = words("security contact")
_UNMASKED_SUBJECT = template("Somebody of our team looked at data of yours")
_UNMASKED = template(
    "our team sees your address, name or billing address only in part. Today somebody had one of them shown. Who of us "
    "does that says why. What was shown, when and the reason stand here:\n\n{link}\n\nIf you did not ask us for help "
    "and the reason makes no sense to you, write to us."
)
_PAGES = {"request": "approvals", "task": "tasks"}
_RESTORED_SUBJECT = template("{who} put a backup of the keys in place, alone")
_RESTORED = template(
    "{who} put a backup of the keys in place of a store that was lost, at the terminal. That takes two people; nobody "
    "else could have agreed, and nothing could run until it was done. If you do not know of it, call the person and "
    "look at the log:\n\n{link}"
)
_LATER = timedelta(days=1)


def _letter(key: str, find: Find, who: str, subject: str, text: str, *, while_open: bool = True) -> Compose:
    """A letter about the row that `values[key]` names. Texts may use {who}, {what}, {until}, {from}, {link}.

    `while_open` says that there is no reason to write once the row has ended."""
    template(subject)
    template(text)

    async def compose(kernel: Kernel, site: SiteFacts, account: str, values: Mapping[str, str]) -> Letter | None:
        keys, now = kernel.keys.for_caller("access"), kernel.clock()

        def read(connection: object) -> tuple[str, str, dict[str, str]] | None:
            tx = ReadTransaction(connection, keys)  # type: ignore[arg-type]  # the store hands its own connection
            try:
                row = find(tx, values[key])
            except NotFound:
                return None
            if while_open and (row.ended_at is not None or (_ends(row) or now + _LATER) <= now):
                return None
            to = addressee(tx, site, account)
            asker = getattr(row, who)
            facts = {"who": names_of(tx, [asker]).get(asker, asker), "what": _what(row), "until": moment(_ends(row)),
                     "from": moment(getattr(row, "runs_from", None) or _ends(row))}  # fmt: skip
            return None if to is None else (*to, facts)

        found = await kernel.store.read(read)
        if found is None:
            return None
        address, name, facts = found
        link = f"{site.public_url}/team/{_PAGES[key]}/{values[key]}" if key in _PAGES else f"{site.public_url}/team"
        body = f"{site.say(HELLO, name=name)}\n\n{site.say(text, **facts, link=link)}"
        return Letter(address, site.say(subject, **facts), f"{body}\n\n{site.product}\n{site.contact}\n")

    return compose


def addressee(tx: ReadTransaction, site: SiteFacts, account: str) -> tuple[str, str] | None:
    """Address and name of who a letter goes to; None for who left."""
    if account == SECURITY_CONTACT:
        return f"security@{site.contact.rpartition('@')[2]}", _CONTACT
    found = accounts.people(tx, [account])
    return (found[0].email, found[0].name) if found and found[0].open else None


def _ends(row: Row[Any]) -> Any:
    return row.expires_at if "expires_at" in row._mapping else row.ends_at


def _what(row: Row[Any]) -> str:
    if "operation" not in row._mapping:
        role = as_words(row.role)
        whole = "operations" not in row._mapping or row.operations == "[]"
        return words("the role %(role)s", role=role) if whole else words("operations of the role %(role)s", role=role)
    operation = catalogue.named(row.operation)
    return f"{row.operation}: {operation.summary}" if operation else str(row.operation)


def moment(at: Any) -> str:
    """A time as letters say it."""
    return f"{at:%Y-%m-%d %H:%M} UTC" if at else ""


def _approval(name: str, subject: str, text: str, *, while_open: bool = True) -> LetterKind:
    return LetterKind(name, _letter("request", request_row, "requester", subject, text, while_open=while_open))


async def _restored_alone(kernel: Kernel, site: SiteFacts, account: str, values: Mapping[str, str]) -> Letter | None:
    keys = kernel.keys.for_caller("access")

    def read(connection: Connection) -> tuple[tuple[str, str] | None, str]:
        tx = ReadTransaction(connection, keys)
        return addressee(tx, site, account), names_of(tx, [values["by"]]).get(values["by"], values["by"])

    addressee, who = await kernel.store.read(read)
    if addressee is None:
        return None
    address, name = addressee
    text = site.say(_RESTORED, who=who, link=f"{site.public_url}/team/log?action=access.restore_lost_keys")
    body = f"{site.say(HELLO, name=name)}\n\n{text}\n\n{site.product}\n{site.contact}\n"
    return Letter(address, site.say(_RESTORED_SUBJECT, who=who), body)


def _grant(name: str, subject: str, text: str) -> LetterKind:
    return LetterKind(name, _letter("grant", grant_row, "granted_by", subject, text))


def _task(name: str, subject: str, text: str, *, while_open: bool = True) -> LetterKind:
    return LetterKind(name, _letter("task", task_row, "account", subject, text, while_open=while_open))


async def _unmasked(kernel: Kernel, site: SiteFacts, account: str, values: Mapping[str, str]) -> Letter | None:
    """Not what was shown or why: letters are read by others as well."""
    keys = kernel.keys.for_caller("access")
    found = await kernel.store.read(lambda connection: accounts.people(ReadTransaction(connection, keys), [account]))
    if not found or not found[0].open:
        return None
    link = f"{site.public_url}/account/activity"
    body = f"{site.say(HELLO, name=found[0].name)}\n\n{site.say(_UNMASKED, link=link)}"
    return Letter(found[0].email, site.say(_UNMASKED_SUBJECT), f"{body}\n\n{site.product}\n{site.contact}\n")


LETTERS: tuple[LetterKind, ...] = (
    LetterKind("access.unmasked", _unmasked),
    _grant(
        "access.mover_told", "You have a new role: the ones you held before lapse",
        "{who} gave you {what}. The roles that you held before lapse after some days, unless an administrator confirms "
        "that you still need them. If you do, ask one of them.\n\n{link}",
    ),
    _grant(
        "access.mover_asked", "A colleague has a new role: confirm what they keep",
        "{who} gave a colleague {what}. The roles that they held before lapse after some days. If they still need one "
        "of them, confirm it here; otherwise there is nothing to do:\n\n{link}",
    ),
    _grant(
        "access.role_confirmed", "You keep a role",
        "an administrator confirmed that you keep {what}, although you have another one by now.\n\n{link}",
    ),
    LetterKind("access.restored_alone", _restored_alone),
    _grant(
        "access.role_given", "You have a role of the team now",
        "{who} gave you {what}. If you do not know why, ask them, or answer this letter.\n\n{link}",
    ),
    _approval(
        "access.approval_asked", "{who} asks for your approval",
        "{who} asks you to approve this:\n\n{what}\n\nRead exactly what it is, and approve or refuse it, until {until}:"
        "\n\n{link}",
    ),
    _approval(
        "access.alone_asked", "Nobody else can approve this, so it waits: {who} asks",
        "{who} wants to do what needs the approval of somebody else:\n\n{what}\n\nNobody there could approve it. "
        "It may be done from {from} on, once, unless somebody stops it until then. If you do not know of it, stop it "
        "here, or call the person:\n\n{link}",
    ),
    _approval(
        "access.approval_given", "Approved: you can carry it out",
        "what you asked for was approved:\n\n{what}\n\nIt can be carried out once, until {until}:\n\n{link}",
    ),
    _approval(
        "access.approval_refused", "Refused: what you asked to be approved",
        "what you asked for was refused:\n\n{what}\n\nWho refused it and when:\n\n{link}", while_open=False,
    ),
    _task(
        "access.task_asked", "{who} asks for access for a task",
        "{who} asks to be lent {what} until {until}.\n\nRead what for, and grant or refuse it:\n\n{link}",
    ),
    _task(
        "access.task_taken", "{who} opened a task by a rule",
        "{who} is lent {what} until {until}, at once, by a rule that was made for it.\n\nLook at it, or end it, here:"
        "\n\n{link}",
    ),
    _task(
        "access.task_granted", "Your task is open",
        "you are lent {what} until {until}. What you do under it is recorded with the task. Close it when you are done:"
        "\n\n{link}",
    ),
    _task(
        "access.task_refused", "Your task was refused",
        "you are not lent {what}.\n\nWho refused it and when:\n\n{link}",
        while_open=False,
    ),
    _task(
        "access.task_revoked", "Your task was ended",
        "you are no longer lent {what}.\n\nWho ended it and when:\n\n{link}", while_open=False,
    ),
    *LIMIT_LETTERS,
    *PROGRAM_LETTERS,
)  # fmt: skip
