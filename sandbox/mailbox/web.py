"""Pages to read the messages, and the same as JSON."""

import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from sandbox.mailbox.letters import Box, Letter
from sandbox.mailbox.smtp import MailBehaviour

_HERE = Path(__file__).parent
_PAGES = Environment(
    loader=FileSystemLoader(_HERE / "templates"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
)
_STYLE = (_HERE / "templates" / "mailbox.css").read_text(encoding="utf-8")
_SAFE = {
    "cache-control": "no-store",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}
_PAGE_POLICY = "default-src 'none'; style-src 'self'; frame-src 'self'; base-uri 'none'; form-action 'none'; "
_LETTER_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'self'; sandbox allow-top-navigation-by-user-activation"
)
_URL = re.compile(r"(https?://[^\s<>\"'\])}]*[^\s<>\"'\])}.,;:!?])")
Handler = Callable[[Request], Awaitable[Response]]


def linked(text: str) -> Markup:
    """Plain text with its addresses as links, everything else escaped."""
    pieces = _URL.split(text)
    link = '<a href="{0}" target="_top" rel="noreferrer">{0}</a>'
    return Markup().join(
        Markup(link).format(piece) if number % 2 else escape(piece)  # noqa: S704  format escapes
        for number, piece in enumerate(pieces)
    )


def summary(letter: Letter) -> dict[str, Any]:
    """A message as the list tells of it."""
    return {
        "id": letter.id,
        "from": letter.sender,
        "to": list(letter.to),
        "subject": letter.subject,
        "received": letter.when.isoformat(),
        "url": f"/messages/{letter.id}",
    }


def whole(letter: Letter) -> dict[str, Any]:
    """A message with all that tests ask of it."""
    return {
        **summary(letter),
        "mail_from": letter.mail_from,
        "encrypted": letter.encrypted,
        "text": letter.text,
        "html": letter.html,
        "links": list(letter.links),
    }


def _page(template: str, status: int = 200, **shown: Any) -> Response:
    headers = {**_SAFE, "content-security-policy": _PAGE_POLICY + "frame-ancestors 'none'"}
    return Response(_PAGES.get_template(template).render(**shown), status, headers, "text/html")


def _with_letter(box: Box, show: Callable[[Letter], Response]) -> Handler:
    async def handle(request: Request) -> Response:
        letter = box.get(request.path_params["number"])
        if letter is None:
            if request.url.path.endswith(".json"):
                return JSONResponse({"error": "no such message"}, 404, _SAFE)
            return _page("absent.html", 404)
        return show(letter)

    return handle


def _html_part(letter: Letter) -> Response:
    headers = {**_SAFE, "content-security-policy": _LETTER_POLICY}
    return Response(f'<!doctype html><base target="_top">{letter.html}', 200, headers, "text/html")


def _raw(letter: Letter) -> Response:
    headers = {**_SAFE, "content-security-policy": "default-src 'none'"}
    return Response(letter.raw, 200, headers, "text/plain")


def mailbox_routes(box: Box, behaviour: MailBehaviour) -> list[Route]:
    """Every page and every JSON of the mailbox."""

    def asked(request: Request) -> list[Letter]:
        to = request.query_params.get("to")
        return [letter for letter in box.newest_first() if to is None or to in letter.to]

    async def index(request: Request) -> Response:
        return _page("list.html", letters=asked(request))

    async def index_json(request: Request) -> Response:
        return JSONResponse({"messages": [summary(letter) for letter in asked(request)]}, headers=_SAFE)

    async def empty(request: Request) -> Response:
        return JSONResponse({"deleted": box.empty()}, headers=_SAFE)

    async def behave(request: Request) -> Response:
        if request.headers.get("content-type", "").partition(";")[0] != "application/json":
            return JSONResponse({"error": "application/json is needed"}, 415, _SAFE)
        try:
            wanted = msgspec.json.decode(await request.body(), type=MailBehaviour)
        except msgspec.MsgspecError as error:
            return JSONResponse({"error": str(error)}, 400, _SAFE)
        behaviour.fail_next, behaviour.code = wanted.fail_next, wanted.code
        return Response(msgspec.json.encode(behaviour), headers=_SAFE, media_type="application/json")

    async def style(request: Request) -> Response:
        return Response(_STYLE, headers=_SAFE, media_type="text/css")

    async def health(request: Request) -> Response:
        return JSONResponse({"status": "ok", "sandbox": True})

    def read(letter: Letter) -> Response:
        return _page("letter.html", letter=letter, text=linked(letter.text))

    return [
        Route("/", index),
        Route("/style.css", style),
        Route("/messages.json", index_json),
        Route("/messages", empty, methods=["DELETE"]),
        Route("/messages/{number:int}", _with_letter(box, read)),
        Route("/messages/{number:int}.json", _with_letter(box, lambda one: JSONResponse(whole(one), 200, _SAFE))),
        Route("/messages/{number:int}/html", _with_letter(box, _html_part)),
        Route("/messages/{number:int}/raw", _with_letter(box, _raw)),
        Route("/sandbox/behaviour", behave, methods=["POST"]),
        Route("/sandbox/health", health),
    ]
