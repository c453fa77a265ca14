"""The public security page, its machine form, and the log entry behind each finding."""

from __future__ import annotations

import re

import msgspec
from starlette.responses import Response

from subscription_services.kernel.words import counted, joined, table, words
from subscription_services.web.call import Call
from subscription_services.web.routes import Route, get

from . import operations
from .operations import ReadProof, ReadRuns, ReadStatus
from .promises import PROMISES, SECTIONS
from .proof import proof_file
from .queries import PromiseStatus, TrustStatus

LEGEND = table(
    {
        "kept": "The last check ran in time and found the promise kept.",
        "broken": "The last check found that the promise is not kept.",
        "could_not_check": "The check could not be carried out, so nothing is claimed.",
        "stale": "The last check is too old to say anything about now.",
        "not_built": "Nothing checks this yet, so do not rely on it.",
    }
)
ATTENTION = ("broken", "could_not_check", "stale")


async def show_status(call: Call) -> Response:
    """Every promise with its state, worked out for this very answer."""
    found: TrustStatus = await call.perform(operations.status, ReadStatus())
    by_id = {item.id: item for item in found.promises}
    sections = [(section, [by_id[promise.id] for promise in section.promises]) for section in SECTIONS]
    return call.render(
        "trust/security.html", trust=found, sections=sections, legend=LEGEND, plain=in_words(found.summary),
        section_state=section_state, period=period, label=label,
        attention=[item for item in found.promises if item.state in ATTENTION],
    )  # fmt: skip


async def machine_status(call: Call) -> Response:
    """The same for programs: an entry per promise id. Any site may read it."""
    found: TrustStatus = await call.perform(operations.status, ReadStatus())
    body = msgspec.json.encode(found)
    headers = {
        "Cache-Control": "no-store",
        "Access-Control-Allow-Origin": "*",
        "Cross-Origin-Resource-Policy": "cross-origin",
    }
    return Response(body, media_type="application/json", headers=headers)


async def show_promise(call: Call) -> Response:
    """The last runs of one promise's check."""
    promise = PROMISES.get(call.path("promise"))
    wanted = promise.id if promise else "unknown.promise"
    found: TrustStatus = await call.perform(operations.status, ReadStatus())
    runs = await call.perform(operations.runs, ReadRuns(wanted, 50))
    if promise is None:
        return call.render("trust/unknown.html", 404)
    (item,) = (item for item in found.promises if item.id == promise.id)
    return call.render("trust/promise.html", item=item, runs=runs.runs, now=found.generated_at, period=period)


async def show_proof(call: Call) -> Response:
    """A run's entry in the audit log."""
    proved = await call.perform(operations.proof, ReadProof(call.path("run")))
    return call.render("trust/proof.html", proved=proved)


async def download_proof(call: Call) -> Response:
    """The same as one file for verification without us: C2SP tlog-proof. Any site may read it."""
    proved = await call.perform(operations.proof, ReadProof(call.path("run")))
    body = proof_file(proved)
    headers = {
        "Content-Disposition": f'attachment; filename="{proved.run}.tlog-proof"',
        "Cache-Control": "no-store",
        "Access-Control-Allow-Origin": "*",
        "Cross-Origin-Resource-Policy": "cross-origin",
    }
    return Response(body, media_type="text/plain; charset=utf-8", headers=headers)


def routes() -> tuple[Route, ...]:
    """The room's pages."""
    return (
        get("/security", show_status, operations.status),
        get("/security.json", machine_status, operations.status),
        get("/security/promises/{promise}", show_promise, operations.runs),
        get("/security/log/{run}", show_proof, operations.proof),
        get("/security/log/{run}/proof", download_proof, operations.proof),
    )


def in_words(summary: dict[str, int]) -> str:
    """The counts as a plain sentence, the bad ones never left out."""
    total = sum(summary.values())
    unknown = summary["could_not_check"] + summary["stale"]
    parts = [words("%(kept)s of %(total)s promises are kept as of their last check", kept=summary["kept"], total=total)]
    if summary["broken"]:
        parts.append(counted("%(num)s is broken", "%(num)s are broken", summary["broken"]))
    if unknown:
        parts.append(words("%(number)s could not be checked lately", number=unknown))
    if summary["not_built"]:
        parts.append(counted("%(num)s is not built yet", "%(num)s are not built yet", summary["not_built"]))
    if len(parts) == 1:
        return words("%(all)s.", all=parts[0])
    return words("%(facts)s and %(last)s.", facts=joined(*parts[:-1]), last=parts[-1])


def section_state(items: list[PromiseStatus]) -> str:
    """What the contents say beside a heading, such as "3 of 4 kept"."""
    kept = sum(item.state == "kept" for item in items)
    return words("%(kept)s of %(total)s kept", kept=kept, total=len(items))


def period(seconds: int) -> str:
    """An interval in words: "5 minutes", "hour", "2 days"."""
    if seconds % 86400 == 0:
        return counted("day", "%(num)s days", seconds // 86400)
    if seconds % 3600 == 0:
        return counted("hour", "%(num)s hours", seconds // 3600)
    if seconds % 60 == 0:
        return counted("minute", "%(num)s minutes", seconds // 60)
    return counted("second", "%(num)s seconds", seconds)


def label(name: str) -> str:
    """The name of a figure for people: "entries_verified" as "Entries verified", "tls_1_2" as "TLS 1.2"."""
    text = name.replace("_", " ")
    return re.sub(r"^Tls (\d) (\d)$", r"TLS \1.\2", text[:1].upper() + text[1:])
