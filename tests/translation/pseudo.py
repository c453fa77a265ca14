"""A language in which every text is in brackets, and a reader that sees what stands outside them."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from io import BytesIO

from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from babel.support import Translations

from subscription_services.messages import Text
from subscription_services.web.languages import Language

CODE = "eo"
"""Esperanto's dates and money, so that those are another language's too."""
OPEN, CLOSE = "⟦", "⟧"
SAID = {"aria-label", "aria-description", "title", "alt", "placeholder", "data-busy", "data-show", "data-hide",
        "data-show-long", "data-hide-long", "data-copy", "data-copied"}  # fmt: skip
SILENT = {"style", "script", "svg", "code", "pre", "time", "textarea"}
MONEY = "money"
DATE = re.compile(r"\b\d{1,2} \w+ \d{4}(?:, \d\d:\d\d UTC)?|\d{4}-\d\d-\d\dT[\d:.]+Z|\d+(?:\.\d+)? (?:KiB|MiB)\b")
IDENTIFIER = re.compile(r"\b[a-z]{2,4}_[0-9a-z…]{6,}|\b[\w.…]+@[\w.…]+\b|(?<!\w)/[\w./-]+|\b[a-z]+\.[a-z_]+\b")
VOID = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}


def pseudo_language(texts: list[Text]) -> Language:
    """The catalogue of these texts, every one in brackets."""
    made = Catalog(locale=CODE)
    for text in texts:
        if not text.one:
            continue
        if text.many:
            made.add((text.one, text.many), (f"{OPEN}{text.one}{CLOSE}", f"{OPEN}{text.many}{CLOSE}"))
        elif (known := made.get(text.one)) is None or not known.pluralizable:
            made.add(text.one, f"{OPEN}{text.one}{CLOSE}")
    compiled = BytesIO()
    write_mo(compiled, made)
    compiled.seek(0)
    return Language(CODE, CODE, Translations(compiled))


def outside(html: str, data: tuple[str, ...] = ()) -> list[str]:
    """Words that a reader meets outside brackets, apart from data: names, dates, amounts, ids."""
    reader = _Reader()
    reader.feed(html)
    reader.close()
    left = []
    for said in reader.found:
        text = said
        for known in sorted(data, key=len, reverse=True):
            text = text.replace(known, " ")
        text = IDENTIFIER.sub(" ", DATE.sub(" ", text))
        if re.search(r"[^\W\d_]{2}", text):
            left.append(" ".join(said.split()))
    return left


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[str] = []
        self._depth = 0
        self._silent: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        for name in SAID & given.keys():
            if tag != "time":
                self.found.extend(self._outside(given[name], of_attribute=True))
        if tag in VOID:
            return
        foreign = given.get("lang", "") not in ("", CODE) or given.get("translate") == "no"
        if self._silent or tag in SILENT or foreign or MONEY in given.get("class", "").split():
            self._silent.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if self._silent and tag not in VOID:
            self._silent.pop()

    def handle_data(self, data: str) -> None:
        self.found.extend(self._outside(data, silent=bool(self._silent)))

    def _outside(self, text: str, *, of_attribute: bool = False, silent: bool = False) -> list[str]:
        depth, kept = (0 if of_attribute else self._depth), []
        for character in text:
            depth += (character == OPEN) - (character == CLOSE)
            kept.append(" " if depth or character in (OPEN, CLOSE) else character)
        if not of_attribute:
            self._depth = depth
        return [] if silent else ["".join(kept)]
