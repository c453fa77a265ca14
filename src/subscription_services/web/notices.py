"""Messages that survive one redirect. The cookie holds only the code of a notice declared in our own text."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from subscription_services.web.origin import cookies_of
from subscription_services.web.page import Notice

COOKIE = "__Host-notice"
_declared: dict[str, Notice] = {}


def declare(code: str, kind: str, text: str, title: str | None = None) -> str:
    """Declare a notice once, at import, and return its code. Raises ValueError for a code that exists."""
    if code in _declared and _declared[code] != Notice(kind, text, title):
        raise ValueError(f"two notices have the code {code}")
    _declared[code] = Notice(kind, text, title)
    return code


def declared() -> tuple[Notice, ...]:
    """Every notice that was declared so far."""
    return tuple(_declared.values())


def shown(request: Request) -> tuple[Notice, ...]:
    """The notice that the request brings along, if any."""
    found = _declared.get(cookies_of(request.scope).get(COOKIE, ""))
    return () if found is None else (found,)


def remember(response: Response, code: str) -> None:
    """Show the notice on the next page. Raises KeyError for one that was not declared."""
    if code not in _declared:
        raise KeyError(code)
    response.set_cookie(COOKIE, code, max_age=60, path="/", secure=True, httponly=True, samesite="lax")


def clear(request: Request, response: Response) -> None:
    """Forget the notice, since it was shown."""
    if COOKIE in cookies_of(request.scope):
        response.delete_cookie(COOKIE, path="/", secure=True, httponly=True, samesite="lax")
