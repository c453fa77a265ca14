"""Pages of one entry of the log with its proof, and of exports: ask, follow, download."""

from __future__ import annotations

from pathlib import Path

from starlette.responses import Response, StreamingResponse

from subscription_services.access.export_making import contents
from subscription_services.access.export_model import ExportForm
from subscription_services.access.operations.log import ProvedEntry, ReadEntry, log_entry
from subscription_services.access.operations.log_exports import (
    ExportLog,
    ListExports,
    LogExport,
    ReadExport,
    download_log_export,
    export_log,
    export_log_unmasked,
    log_exports,
    one_log_export,
)
from subscription_services.kernel.errors import NotFound
from subscription_services.kernel.operations import Operation
from subscription_services.kernel.words import words
from subscription_services.web.call import Call
from subscription_services.web.forms import FormState
from subscription_services.web.routes import Handler, Route, get, post

from .console import enter, short
from .log import TIMES, complete_time

_FORMS = [
    (ExportForm.PROOFS.value, words("Entries with proofs (.tar.gz)")),
    (ExportForm.OCSF.value, words("OCSF JSON lines (.gz)")),
]
_NAMES = {ExportForm.PROOFS: "tar.gz", ExportForm.OCSF: "jsonl.gz"}


def export_routes(data: Path) -> tuple[Route, ...]:
    """The routes; `data` is the data directory, where the files are."""
    return (
        get("/team/log/entries/{id}", show_entry, log_entry),
        get("/team/log/entries/{id}/proof", download_proof, log_entry),
        get("/team/log/exports", show_exports, log_exports),
        post("/team/log/exports", _asking(export_log), export_log),
        post("/team/log/exports/unmasked", _asking(export_log_unmasked), export_log_unmasked),
        get("/team/log/exports/{id}", show_export, one_log_export),
        get("/team/log/exports/{id}/file", _download(data / "exports"), download_log_export),
    )


async def show_entry(call: Call) -> Response:
    """Everything about one entry but its sealed fields."""
    enter(call)
    proved: ProvedEntry = await call.perform(log_entry, ReadEntry(call.path("id")))
    entry = proved.entry
    rows = [("Time", entry.at.isoformat().replace("+00:00", "Z"))]
    for name in (
        "id", "action", "outcome", "reason", "actor_kind", "actor", "session", "object_kind", "object", "subject",
        "count", "correlation", "origin", "log_index",
    ):  # fmt: skip
        value = getattr(entry, name)
        if value not in ("", None):
            rows.append((name.replace("_", " ").capitalize(), str(value)))
    for name, value in entry.details.items():
        rows.append((name.replace("_", " "), ", ".join(value) if isinstance(value, list) else str(value)))
    return call.render("access/log_entry.html", entry=entry, proved=proved, rows=rows)


async def download_proof(call: Call) -> Response:
    """C2SP tlog-proof with the entry inside. Raises NotFound while the entry waits for its place in the tree."""
    proved: ProvedEntry = await call.perform(log_entry, ReadEntry(call.path("id")))
    if not proved.proof:
        raise NotFound("This entry is not in the signed tree yet. Try again in a second.")
    headers = {"Content-Disposition": f'attachment; filename="{proved.entry.id}.tlog-proof"'}
    return Response(proved.proof, media_type="text/plain; charset=utf-8", headers=headers)


async def show_exports(call: Call) -> Response:
    """All exports, and the form for one of what the query filters by."""
    enter(call)
    exports = (await call.perform(log_exports, ListExports())).exports
    asked = {name: call.query(name) for name in ExportLog.__struct_fields__ if call.query(name)}
    form = FormState({name: complete_time(text) if name in TIMES else text for name, text in asked.items()})
    return call.render("access/log_exports.html", exports=exports, form=form, forms=_FORMS, short=short)


def _asking(operation: Operation) -> Handler:
    async def ask_export(call: Call) -> Response:
        """Ask for an export, then follow it."""
        enter(call)
        done = await call.submit(operation, labels={"reason": "a reason"})
        if done.form is not None:
            exports = (await call.perform(log_exports, ListExports())).exports
            return call.render(
                "access/log_exports.html", done.status, exports=exports, form=done.form, forms=_FORMS, short=short
            )
        return call.go(f"/team/log/exports/{done.answer.id}")

    ask_export.__qualname__ = f"ask_export of {operation.name}"
    return ask_export


async def show_export(call: Call) -> Response:
    """How far an export is, and its file."""
    enter(call)
    export: LogExport = await call.perform(one_log_export, ReadExport(call.path("id")))
    return call.render("access/log_export.html", export=export, mine=export.requester == call.actor.id)


def _download(folder: Path) -> Handler:
    async def download(call: Call) -> Response:
        """The file as a stream. Programs with a token read it here as well."""
        export: LogExport = await call.perform(download_log_export, ReadExport(call.path("id")))
        keys = call.site.kernel.keys.for_caller("access")
        name = f"{export.id}.{_NAMES[export.form]}"
        headers = {"Content-Disposition": f'attachment; filename="{name}"', "Content-Length": str(export.bytes)}
        return StreamingResponse(contents(keys, folder, export), media_type="application/gzip", headers=headers)

    return download
