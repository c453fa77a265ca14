"""Letters: what a room that writes to people declares, and the job that sends one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass

import msgspec

from subscription_services.kernel.perform import Kernel
from subscription_services.kernel.words import Language, Words
from subscription_services.web.languages import ENGLISH

JOB_KIND = "mail.send"


class SendLetter(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Job payload: write letter `letter` (a LetterKind's name) to `account`. `values` are ids only, never tokens."""

    letter: str
    account: str
    values: dict[str, str] = {}


_texts: set[str] = set()


def template(text: str) -> str:
    """Declare a text of letters, with values by name in braces: so that translators find it."""
    _texts.add(text)
    return text


def letter_texts() -> frozenset[str]:
    """Every text of letters that was declared so far."""
    return frozenset(_texts)


@dataclass(frozen=True, slots=True)
class SiteFacts:
    """What letters say about this installation: `public_url` without a slash at its end, contact is an address.

    `language` is that of the account; every account reads English until people can choose."""

    public_url: str
    product: str
    contact: str
    language: Language = ENGLISH

    def say(self, text: str, **values: object) -> str:
        """A declared text (`template`) in the reader's language, with its values."""
        said = {name: item.said(self.language) if isinstance(item, Words) else item for name, item in values.items()}
        return self.language.gettext(text).format(**said)


@dataclass(frozen=True, slots=True)
class Letter:
    """A composed letter: one address (addr-spec of RFC 5322), a subject in one line, plain text."""

    to: str
    subject: str
    text: str


Compose = Callable[[Kernel, SiteFacts, str, Mapping[str, str]], Awaitable[Letter | None]]


@dataclass(frozen=True, slots=True)
class LetterKind:
    """A kind of letter, named `<room>.<noun>`, owned by the room whose promise it serves.

    `compose(kernel, site, account, values)` runs at send time, mints what the letter's link needs through a
    System-only operation, and returns None when there is no longer a reason to write. Raising means try again later.
    """

    name: str
    compose: Compose


def by_name(letters: Iterable[LetterKind]) -> dict[str, LetterKind]:
    """The kinds by name. Raises ValueError where two share one."""
    found: dict[str, LetterKind] = {}
    for kind in letters:
        if kind.name in found:
            raise ValueError(f"two kinds of letters are called {kind.name}")
        found[kind.name] = kind
    return found
