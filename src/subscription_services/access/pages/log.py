"""The page that searches the log."""

from __future__ import annotations

from urllib.parse import urlencode

from starlette.responses import Response

from subscription_services.access.operations.log import LogEntry, LogPage, SearchLog, audit_log
from subscription_services.kernel.errors import DomainError
from subscription_services.kernel.events import Outcome
from subscription_services.web.call import Call
from subscription_services.web.forms import FormState, parse
from subscription_services.web.problems import status_of
from subscription_services.web.routes import Route, get

from .console import enter, short

LABELS = {"since": "From", "until": "Until", "actor": "Who", "subject": "About whom", "object": "Object"}
OUTCOMES = [("", "Any"), *((item.value, item.value.capitalize()) for item in Outcome)]
MORE = ("object", "correlation", "since", "until")
TIMES = ("since", "until")
FIELDS = ("actor", "subject", "action", "object", "outcome", "correlation", "since", "until")
TONES = {"success": ("success", "check"), "refused": ("danger", "cross"), "failed": ("warning", "warning")}


async def show_log(call: Call) -> Response:
    """The newest entries, or those that the query asks for, with a link to older ones."""
    enter(call)
    asked = {name: call.query(name) for name in (*FIELDS, "after") if call.query(name)}
    times: dict[str, str] = {name: _complete(asked[name]) for name in TIMES if name in asked}
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
            form, status = FormState(asked, error.fields, None if error.fields else error.text), 422
    kept = {name: text for name, text in asked.items() if name != "after"}
    return call.render(
        "access/log.html", status, form=form, page=page, outcomes=OUTCOMES, tones=TONES, searched=bool(kept),
        newest=f"/team/log?{urlencode(kept)}" if "after" in asked else None,
        older=f"/team/log?{urlencode({**kept, 'after': page.next})}" if page.next else None,
        details=_details, short=short, more=any(name in asked for name in MORE),
    )  # fmt: skip


def log_routes() -> tuple[Route, ...]:
    return (get("/team/log", show_log, audit_log),)


def _complete(text: str) -> str:
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
