"""Every text that people read, for translators: drawn from the templates, the code and what the rooms declare.

A text is found by where it stands, so that nobody marks what is a constant anyway: a message of an error, a notice, a
link, the sentence of a promise. `words`, `counted` and `table` name the rest.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from io import BytesIO
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.pofile import write_po
from jinja2 import Environment, nodes
from jinja2.ext import Extension, extract_from_ast
from jinja2.parser import Parser
from zxcvbn import feedback

from subscription_services import app, mail
from subscription_services.billing.model import InvoiceStatus
from subscription_services.identity.model import Kind, State
from subscription_services.kernel import errors
from subscription_services.kernel.actors import Role
from subscription_services.kernel.events import Outcome
from subscription_services.keys.model import Verb
from subscription_services.subscriptions.model import Status
from subscription_services.trust.promises import SECTIONS
from subscription_services.web import notices
from subscription_services.web.icons import STATES
from subscription_services.web.problem_kinds import KINDS

SOURCE = Path(__file__).parent
FILE = SOURCE / "locale" / "messages.pot"
# what only operators read, at a terminal or in a log, is English
TERMINAL = ("commands", "keys", "ledger", "storage", "deploy", "cli", "app", "apart")
PAGES = ("keys.pages", "keys.operations", "ledger.pages", "ledger.retention", "ledger.searching")
# name of what is called, and which of its arguments people read
SPOKEN: dict[str, tuple[tuple[int | str, ...], ...]] = {
    "words": ((0,),), "as_words": ((0,),), "counted": ((0, 1),), "NavItem": ((0,),), "HttpProblem": ((1,), ("detail",)),
    "Check": ((1,), ("how",)), "with_notice": ((1,), (2,), ("title",)),
}  # fmt: skip
SHOWN: tuple[type[StrEnum], ...] = (Role, Outcome, Kind, State, Verb, Status, InvoiceStatus)


@dataclass(frozen=True, slots=True)
class Text:
    """A text and where it was found; `many` is its other wording where a number decides."""

    one: str
    where: str
    many: str = ""


class _AsItStands(Extension):
    """`{% fixed %}` for reading: its inside is part of the template like any other."""

    tags = {"fixed"}

    def parse(self, parser: Parser) -> list[nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endfixed",), drop_needle=True)


def template_environment() -> Environment:
    """For reading templates, not for rendering them."""
    return Environment(  # noqa: S701  nothing is rendered
        extensions=["jinja2.ext.do", "jinja2.ext.i18n", _AsItStands], trim_blocks=True, lstrip_blocks=True
    )


def of_templates(source: Path = SOURCE) -> Iterator[Text]:
    """What templates name with `_`, `ngettext` and `{% trans %}`."""
    environment = template_environment()
    for path in sorted(source.glob("*/templates/*.html")):
        where = path.relative_to(source).as_posix()
        tree = environment.parse(path.read_text("utf-8"))
        for _, function, found in extract_from_ast(tree, ("_", "gettext", "ngettext"), babel_style=False):
            said = found if isinstance(found, tuple) else (found,)
            if not said or not isinstance(said[0], str):
                continue  # a text that is known only when the page is made: it is declared elsewhere
            many = said[1] if function == "ngettext" and len(said) > 1 else None
            yield Text(said[0], where, many or "")


def of_code(source: Path = SOURCE) -> Iterator[Text]:
    """Constants where `SPOKEN`, errors and tables stand."""
    kinds = error_names()
    for path in sorted(source.rglob("*.py")):
        where = path.relative_to(source).as_posix()
        yield from calls_in(ast.parse(path.read_text("utf-8")), where, kinds)


def calls_in(tree: ast.Module, where: str, kinds: frozenset[str]) -> Iterator[Text]:
    """The spoken constants of one module."""
    spoken = not at_terminals(where)
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        for places in SPOKEN.get(name, ()):
            found = [_constant(_argument(node, place)) for place in places]
            if found[0]:
                yield Text(found[0], where, found[1] if len(found) > 1 else "")
        if name == "table" and node.args:
            yield from (Text(text, where) for text in _values(node.args[0]))
        elif name in kinds and spoken:
            yield from (Text(text, where) for text in [_constant(_argument(node, 0))] if text)
            yield from (Text(text, where) for text in _values(_argument(node, "fields")))


def of_declarations() -> Iterator[Text]:
    """What the rooms declared by the time the application stands."""
    yield from (Text(kind.message, "") for kind in error_kinds())
    for notice in notices.declared():
        yield from (Text(str(text), "") for text in (notice.text, notice.title) if text)
    for problem in KINDS.values():
        yield from (Text(text, "") for text in (problem.title, problem.meaning, problem.remedy, problem.remedy_link))
    yield from (Text(state.text, "") for state in STATES.values())
    for section in SECTIONS:
        yield from (Text(text, "") for text in (section.heading, section.intro))
        yield from (Text(promise.sentence, "") for promise in section.promises)
    yield from (Text(item.summary, "") for item in app.OPERATIONS if not item.internal)
    yield from (Text(value, "") for shown in SHOWN for item in shown for value in (item.value.capitalize(), item.value))
    yield from (Text(text, "") for text in sorted(mail.letter_texts()))


def of_libraries() -> Iterator[Text]:
    """What zxcvbn advises: it names its texts with `_()` as gettext does."""
    for node in ast.walk(ast.parse(inspect.getsource(feedback))):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "_" and (text := _constant(node.args[0])):
            yield Text(text, "")


def texts() -> list[Text]:
    """All of them."""
    return [*of_templates(), *of_code(), *of_declarations(), *of_libraries()]


def catalogue(found: Iterable[Text]) -> Catalog:
    """The texts as a catalogue without translations. Its date is fixed: it changes with the texts alone."""
    made = Catalog(
        project="Subscription Services", version="1", copyright_holder="the authors of Subscription Services",
        creation_date=datetime(2026, 11, 24, tzinfo=UTC), msgid_bugs_address="", fuzzy=False,
        header_comment="# Texts of Subscription Services. Written by `subs document`.",
    )  # fmt: skip
    for text in found:
        if text.one:
            places = [(text.where, 1)] if text.where else []
            made.add((text.one, text.many) if text.many else text.one, locations=places)
    return made


def document() -> str:
    """messages.pot, the same for the same texts."""
    written = BytesIO()
    write_po(written, catalogue(texts()), width=120, sort_output=True, include_lineno=False)
    return written.getvalue().decode("utf-8")


def error_kinds() -> list[type[errors.DomainError]]:
    """Every kind of error that a page or the API can show; those of the start and of tools are for the terminal."""
    found: list[type[errors.DomainError]] = []
    waiting: list[type[errors.DomainError]] = [errors.DomainError]
    while waiting:
        kind = waiting.pop(0)
        if not issubclass(kind, errors.SettingsError | errors.StartError) and kind.__module__.startswith(__package__):
            if not at_terminals(kind.__module__.removeprefix(f"{__package__}.")):
                found.append(kind)
            waiting.extend(sorted(kind.__subclasses__(), key=lambda each: each.__qualname__))
    return list(dict.fromkeys(found))


def error_names() -> frozenset[str]:
    """The names under which code raises them."""
    return frozenset(kind.__name__ for kind in error_kinds())


def at_terminals(where: str) -> bool:
    """Whether only operators read what this module says."""
    dotted = where.removesuffix(".py").replace("/", ".")
    return dotted.startswith(TERMINAL) and not dotted.startswith(PAGES)


def _argument(call: ast.Call, place: int | str) -> ast.expr | None:
    if isinstance(place, int):
        return call.args[place] if len(call.args) > place else None
    return next((item.value for item in call.keywords if item.arg == place), None)


def _constant(node: ast.expr | None) -> str:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def _values(node: ast.expr | None) -> Iterator[str]:
    if isinstance(node, ast.Dict):
        yield from filter(None, (_constant(value) for value in node.values))
