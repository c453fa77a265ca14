"""Messages as they were received, read for people and for tests. In memory only, the oldest making room."""

import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from html.parser import HTMLParser

_URL = re.compile(r"https?://[^\s<>\"'\])}]+")


@dataclass(frozen=True)
class Letter:
    """One message: the envelope (RFC 5321) and what is in it (RFC 5322)."""

    id: int
    received: float
    mail_from: str
    to: tuple[str, ...]
    raw: bytes
    sender: str
    subject: str
    text: str
    html: str
    links: tuple[str, ...]
    encrypted: bool

    @property
    def when(self) -> datetime:
        """When it was received, UTC."""
        return datetime.fromtimestamp(self.received, UTC)


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if tag == "a" and name == "href" and value and value.startswith(("http://", "https://")):
                self.found.append(value)


def links_in(text: str, html: str) -> tuple[str, ...]:
    """Every http(s) address, in order, once each."""
    parser = _Links()
    parser.feed(html)
    in_text = [url.rstrip(".,;:!?") for url in _URL.findall(text)]
    return tuple(dict.fromkeys([*in_text, *parser.found]))


def _part(message: EmailMessage, kind: str) -> str:
    part = message.get_body(preferencelist=(kind,))
    if part is None:
        return ""
    try:
        return str(part.get_content())
    except (LookupError, UnicodeError):
        payload = part.get_payload(decode=True)
        return payload.decode("utf-8", "replace") if isinstance(payload, bytes) else str(payload)


class Box:
    """The newest `keep` messages."""

    def __init__(self, keep: int) -> None:
        self._letters: deque[Letter] = deque(maxlen=keep)
        self._last = 0

    def receive(self, raw: bytes, mail_from: str, to: tuple[str, ...], received: float, *, encrypted: bool) -> Letter:
        """Keep a message; what cannot be read is kept as far as it can be."""
        message = message_from_bytes(raw, policy=policy.default)
        assert isinstance(message, EmailMessage)
        text, html = _part(message, "plain"), _part(message, "html")
        self._last += 1
        letter = Letter(
            id=self._last,
            received=received,
            mail_from=mail_from,
            to=to,
            raw=raw,
            sender=_header(message, "from"),
            subject=_header(message, "subject"),
            text=text,
            html=html,
            links=links_in(text, html),
            encrypted=encrypted,
        )
        self._letters.append(letter)
        return letter

    def newest_first(self) -> Iterator[Letter]:
        """All that are kept."""
        return iter(reversed(self._letters))

    def get(self, number: int) -> Letter | None:
        """One by its number, or None when it is not kept."""
        return next((letter for letter in self._letters if letter.id == number), None)

    def empty(self) -> int:
        """Forget all; gives how many there were. Numbers go on."""
        count = len(self._letters)
        self._letters.clear()
        return count


def _header(message: EmailMessage, name: str) -> str:
    try:
        return str(message.get(name, ""))
    except (ValueError, LookupError, IndexError, AttributeError):
        return str({key.lower(): value for key, value in message.raw_items()}.get(name, ""))
