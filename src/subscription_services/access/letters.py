"""Letters of this room: somebody asks, somebody decided. The letter that enrols an invited person is identity's.

They say who, what operation and when, and lead to the page; the words themselves, which may be personal, stay there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import Row

from subscription_services.kernel.errors import NotFound
from subscription_services.kernel.transaction import ReadTransaction
from subscription_services.kernel.words import as_words, words
from subscription_services.mail import LetterKind

from . import catalogue
from .approval_queries import names_of, request_row
from .glass_letters import GLASS_LETTERS
from .letter_parts import Facts, Occasion, letter, moment
from .limit_letters import LIMIT_LETTERS
from .program_letters import PROGRAM_LETTERS
from .queries import grant_row
from .review_letters import REVIEW_LETTERS
from .tasks import task_row

Find = Callable[[ReadTransaction, str], Row[Any]]
_PAGES = {"request": "/team/approvals/", "task": "/team/tasks/"}


def _about(key: str, find: Find, who: str, *, while_open: bool = True) -> Facts:
    """About the row that `values[key]` names: {who}, {what}, {until}, {from}, {link}.

    `while_open` says that there is no reason to write once the row has ended."""

    def facts(tx: ReadTransaction, occasion: Occasion) -> Mapping[str, Any] | None:
        identifier = occasion.values[key]
        try:
            row = find(tx, identifier)
        except NotFound:
            return None
        ends = row.expires_at if "expires_at" in row._mapping else row.ends_at
        if while_open and (row.ended_at is not None or ends <= occasion.now):
            return None
        asker = getattr(row, who)
        return {
            "who": names_of(tx, [asker]).get(asker, asker), "what": _what(row), "until": moment(ends),
            "from": moment(getattr(row, "runs_from", None) or ends),
            "link": occasion.link(f"{_PAGES[key]}{identifier}" if key in _PAGES else "/team"),
        }  # fmt: skip

    return facts


def _what(row: Row[Any]) -> str:
    if "operation" not in row._mapping:
        role = as_words(row.role)
        whole = "operations" not in row._mapping or row.operations == "[]"
        return words("the role %(role)s", role=role) if whole else words("operations of the role %(role)s", role=role)
    operation = catalogue.named(row.operation)
    return f"{row.operation}: {operation.summary}" if operation else str(row.operation)


def _approval(name: str, subject: str, text: str, *, while_open: bool = True) -> LetterKind:
    return letter(name, subject, text, _about("request", request_row, "requester", while_open=while_open))


def _grant(name: str, subject: str, text: str) -> LetterKind:
    return letter(name, subject, text, _about("grant", grant_row, "granted_by"))


def _task(name: str, subject: str, text: str, *, while_open: bool = True) -> LetterKind:
    return letter(name, subject, text, _about("task", task_row, "account", while_open=while_open))


LETTERS: tuple[LetterKind, ...] = (
    letter(
        "access.unmasked", "Somebody of our team looked at data of yours",
        # not what was shown or why: letters are read by others as well
        "our team sees your address, name or billing address only in part. Today somebody had one of them shown. Who "
        "of us does that says why. What was shown, when and the reason stand here:\n\n{link}\n\nIf you did not ask us "
        "for help and the reason makes no sense to you, write to us.",
        lambda tx, occasion: {"link": occasion.link("/account/activity")},
    ),
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
    letter(
        "access.restored_alone", "{who} put a backup of the keys in place, alone",
        "{who} put a backup of the keys in place of a store that was lost, at the terminal. That takes two people; "
        "nobody else could have agreed, and nothing could run until it was done. If you do not know of it, call the "
        "person and look at the log:\n\n{link}",
        lambda tx, occasion: {
            "who": names_of(tx, [occasion.values["by"]]).get(occasion.values["by"], occasion.values["by"]),
            "link": occasion.link("/team/log?action=access.restore_lost_keys"),
        },
    ),
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
    *GLASS_LETTERS,
    *LIMIT_LETTERS,
    *PROGRAM_LETTERS,
    *REVIEW_LETTERS,
)  # fmt: skip
