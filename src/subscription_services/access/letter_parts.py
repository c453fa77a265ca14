"""How a letter of this room is made: what is true when it is written, found anew, in the words of its template."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from subscription_services.kernel.perform import Kernel
from subscription_services.kernel.transaction import ReadTransaction
from subscription_services.kernel.words import words
from subscription_services.mail import Letter, LetterKind, SiteFacts, template

from . import accounts

SECURITY_CONTACT = "contact.security"
"""Stands for the account of a letter that goes to security@."""
_HELLO = template("Hello {name},")
_CONTACT = words("security contact")


@dataclass(frozen=True, slots=True)
class Occasion:
    """Why a letter is written: `values` are what was queued, `account` whom it goes to."""

    site: SiteFacts
    account: str
    values: Mapping[str, str]
    now: datetime

    def link(self, path: str) -> str:
        return f"{self.site.public_url}{path}"


Facts = Callable[[ReadTransaction, Occasion], Mapping[str, Any] | None]
"""What the texts may name; None where there is no longer a reason to write."""


def letter(name: str, subject: str, text: str, facts: Facts) -> LetterKind:
    """A kind of letter; nobody who left gets one."""
    template(subject)
    template(text)

    async def compose(kernel: Kernel, site: SiteFacts, account: str, values: Mapping[str, str]) -> Letter | None:
        keys, occasion = kernel.keys.for_caller("access"), Occasion(site, account, values, kernel.clock())

        def read(connection: Connection) -> tuple[str, str, Mapping[str, Any]] | None:
            tx = ReadTransaction(connection, keys)
            to, found = _addressee(tx, occasion), facts(tx, occasion)
            return None if to is None or found is None else (*to, found)

        ready = await kernel.store.read(read)
        if ready is None:
            return None
        address, person, found = ready
        body = f"{site.say(_HELLO, name=person)}\n\n{site.say(text, **found)}"
        return Letter(address, site.say(subject, **found), f"{body}\n\n{site.product}\n{site.contact}\n")

    return LetterKind(name, compose)


def moment(at: datetime | None) -> str:
    """A time as letters say it."""
    return f"{at:%Y-%m-%d %H:%M} UTC" if at else ""


def _addressee(tx: ReadTransaction, occasion: Occasion) -> tuple[str, str] | None:
    if occasion.account == SECURITY_CONTACT:
        return f"security@{occasion.site.contact.rpartition('@')[2]}", _CONTACT
    found = accounts.people(tx, [occasion.account])
    return (found[0].email, found[0].name) if found and found[0].open else None
