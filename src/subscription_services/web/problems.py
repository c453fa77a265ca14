"""Every error as RFC 9457 problem details for programs and as a page for people: the only map to HTTP."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import quote

import msgspec
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from subscription_services.kernel import errors
from subscription_services.kernel.words import Words, as_words
from subscription_services.web.languages import ENGLISH, LANGUAGES, Language
from subscription_services.web.page import PageContext
from subscription_services.web.problem_kinds import BY_CLASS, KINDS, ProblemKind
from subscription_services.web.render import render

MEDIA_TYPE = "application/problem+json"


@dataclass(frozen=True, slots=True)
class Problem:
    """One error as it is answered. `instance` is the request id; `fields` are texts by field."""

    kind: ProblemKind
    detail: Words
    code: str
    instance: str = ""
    fields: Mapping[str, Words] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    action: tuple[str, str] | None = None

    @property
    def status(self) -> int:
        return self.kind.status

    @property
    def title(self) -> Words:
        return as_words(self.kind.title)


class HttpProblem(Exception):
    """Raised by the web floor itself for what no operation knows of (405, 415, ...)."""

    def __init__(self, name: str, detail: str | None = None, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail or name)
        self.kind = KINDS[name]
        self.detail = detail or self.kind.meaning
        self.headers = dict(headers or {})


def kind_of(error: Exception) -> ProblemKind:
    """The nearest entry of the table; an exception that nobody declared is `internal`."""
    if isinstance(error, HttpProblem):
        return error.kind
    for base in type(error).__mro__:
        if base in BY_CLASS:
            return KINDS[BY_CLASS[base]]
    return KINDS["internal"]


def status_of(error: Exception) -> int:
    """The HTTP status of an error."""
    return kind_of(error).status


def problem_of(error: Exception, instance: str = "") -> Problem:
    """The error as a problem. The text of an undeclared exception is never shown."""
    kind = kind_of(error)
    if isinstance(error, HttpProblem):
        return Problem(kind, as_words(error.detail), kind.name, instance, headers=error.headers)
    if not isinstance(error, errors.DomainError) or kind.name == "internal":
        return Problem(kind, as_words(kind.meaning), kind.name, instance)
    headers: dict[str, str] = {}
    if isinstance(error, errors.TooMany):
        headers["Retry-After"] = str(max(1, error.retry_after))
    elif isinstance(error, errors.Unavailable):
        headers["Retry-After"] = "5"
    elif isinstance(error, errors.StepUpNeeded):
        headers["WWW-Authenticate"] = 'Bearer error="insufficient_user_authentication"'  # RFC 9470
    elif isinstance(error, errors.TokenUnproved):
        headers |= _dpop(error)
    elif isinstance(error, errors.NotSignedIn):
        headers["WWW-Authenticate"] = "Bearer"
    return Problem(kind, error.words, error.code, instance, error.field_words, headers)


def _dpop(error: errors.TokenUnproved) -> dict[str, str]:
    """RFC 9449, 7.1 and 9. A description is printable ASCII without quotes (RFC 6750, 3)."""
    says = "".join(letter for letter in error.text if " " <= letter <= "~" and letter not in '"\\')
    challenge = f'DPoP error="{error.error}", error_description="{says}", algs="ES256 EdDSA Ed25519"'
    return {"WWW-Authenticate": challenge, **({"DPoP-Nonce": error.nonce} if error.nonce else {})}


def as_json(problem: Problem, language: Language = ENGLISH) -> Response:
    """application/problem+json with `code`, `errors` (field, detail) and `solved_by` (an operation) as extensions.

    What people read in it is in the reader's language (RFC 9457, 3.1); `type` and `code` never change."""
    body: dict[str, Any] = {
        "type": f"/problems/{problem.kind.name}",
        "title": problem.title.said(language),
        "status": problem.status,
        "detail": problem.detail.said(language),
        "code": problem.code,
    }
    if problem.instance:
        body["instance"] = f"urn:request:{problem.instance}"
    if problem.kind.solved_by:
        body["solved_by"] = problem.kind.solved_by
    if problem.fields:
        body["errors"] = [{"field": name, "detail": text.said(language)} for name, text in problem.fields.items()]
    headers = {**problem.headers, "Content-Language": language.code, "Vary": "Accept-Language"}
    return Response(msgspec.json.encode(body), problem.status, headers=headers, media_type=MEDIA_TYPE)


def as_page(problem: Problem, view: PageContext) -> Response:
    """The same for people."""
    headers = {name: text for name, text in problem.headers.items() if name != "WWW-Authenticate"}
    return render("problem.html", view, problem.status, headers, problem=problem)


def wants_json(request: Request) -> bool:
    """By path for the API and machine forms, else by Accept (RFC 9110 12.5.1), with a page when in doubt."""
    path = request.url.path
    if path.startswith(("/api/", "/health/", "/scim/")) or path == "/api" or path.endswith(".json"):
        return True
    weights = {"json": 0.0, "html": 0.0}
    for part in request.headers.get("accept", "").split(","):
        name, _, rest = part.strip().partition(";")
        weight = _quality(rest)
        if name in ("application/json", MEDIA_TYPE):
            weights["json"] = max(weights["json"], weight)
        elif name in ("text/html", "application/xhtml+xml", "text/*"):
            weights["html"] = max(weights["html"], weight)
    return weights["json"] > weights["html"]


def _quality(parameters: str) -> float:
    for item in parameters.split(";"):
        name, _, value = item.strip().partition("=")
        if name == "q":
            try:
                return float(value)
            except ValueError:
                return 0.0
    return 1.0


def answer(request: Request, error: Exception, view: PageContext, places: Mapping[str, str]) -> Response:
    """What to answer to an error. `places` gives the pages where a problem of a kind can be solved, by its name.

    A person who only looked (GET) and has to sign in first is sent there and comes back after."""
    problem = problem_of(error, view.request_id)
    if wants_json(request):
        return as_json(problem, LANGUAGES[view.language])
    place = places.get(problem.kind.name)
    if place is not None:
        back = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        if request.method in ("GET", "HEAD"):
            return RedirectResponse(f"{place}?next={quote(back, safe='/')}", 303)
        problem = replace(problem, action=(as_words(problem.kind.remedy_link), place))
    return as_page(problem, view)
