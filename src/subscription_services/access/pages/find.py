"""Finding a subscriber, with a reason; what other rooms know about the person is asked by the operation's name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
from starlette.responses import Response

from subscription_services import identity
from subscription_services.kernel.errors import NotFound
from subscription_services.kernel.operations import Operation
from subscription_services.kernel.words import as_words, table, words
from subscription_services.web.call import Call
from subscription_services.web.forms import FormState, parse
from subscription_services.web.routes import Handler, Route, get
from subscription_services.web.words import amount, moment

from .console import enter
from .unmask import PAGE as UNMASK

FIND = "identity.find_person"
LABELS = table({"who": "an address or account", "reason": "a reason"})
WORDS = table({
    "id": "Account", "email": "E-mail", "created_at": "Since", "verified_at": "Verified", "name": "Name",
    "kind": "Kind", "state": "State", "second_factor": "Second factor", "plan_name": "Plan name", "status": "Status",
    "price": "Price", "period_end": "Period end", "number": "Number", "total": "Total", "issued_at": "Issued at",
    "due_at": "Due at",
})  # fmt: skip
# title, operation, and the fields worth a column, as far as the answer has them
SECTIONS = (
    (words("Subscriptions"), "subscriptions.of_person", ("plan_name", "status", "price", "period_end", "id")),
    (words("Invoices"), "billing.of_person", ("number", "state", "status", "total", "issued_at", "due_at", "id")),
)


@dataclass(frozen=True, slots=True)
class Section:
    """What another room knows, as a table."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def find_routes() -> tuple[Route, ...]:
    """The page that finds people."""
    find = next(item for item in identity.OPERATIONS if item.name == FIND)
    why = "an address is personal data, and addresses of pages are kept by browsers"
    return (get("/team/find", show_form, find), Route("POST", "/team/find", _find(find), find, why))


async def show_form(call: Call) -> Response:
    """Whom to look for, and why."""
    enter(call)
    return call.render("access/find.html", form=FormState(), person=None, sections=(), missing=False)


def _find(find: Operation) -> Handler:
    async def find_person(call: Call) -> Response:
        """The person found, with what belongs to them."""
        may = enter(call)
        posted = parse(await call.fields(), find.request, labels=LABELS)
        if posted.request is None:
            return call.render("access/find.html", 422, form=posted.state, person=None, sections=(), missing=False)
        try:
            found = await call.perform(find, posted.request)
        except NotFound:
            return call.render("access/find.html", 404, form=posted.state, person=None, sections=(), missing=True)
        registry = call.site.kernel.registry
        wanted = [(title, registry.get(name), columns) for title, name, columns in SECTIONS if name in may]
        sections = [await _section(call, title, item, columns, found.id) for title, item, columns in wanted if item]
        return call.render(
            "access/find.html",
            form=posted.state,
            person=_facts(found),
            sections=sections,
            missing=False,
            unmask=f"{UNMASK}/{found.id}" if "access.unmask" in may and found.kind == "subscriber" else "",
            log=f"/team/log?subject={found.id}" if "access.audit_log" in may else "",
        )

    return find_person


async def _section(call: Call, title: str, operation: Operation, columns: tuple[str, ...], account: str) -> Section:
    answer = await call.perform(operation, operation.request(account=account))
    first = getattr(answer, answer.__struct_fields__[0])
    rows = [item for item in first if isinstance(item, msgspec.Struct)]
    shown = tuple(name for name in columns if rows and hasattr(rows[0], name))
    return Section(
        title,
        tuple("Id" if name == "id" else _column(name) for name in shown),
        tuple(tuple(_text(name, getattr(row, name)) for name in shown) for row in rows),
    )


def _facts(person: msgspec.Struct) -> list[tuple[str, str]]:
    values: Mapping[str, Any] = msgspec.structs.asdict(person)
    return [(_column(name), _text(name, value)) for name, value in values.items()]


def _column(name: str) -> str:
    return WORDS.get(name) or name.replace("_", " ").capitalize()


def _text(name: str, value: Any) -> str:
    if value is None or value == "":
        return "–"
    if isinstance(value, bool):
        return words("Yes") if value else words("No")
    if isinstance(value, datetime):
        return moment(value)
    if hasattr(value, "amount") and hasattr(value, "currency"):
        return amount(value)
    return as_words(str(value)) if name in ("kind", "state", "status") else str(value)
