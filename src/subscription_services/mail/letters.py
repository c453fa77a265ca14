"""Letters: what a room that writes to people declares, and the job that sends one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass

import msgspec

from subscription_services.kernel.perform import Kernel

JOB_KIND = "mail.send"


class SendLetter(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Job payload: write letter `letter` (a LetterKind's name) to `account`. `values` are ids only, never tokens."""

    letter: str
    account: str
    values: dict[str, str] = {}


@dataclass(frozen=True, slots=True)
class SiteFacts:
    """What letters say about this installation: `public_url` without a slash at its end, contact is an address."""

    public_url: str
    product: str
    contact: str


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
