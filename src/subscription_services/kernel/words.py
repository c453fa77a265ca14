"""Text for people that can be said in their language.

Words are a `str`, the English, which is what logs, programs and the command line get. A page shows them in its reader's
language by itself: Jinja asks for `__html__`. Whatever is neither Words nor named in a template stays as it stands.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextvars import ContextVar
from functools import reduce
from typing import Any, Protocol, Self, TypeVar

import msgspec
from markupsafe import Markup, escape

T = TypeVar("T")


class Language(Protocol):
    """A catalogue; `locale` is how CLDR names it, for dates and money."""

    @property
    def locale(self) -> str: ...
    def gettext(self, text: str) -> str: ...
    def ngettext(self, one: str, many: str, number: int) -> str: ...


reader: ContextVar[Language | None] = ContextVar("reader", default=None)
"""The language of the page that is being rendered; None is English as it stands."""


class Words(str):
    """Made by `words`, `counted` and `table`, which the catalogue is drawn from; immutable."""

    __slots__ = ("message", "other", "values")
    message: str
    other: str
    values: Mapping[str, Any]

    def __new__(cls, message: str, other: str = "", values: Mapping[str, Any] | None = None) -> Self:
        given = values or {}
        english = other if other and given["num"] != 1 else message
        made = super().__new__(cls, english % given if given else english)
        made.message, made.other, made.values = message, other, given
        return made

    def said(self, language: Language) -> str:
        """In that language; values that are words themselves too."""
        if self.other:
            text = language.ngettext(self.message, self.other, self.values["num"])
        else:
            text = language.gettext(self.message)
        if not self.values:
            return text
        return text % {
            name: value.said(language) if isinstance(value, Words) else value for name, value in self.values.items()
        }

    def __html__(self) -> Markup:
        language = reader.get()
        return escape(str(self) if language is None else self.said(language))

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.message, self.other, dict(self.values))


def words(text: str, /, **values: Any) -> Words:
    """`words("At most %(count)s of these.", count=3)`: whole sentences, with values by name."""
    return Words(text, "", values)


def counted(one: str, many: str, number: int, /, **values: Any) -> Words:
    """One of two wordings by a number, which both may show as `%(num)s`."""
    return Words(one, many, {"num": number, **values})


def joined(*parts: str) -> Words:
    """Facts that stand one after the other, those that are there: "Firefox on Linux, 192.0.2.7"."""
    return _strung(parts, lambda one, more: words("%(one)s, %(more)s", one=one, more=more))


def sentences(*parts: str) -> Words:
    """Whole sentences one after the other, those that are there."""
    return _strung([as_words(part) for part in parts], lambda one, more: words("%(one)s %(more)s", one=one, more=more))


def _strung(parts: Iterable[str], link: Callable[[Words, str], Words]) -> Words:
    first, *rest = [part for part in parts if part] or [""]
    return reduce(link, rest, as_words(first))


def table(texts: Mapping[T, str]) -> dict[T, Words]:
    """A table of texts that people read."""
    return {key: as_words(text) for key, text in texts.items()}


def json_of(value: object) -> bytes:
    """JSON for programs; words in it are written in English."""
    return msgspec.json.encode(value, enc_hook=_plain)


def _plain(value: object) -> str:
    if isinstance(value, Words):
        return str(value)
    raise NotImplementedError(f"{type(value).__name__} is nothing that JSON knows")


def as_words(text: str) -> Words:
    """The text as words; used where a text is declared (errors, notices, links), so that nobody need mark it."""
    return text if isinstance(text, Words) else Words(text)
