"""Reading templates as a translator would: what is said in them without `_()` or `{% trans %}`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html.parser import HTMLParser

from jinja2 import nodes

from subscription_services.messages import template_environment

NAMED = {"_", "gettext", "ngettext"}
SAID = {"aria-label", "aria-description", "title", "alt", "placeholder"}
"""Attributes that people read or hear."""
SILENT = {"style", "script", "svg", "code", "pre"}
NOT_WORDS = {
    "kind", "type", "symbol", "autocomplete", "id", "method", "css", "size", "name", "tone", "inputmode", "value",
    "width", "prefix", "back", "poll",
}  # fmt: skip
"""Arguments of components that are names, never text."""
DATA = {"PDF"}
"""Said alike in every language: names of formats."""
PLACE = "‡"
NO_TEXT = {"width", "_aria"}
"""A block that holds a class, a macro that holds attributes."""
_ENTITY = re.compile(r"&#?\w+;")


def unwrapped(source: str) -> list[str]:
    """Every text of the template that no catalogue would have."""
    tree = template_environment().parse(source)
    reader = _Reader()
    reader.feed("".join(_html(tree)))
    reader.close()
    return [*reader.found, *_literals(tree)]


def is_text(text: str) -> bool:
    """Whether there are words in it."""
    return re.search(r"[^\W\d_]{2}", _ENTITY.sub(" ", text)) is not None


def _html(node: nodes.Node) -> Iterator[str]:
    """The template's HTML with a mark for whatever is worked out."""
    if isinstance(node, nodes.TemplateData):
        yield node.data
    elif isinstance(node, nodes.Expr):
        yield PLACE
    elif isinstance(node, nodes.Block | nodes.Macro) and node.name in NO_TEXT:
        return
    elif isinstance(node, nodes.CallBlock | nodes.Macro | nodes.FilterBlock):
        yield from (part for child in node.body for part in _html(child))
    else:
        for child in node.iter_child_nodes(exclude=("test", "iter", "target", "args", "defaults", "template")):
            yield from _html(child)


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=False)
        self.found: list[str] = []
        self._silent = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._silent += tag in SILENT
        for name, value in attrs:
            if name in SAID and value and is_text(value):
                self.found.append(f'{name}="{_shown(value)}"')

    def handle_endtag(self, tag: str) -> None:
        self._silent -= tag in SILENT and self._silent > 0

    def handle_data(self, data: str) -> None:
        if not self._silent and is_text(data) and data.strip() not in DATA:
            self.found.append(_shown(data))


def _shown(text: str) -> str:
    return " ".join(text.replace(PLACE, "{{ … }}").split())


def _literals(node: nodes.Node) -> Iterator[str]:
    """Strings in expressions that look like text: with a space, or with a capital at the beginning."""
    for child in node.iter_child_nodes():
        if isinstance(child, nodes.Call) and isinstance(child.node, nodes.Name) and child.node.name in NAMED:
            for keyword in child.kwargs:
                yield from _literals(keyword)
            continue
        if isinstance(child, nodes.Keyword) and child.key in NOT_WORDS:
            continue
        if isinstance(child, nodes.Compare | nodes.Getitem | nodes.Block | nodes.Include | nodes.FromImport):
            yield from (_literals(child) if isinstance(child, nodes.Block) else ())
            continue
        if isinstance(child, nodes.Pair):
            yield from _literals(nodes.List([child.value]))
            continue
        if isinstance(child, nodes.Const) and isinstance(child.value, str) and _looks_said(child.value):
            yield child.value
        yield from _literals(child)


def _looks_said(text: str) -> bool:
    if not is_text(text) or text in DATA or text.startswith(("/", "#", "?")):
        return False
    return text[0].isupper() or " " in text.strip()
