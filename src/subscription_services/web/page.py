"""What every page knows about its reader: the typed input of the layout, given by whoever handles the request."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

import msgspec


class NavItem(msgspec.Struct, frozen=True, cache_hash=True):
    """A link of a navigation. `under` marks it current for every path below it as well; `count` is what waits there."""

    label: str
    href: str
    icon: str | None = None
    under: str | None = None
    primary: bool = False
    count: int = 0

    def is_current(self, path: str) -> bool:
        """Whether it names this page, or the part of the site that the page stands in."""
        if path == self.href:
            return True
        return self.under is not None and (path + "/").startswith(self.under.rstrip("/") + "/")


@lru_cache(maxsize=4096)
def current_of(items: tuple[NavItem, ...], path: str) -> tuple[NavItem, ...]:
    """Those of `items` that are current there."""
    return tuple(item for item in items if item.is_current(path))


class Person(msgspec.Struct, frozen=True):
    """The signed-in reader, as the header names them. `detail` is their address or their role."""

    name: str
    detail: str = ""

    @property
    def initials(self) -> str:
        """One or two capitals for the round mark beside the name."""
        words = self.name.replace("@", " ").replace(".", " ").split()
        return "".join(word[0] for word in words[:2]).upper() or "?"


class Notice(msgspec.Struct, frozen=True):
    """A message at the top of a page. `kind` is info, success, warning or danger."""

    kind: str
    text: str
    title: str | None = None


@dataclass(frozen=True, slots=True)
class Alarm:
    """What a signed-in reader sees on top of every page until it is over; a form to `action` stops it, or `link` leads
    to where that can be done."""

    title: str
    text: str
    label: str = ""
    action: str = ""
    link: str = ""


@dataclass(frozen=True, slots=True)
class Choice:
    """One card of `ui.radio_cards`: what is posted and what is shown."""

    value: str
    title: str
    detail: str = ""
    price: str = ""
    per: str = ""
    badge: str = ""
    points: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of `ui.timeline`. `tone` is neutral, accent, success, warning or danger."""

    at: datetime
    title: str
    detail: str = ""
    tone: str = "neutral"
    symbol: str = "dot"


def _no_key() -> str:
    return ""


class PageContext(msgspec.Struct, frozen=True):
    """Reader, navigation and protections of one answer. `new_key` mints an idempotency key per form.

    `held` says what the reader's session is bound to: a script of ours keeps a key where the browser does not."""

    path: str = "/"
    nonce: str = ""
    csrf: str = ""
    new_key: Callable[[], str] = _no_key
    person: Person | None = None
    held: str = ""
    alarms: tuple[Alarm, ...] = ()
    nav: tuple[NavItem, ...] = ()
    account_nav: tuple[NavItem, ...] = ()
    footer: tuple[NavItem, ...] = ()
    notices: tuple[Notice, ...] = ()
    sandbox: bool = False
    mailbox_url: str | None = None
    product: str = "Subscription Services"
    home: str = "/"
    sign_out_path: str = "/sign-out"
    language: str = "en"
    request_id: str = ""

    def with_notice(self, kind: str, text: str, title: str | None = None) -> PageContext:
        """The same page with one more message at its top."""
        return msgspec.structs.replace(self, notices=(*self.notices, Notice(kind, text, title)))
