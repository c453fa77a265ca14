"""The page of re-encryptions: starting one after a data key was compromised, and seeing how far each is."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
from starlette.responses import Response

from subscription_services.kernel.errors import NotFound
from subscription_services.kernel.words import table, words
from subscription_services.keys.operations import reencryption
from subscription_services.keys.operations.reencryption import Reencryption, Reencryptions
from subscription_services.keys.tables import Phase
from subscription_services.web import notices
from subscription_services.web.call import Call
from subscription_services.web.forms import FormState
from subscription_services.web.routes import Route, get, post

from .overview import PAGE, count, may

BASE = f"{PAGE}/re-encryption"
STARTED = notices.declare(
    "keys-reencrypting", "success", "It has started. New values are sealed under new keys already."
)
LABELS = table({"subject": "an account", "purpose": "a purpose"})


@dataclass(frozen=True, slots=True)
class Row:
    """One re-encryption; `says` is a sentence, `value` of `most` how far it is, while it is under way."""

    item: Reencryption
    says: str
    value: int
    most: int


async def show_reencryptions(call: Call) -> Response:
    """The newest re-encryptions, and the form that starts one."""
    return await _page(call, FormState(values={"purpose": "subject"}))


async def start(call: Call) -> Response:
    """Start one; asks to sign in again first when that was long ago."""
    done = await call.submit(reencryption.reencrypt, labels=LABELS)
    return await _page(call, done.form, done.status) if done.form else call.go(BASE, STARTED)


async def show_progress(call: Call) -> Response:
    """How far one is, for the page's own script."""
    found: Reencryptions = await call.perform(reencryption.reencryptions, reencryption.ReadReencryptions())
    item = next((item for item in found.items if item.id == call.path("id")), None)
    if item is None:
        raise NotFound()
    row = row_of(item)
    state: dict[str, str | int] = {"message": call.said(row.says), "value": row.value, "max": row.most}
    body = msgspec.json.encode({"next": BASE} if item.finished_at else state)
    return Response(body, media_type="application/json", headers={"Cache-Control": "no-store"})


def reencryption_routes() -> tuple[Route, ...]:
    return (
        get(BASE, show_reencryptions, reencryption.reencryptions),
        post(BASE, start, reencryption.reencrypt),
        get(f"{BASE}/{{id}}/progress", show_progress, reencryption.reencryptions),
    )


def row_of(item: Reencryption) -> Row:
    """Two walks over the tables, and the keys before and after, as one measure."""
    most = 2 * item.places + 2
    match item.phase:
        case Phase.RENEWING:
            return Row(item, words("Making new data keys: %(number)s", number=count(item.renewed)), 0, most)
        case Phase.SEALING:
            walk, place = max(item.turn, 1), max(item.place, 1)
            says = words(
                "Sealing anew: table %(place)s of %(places)s, walk %(walk)s of 2",
                place=place,
                places=item.places,
                walk=walk,
            )
            return Row(item, says, 1 + (walk - 1) * item.places + place - 1, most)
        case Phase.CLOSING:
            return Row(item, words("Closing the old data keys: %(number)s", number=count(item.closed)), most - 1, most)
        case Phase.DONE:
            return Row(item, words("Done"), most, most)


async def _page(call: Call, form: FormState, status: int = 200) -> Response:
    found: Reencryptions = await call.perform(reencryption.reencryptions, reencryption.ReadReencryptions())
    return call.render(
        "keys/reencryption.html", status, form=form, rows=[row_of(item) for item in found.items], now=call.now,
        count=count, may_start=may(call, reencryption.reencrypt),
    )  # fmt: skip
