"""The page that searches the log."""

from __future__ import annotations

from urllib.parse import urlencode

from starlette.responses import Response

from subscription_services.access.operations.log import (
    FindOrigin,
    LogEntry,
    LogPage,
    SearchLog,
    audit_log,
    find_origin,
)
from subscription_services.kernel.errors import DomainError
from subscription_services.kernel.events import Outcome
from subscription_services.kernel.words import as_words, table, words
from subscription_services.web.call import Call
from subscription_services.web.forms import FormState, parse
from subscription_services.web.problems import status_of
from subscription_services.web.routes import Route, get

from .console import enter, short

LABELS = table({"since": "from", "until": "until", "actor": "who", "subject": "about whom", "object": "object"})
OUTCOMES = [("", words("Any")), *((item.value, as_words(item.value.capitalize())) for item in Outcome)]
MORE = ("object", "correlation", "origin", "since", "until")
TIMES = ("since", "until")
FIELDS = ("actor", "subject", "action", "object", "outcome", "origin", "correlation", "since", "until")
TONES = {"success": ("success", "check"), "refused": ("danger", "cross"), "failed": ("warning", "warning")}


async def show_log(call: Call) -> Response:
    """The newest entries, or those that the query asks for, with a link to older ones."""
    enter(call)
    asked = {name: call.query(name) for name in (*FIELDS, "after") if call.query(name)}
    times: dict[str, str] = {name: complete_time(asked[name]) for name in TIMES if name in asked}
    posted = parse({**asked, **times}, SearchLog, labels=LABELS)
    form, status, page = FormState(asked, posted.state.errors, posted.state.problem), 200, LogPage([], None)
    if posted.request is None:
        status = 422
    else:
        try:
            page = await call.perform(audit_log, posted.request)
        except DomainError as error:
            if status_of(error) != 422:
                raise
            form, status = FormState(asked, error.field_words, None if error.fields else error.words), 422
    return _render(call, status, form, page, asked)


async def search_origin(call: Call) -> Response:
    """From an address that is posted to its keyed index, which may stand in the page's own address."""
    enter(call)
    fields = await call.fields()
    kept = {name: fields[name] for name in FIELDS if fields.get(name)}
    posted = parse({"address": fields.get("address", "")}, FindOrigin, labels=table({"address": "an address"}))
    state = posted.state
    if posted.request is not None:
        try:
            found = await call.perform(find_origin, posted.request)
            return call.go(f"/team/log?{urlencode({**kept, 'origin': found.origin})}")
        except DomainError as error:
            if status_of(error) != 422:
                raise
            state = posted.failed(error)
    form = FormState({**kept, **state.values}, state.errors, state.problem)
    return _render(call, 422, form, LogPage([], None), kept)


def log_routes() -> tuple[Route, ...]:
    """Searching the log."""
    why = "an address is personal data, and addresses of pages are kept by browsers"
    return (
        get("/team/log", show_log, audit_log),
        Route("POST", "/team/log/origin", search_origin, find_origin, why),
    )


def _render(call: Call, status: int, form: FormState, page: LogPage, asked: dict[str, str]) -> Response:
    kept = {name: text for name, text in asked.items() if name != "after"}
    return call.render(
        "access/log.html", status, form=form, page=page, outcomes=OUTCOMES, tones=TONES, searched=bool(kept), kept=kept,
        newest=f"/team/log?{urlencode(kept)}" if "after" in asked else None,
        older=f"/team/log?{urlencode({**kept, 'after': page.next})}" if page.next else None,
        export=f"/team/log/exports?{urlencode(kept)}", details=_details, short=short,
        more=any(name in asked for name in MORE) or "address" in form.values,
    )  # fmt: skip


def complete_time(text: str) -> str:
    """A day alone means its first moment; a time without zone is UTC, as all times are shown here."""
    whole = f"{text}T00:00" if "T" not in text and " " not in text else text
    if len(whole) == len("2026-11-24T09:30"):
        whole += ":00"
    return whole if whole.endswith("Z") or "+" in whole else f"{whole}Z"


def _details(entry: LogEntry) -> list[tuple[str, str]]:
    """The rest of an entry, as terms and values."""
    rows: list[tuple[str, str]] = [("Time", entry.at.isoformat().replace("+00:00", "Z"))]
    for name in ("id", "actor", "subject", "log_index", "session", "object", "correlation", "reason"):
        value = getattr(entry, name)
        if value not in ("", None):
            rows.append((name.replace("_", " ").capitalize(), str(value)))
    for name, value in entry.details.items():
        rows.append((name.replace("_", " ").capitalize(), ", ".join(value) if isinstance(value, list) else str(value)))
    return rows
